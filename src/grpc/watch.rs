//! `WatchLeases`: one task per stream.

use std::sync::Arc;
use std::time::Duration;

use leasehold_api::convert::{binding_name, tenant_id};
use leasehold_api::{FieldError, v1};
use leasehold_service::{Acknowledgement, Service, Watch, WatchAction, WatchMessage, WatchMode, WatchUpdate};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::call::{Call, Calls, refused};
use super::{decode, lease};
use crate::status::Refusal;

/// Answers that wait to be sent. A client that reads takes them at once; beyond it, changes gather in the watch.
const QUEUE: usize = 16;

/// How long a stream goes on whose connection is to be closed because of a lease that ended: long enough to say that the
/// lease ended and to hear that copies are wiped, and well below the 2 s after which the connection is cut.
const LAST_WORDS: Duration = Duration::from_secs(1);

type Answers = mpsc::Sender<Result<v1::WatchLeasesResponse, Status>>;

/// Begins to serve a stream.
pub(crate) async fn start(
    service: &Service,
    calls: &Calls,
    request: Request<Streaming<v1::WatchLeasesRequest>>,
) -> Result<Response<ReceiverStream<Result<v1::WatchLeasesResponse, Status>>>, Status> {
    let call = Call::of(&request)?;
    let watch = service.watch(&call.caller).await;
    let watch = watch.map_err(|error| refused("WatchLeases", &call.caller, "", &error.into()))?;
    let (answers, stream) = mpsc::channel(QUEUE);
    let following = Following { watch, calls: calls.clone(), call: call.clone(), answers: answers.clone() };
    let messages = request.into_inner();
    tokio::spawn(async move {
        let calls = following.calls.clone();
        if let Err(refusal) = following.run(messages).await {
            calls.record("WatchLeases", &call.caller, "", &refusal).await;
            let status = refused("WatchLeases", &call.caller, "", &refusal);
            // The client may be gone.
            let _ = answers.send(Err(status)).await;
        }
    });
    Ok(Response::new(ReceiverStream::new(stream)))
}

struct Following {
    watch: Watch,
    calls: Calls,
    call: Call,
    answers: Answers,
}

impl Following {
    /// Serves until the client has ended its half, or is gone.
    async fn run(mut self, mut messages: Streaming<v1::WatchLeasesRequest>) -> Result<(), Refusal> {
        let (call, clock) = (self.call.clone(), Arc::clone(&self.calls.clock));
        let closing = async {
            call.connection_closes().await;
            clock.sleep(LAST_WORDS).await;
        };
        let mut closing = std::pin::pin!(closing);
        loop {
            let update = tokio::select! {
                biased;
                () = self.calls.ending.cancelled() => return Err(Refusal::ShuttingDown),
                () = closing.as_mut() => return Err(Refusal::ConnectionClosing),
                () = self.answers.closed() => return Ok(()),
                update = self.watch.changed() => update?,
                message = messages.message() => match message {
                    Ok(Some(message)) => self.watch.receive(read(message)?).await?,
                    Ok(None) => return Ok(()),
                    // The message cannot be read, or else the client is gone.
                    Err(status) => return decode::refusal(&status).map_or(Ok(()), Err),
                },
            };
            // A client that does not read holds leases for nothing.
            tokio::select! {
                sent = self.answers.send(Ok(answer(update))) => if sent.is_err() { return Ok(()) },
                () = self.calls.clock.sleep(self.calls.deadline) => return Err(Refusal::Deadline),
            }
        }
    }
}

fn read(message: v1::WatchLeasesRequest) -> Result<WatchMessage, FieldError> {
    let subscriptions = message.subscriptions.iter().map(|subscription| {
        let mode = match subscription.mode() {
            v1::WatchMode::Observe => WatchMode::Observe,
            v1::WatchMode::Hold => WatchMode::Hold,
            v1::WatchMode::Forget => WatchMode::Forget,
            v1::WatchMode::Unspecified => return Err(FieldError::new("subscriptions.mode", "is required")),
        };
        Ok((tenant_id("subscriptions.tenant", &subscription.tenant)?, mode))
    });
    let acknowledgements = message.acknowledgements.iter().map(|acknowledgement| {
        let action = match acknowledgement.action() {
            v1::WatchAction::Wiped => WatchAction::Wiped,
            v1::WatchAction::ComputeStopped => WatchAction::ComputeStopped,
            v1::WatchAction::Unspecified => {
                return Err(FieldError::new("acknowledgements.action", "is required"));
            }
        };
        let binding = binding_name("acknowledgements.binding", &acknowledgement.binding)?;
        Ok(Acknowledgement { binding, epoch: acknowledgement.epoch, action })
    });
    Ok(WatchMessage {
        sequence: message.sequence,
        subscriptions: subscriptions.collect::<Result<_, _>>()?,
        acknowledgements: acknowledgements.collect::<Result<_, _>>()?,
    })
}

fn answer(update: WatchUpdate) -> v1::WatchLeasesResponse {
    let leases = update.leases.iter().map(|status| lease::status(&status.binding, &status.view));
    v1::WatchLeasesResponse { sequence: update.sequence, leases: leases.collect() }
}

#[cfg(test)]
mod tests {
    use leasehold_api::v1::key_service_client::KeyServiceClient;
    use tonic_types::StatusExt;

    use super::*;
    use crate::app::App;
    use crate::grpc::MAX_WATCH_MESSAGE;

    #[tokio::test]
    async fn a_message_that_cannot_be_read_ends_the_stream_with_a_reason() {
        let config = "deployment = 'test'\nregistry.kind = 'memory'\nlisten.tcp = ['127.0.0.1:0']\nproviders.aws.region = 'eu-central-1'";
        let server = App::build(toml::from_str(config).unwrap()).await.unwrap().run();
        let mut client = KeyServiceClient::connect(server.endpoints()[0].clone()).await.unwrap();
        let tenant = "x".repeat(MAX_WATCH_MESSAGE);
        let subscriptions = vec![v1::WatchSubscription { tenant, mode: v1::WatchMode::Observe.into() }];
        let large = v1::WatchLeasesRequest { sequence: 1, subscriptions, acknowledgements: vec![] };
        let mut answers = client.watch_leases(tokio_stream::iter([large])).await.unwrap().into_inner();
        let status = answers.message().await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status}");
        assert_eq!(status.get_error_details().error_info().unwrap().reason, "INVALID_FIELD");
        drop(client);
        server.drain().await;
    }

    #[test]
    fn a_message_is_refused_with_the_field_that_is_wrong() {
        let subscription = |tenant: &str, mode: v1::WatchMode| v1::WatchLeasesRequest {
            sequence: 1,
            subscriptions: vec![v1::WatchSubscription { tenant: tenant.into(), mode: mode.into() }],
            acknowledgements: vec![],
        };
        let acknowledgement = |binding: &str, action: v1::WatchAction| v1::WatchLeasesRequest {
            sequence: 1,
            subscriptions: vec![],
            acknowledgements: vec![v1::WatchAcknowledgement {
                binding: binding.into(),
                epoch: 1,
                action: action.into(),
            }],
        };
        for (message, field) in [
            (subscription("acme", v1::WatchMode::Hold), "subscriptions.tenant"),
            (subscription("tenants/acme", v1::WatchMode::Unspecified), "subscriptions.mode"),
            (acknowledgement("tenants/acme", v1::WatchAction::Wiped), "acknowledgements.binding"),
            (
                acknowledgement("tenants/a/bindings/b", v1::WatchAction::Unspecified),
                "acknowledgements.action",
            ),
        ] {
            assert_eq!(read(message).unwrap_err().field(), field);
        }
        assert!(read(subscription("tenants/acme", v1::WatchMode::Observe)).is_ok());
    }
}
