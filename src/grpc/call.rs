//! What every unary call passes: who calls, its deadline, and the way out.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use leasehold_api::convert::tenant_id;
use leasehold_audit::{Outcome, Stranger};
use leasehold_clock::TimeSource;
use leasehold_ids::{BindingName, TenantId};
use leasehold_lease::LeaseError;
use leasehold_service::{Caller, Service};
use tokio_util::sync::CancellationToken;
use tonic::metadata::{AsciiMetadataValue, MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status};

use super::connection::{Connection, Unread};
use super::deadline;
use super::decode::Witness;
use crate::status::Refusal;

/// Names a call in its answer, the log and the audit record. A caller may choose it; see [`request_id`].
pub(super) const REQUEST_ID: &str = "x-request-id";

/// Longest request id that a caller may choose, in bytes.
const MAX_REQUEST_ID: usize = 128;

/// The bounds that all calls share.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    pub(crate) clock: Arc<dyn TimeSource>,
    pub(crate) deadline: Duration,
    /// Cancelled when the process is told to end.
    pub(crate) ending: CancellationToken,
    /// What records the calls that never come to it.
    pub(crate) service: Service,
}

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) caller: Caller,
    connection: Arc<Connection>,
}

impl Calls {
    /// Has `handle` make the answer to `request`, within the bounds. `about` names what the request is about.
    pub(crate) async fn unary<Q, A, F>(
        &self,
        method: &'static str,
        request: Request<Q>,
        about: String,
        handle: impl FnOnce(Call, Q) -> F,
    ) -> Result<Response<A>, Status>
    where
        F: Future<Output = Result<A, Refusal>>,
    {
        let call = Call::of(&request)?;
        let caller = call.caller.clone();
        let within = deadline::of_client(request.metadata()).map_or(self.deadline, |d| d.min(self.deadline));
        let answered = tokio::select! {
            biased;
            answer = handle(call, request.into_inner()) => answer,
            () = self.clock.sleep(within) => Err(Refusal::Deadline),
        };
        match answered {
            Ok(answer) => {
                tracing::debug!(method, request_id = %caller.request_id, %about, "answered");
                let mut response = Response::new(answer);
                name(response.metadata_mut(), &caller);
                Ok(response)
            }
            Err(refusal) => {
                self.record(method, &caller, &about, &refusal).await;
                Err(refused(method, &caller, &about, &refusal))
            }
        }
    }

    /// [`Calls::unary`] for a request that brings plaintext of the tenant of the name `about`, whatever becomes of it.
    pub(crate) async fn bringing<Q, A, F>(
        &self,
        method: &'static str,
        request: Request<Q>,
        about: String,
        handle: impl FnOnce(Call, Q) -> F,
    ) -> Result<Response<A>, Status>
    where
        F: Future<Output = Result<A, Refusal>>,
    {
        let call = Call::of(&request)?;
        match (method.parse(), tenant_id("tenant", &about)) {
            (Ok(what), Ok(tenant)) if self.service.allows(&call.caller, what, &tenant) => {
                call.connection.brings(&tenant);
            }
            _ => call.refuses(),
        }
        self.unary(method, request, about, handle).await.inspect_err(|_| call.refuses())
    }

    /// Records a refusal that the service knows nothing of.
    pub(crate) async fn record(&self, method: &str, caller: &Caller, about: &str, refusal: &Refusal) {
        let outcome = match refusal {
            Refusal::Field(_) => Outcome::Refused,
            Refusal::Unheld(_) => Outcome::Failed,
            // As many as there may be: a record of each would be more work than the call.
            Refusal::TooManyCalls => return self.service.turned_away(turned_away(caller, refusal)),
            // The service recorded it, or its caller's being gone.
            _ => return,
        };
        if let Ok(what) = method.parse() {
            let (tenant, reason) = (tenant_of(about), refusal.reason().wire_name());
            self.service.refused_unread(caller, what, tenant.as_ref(), outcome, reason).await;
        }
    }
}

#[tonic::async_trait]
impl Witness for Calls {
    async fn refused_unread(&self, caller: &Caller, method: &str, refusal: &Refusal) {
        self.record(method, caller, "", refusal).await;
    }

    fn turned_away(&self, from: Box<str>, reason: &'static str) {
        self.service.turned_away(Stranger { listener: "grpc", from, reason });
    }
}

/// The tenant in a name such as `tenants/acme/bindings/main`, if it is one.
fn tenant_of(name: &str) -> Option<TenantId> {
    name.split('/').nth(1)?.parse().ok()
}

fn turned_away(caller: &Caller, refusal: &Refusal) -> Stranger {
    let from = caller.identity.to_string().into();
    Stranger { listener: "grpc", from, reason: refusal.reason().wire_name() }
}

impl Call {
    pub(crate) fn of<Q>(request: &Request<Q>) -> Result<Self, Status> {
        // The server puts it there; without it nobody knows who is calling.
        let connection = request.extensions().get::<Arc<Connection>>().cloned();
        let internal = || Refusal::from(LeaseError::Internal("a request without its connection")).status("");
        let connection = connection.ok_or_else(internal)?;
        if let Some(unread) = request.extensions().get::<Arc<Unread>>() {
            unread.read();
        }
        let chosen = request.metadata().get(REQUEST_ID);
        let request_id = request_id(chosen.map(MetadataValue::as_encoded_bytes));
        let caller = Caller { identity: connection.identity().clone(), request_id };
        Ok(Self { caller, connection })
    }

    /// Completes when the call's connection is to be closed.
    pub(crate) async fn connection_closes(&self) {
        self.connection.to_close().await;
    }

    /// Plaintext that came with the call is refused.
    pub(crate) fn refuses(&self) {
        self.connection.refuses();
    }

    /// Plaintext that is under `binding`'s lease is about to travel on this call's connection.
    pub(crate) fn carries(&self, binding: &BindingName) {
        self.connection.carries(binding);
    }
}

/// Logs a refusal with all that is known, and makes of it what the client may read. The audit record has every decision and
/// the leases log their own changes, so that what callers can cause at any rate is for whoever looks for it.
pub(crate) fn refused(method: &str, caller: &Caller, about: &str, refusal: &Refusal) -> Status {
    let mut status = refusal.status(about);
    let (reason, request_id, error) = (refusal.reason().wire_name(), &caller.request_id, chain(refusal));
    match status.code() {
        Code::Internal => tracing::error!(method, reason, %request_id, about, error, "failed"),
        _ => tracing::debug!(method, reason, %request_id, about, error, "refused"),
    }
    name(status.metadata_mut(), caller);
    status
}

/// What the caller chose as the id of a call, if it is short and printable, or else a new one.
pub(super) fn request_id(chosen: Option<&[u8]>) -> Box<str> {
    let chosen = chosen.and_then(|id| std::str::from_utf8(id).ok());
    let valid =
        |id: &&str| (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    chosen.filter(valid).map_or_else(|| uuid::Uuid::new_v4().to_string().into(), Into::into)
}

pub(super) fn name(metadata: &mut MetadataMap, caller: &Caller) {
    if let Ok(id) = AsciiMetadataValue::try_from(&*caller.request_id) {
        metadata.insert(REQUEST_ID, id);
    }
}

/// An error with its sources, for the log.
fn chain(error: &dyn Error) -> String {
    let sources = std::iter::successors(error.source(), |error| (*error).source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_the_callers_only_if_it_is_short_and_printable() {
        assert_eq!(&*request_id(Some(b"abc-1")), "abc-1");
        for odd in ["", "with space", &"x".repeat(129)] {
            assert_ne!(&*request_id(Some(odd.as_bytes())), odd);
        }
        assert_ne!(request_id(None), request_id(None));
    }

    #[test]
    fn a_record_names_the_tenant_that_a_call_was_about_if_it_can_be_one() {
        assert_eq!(tenant_of("tenants/acme/bindings/main"), Some("acme".parse().unwrap()));
        for other in ["", "acme", "tenants/", "tenants/Not One"] {
            assert_eq!(tenant_of(other), None, "{other}");
        }
    }
}
