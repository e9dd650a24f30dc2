//! The stream of leases: who may still hold what.

use std::collections::VecDeque;
use std::sync::Arc;

use leasehold_api::convert::{duration, tenant_name};
use leasehold_api::v1;
use leasehold_api::v1::key_service_client::KeyServiceClient;
use leasehold_clock::{Moment, TimeSource};
use leasehold_ids::{BindingName, TenantId};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::ClientError;

/// Messages that wait to be sent. The stream takes them at once; more than a few mean that the connection is stuck.
const QUEUE: usize = 16;

/// Sequence numbers whose sending times are remembered: far more than are ever unanswered.
const REMEMBERED: usize = 64;

/// How one lease stands, by the service's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseUpdate {
    /// Whose lease.
    pub binding: BindingName,
    /// How it stands.
    pub state: v1::LeaseState,
    /// Until when copies may be held; none unless LIVE. Counted from when the message that it answers was sent.
    pub expires: Option<Moment>,
    /// The update as it came.
    pub status: v1::LeaseStatus,
}

/// An open `WatchLeases`.
pub struct LeaseStream {
    requests: mpsc::Sender<v1::WatchLeasesRequest>,
    answers: Streaming<v1::WatchLeasesResponse>,
    sent: SendingTimes,
    clock: Arc<dyn TimeSource>,
}

impl LeaseStream {
    pub(crate) async fn open(
        mut keys: KeyServiceClient<Channel>,
        clock: Arc<dyn TimeSource>,
    ) -> Result<Self, ClientError> {
        let (requests, queue) = mpsc::channel(QUEUE);
        let answers = keys.watch_leases(ReceiverStream::new(queue)).await?.into_inner();
        Ok(Self { requests, answers, sent: SendingTimes::default(), clock })
    }

    /// Watches tenants in this mode from now on, or forgets them; renews every lease, too.
    ///
    /// # Errors
    /// [`ClientError`] if the stream is over.
    pub async fn watch(&mut self, tenants: &[TenantId], mode: v1::WatchMode) -> Result<(), ClientError> {
        let subscribe = |t| v1::WatchSubscription { tenant: tenant_name(t), mode: mode.into() };
        self.send(tenants.iter().map(subscribe).collect(), Vec::new()).await
    }

    /// Asks for renewal of every lease that is watched.
    ///
    /// # Errors
    /// [`ClientError`] if the stream is over.
    pub async fn renew(&mut self) -> Result<(), ClientError> {
        self.send(Vec::new(), Vec::new()).await
    }

    /// Says what was done about bindings whose lease ended, each with the newest epoch that was known; renews, too.
    ///
    /// # Errors
    /// [`ClientError`] if the stream is over.
    pub async fn acknowledge(
        &mut self,
        ended: &[(BindingName, u64)],
        action: v1::WatchAction,
    ) -> Result<(), ClientError> {
        let acknowledge = |(binding, epoch): &(BindingName, u64)| v1::WatchAcknowledgement {
            binding: binding.to_string(),
            epoch: *epoch,
            action: action.into(),
        };
        self.send(Vec::new(), ended.iter().map(acknowledge).collect()).await
    }

    /// The next updates; none when the service has ended the stream in good order. Safe to drop and call again.
    ///
    /// # Errors
    /// [`ClientError`] when the stream broke.
    pub async fn next(&mut self) -> Result<Option<Vec<LeaseUpdate>>, ClientError> {
        let Some(answer) = self.answers.message().await? else { return Ok(None) };
        let sent = self.sent.of(answer.sequence);
        let sent = sent.ok_or(ClientError::Answer("an update answers a message that was never sent"))?;
        answer.leases.into_iter().map(|status| update(status, sent)).collect::<Result<_, _>>().map(Some)
    }

    async fn send(
        &mut self,
        subscriptions: Vec<v1::WatchSubscription>,
        acknowledgements: Vec<v1::WatchAcknowledgement>,
    ) -> Result<(), ClientError> {
        // Noted before it is sent: a lease may be counted too short, never too long.
        let sequence = self.sent.next(self.clock.now());
        let message = v1::WatchLeasesRequest { sequence, subscriptions, acknowledgements };
        let over = |_| ClientError::from(tonic::Status::unavailable("the stream of leases is over"));
        self.requests.send(message).await.map_err(over)
    }
}

fn update(status: v1::LeaseStatus, sent: Moment) -> Result<LeaseUpdate, ClientError> {
    let binding =
        status.binding.parse().map_err(|_| ClientError::Answer("the binding's name is malformed"))?;
    let ttl = duration("lease_ttl", status.lease_ttl.unwrap_or_default());
    let ttl = ttl.map_err(|_| ClientError::Answer("the lease's time to live is not a duration"))?;
    let state = status.state();
    let expires = (state == v1::LeaseState::Live).then_some(sent + ttl);
    Ok(LeaseUpdate { binding, state, expires, status })
}

/// When which sequence number was sent.
#[derive(Debug, Default)]
struct SendingTimes {
    newest: u64,
    times: VecDeque<Moment>,
}

impl SendingTimes {
    fn next(&mut self, now: Moment) -> u64 {
        self.newest += 1;
        if self.times.len() == REMEMBERED {
            self.times.pop_front();
        }
        self.times.push_back(now);
        self.newest
    }

    /// A number so old that it is forgotten counts as sent when the oldest remembered one was... which would be too late;
    /// so it counts as never sent, and the stream is opened anew.
    fn of(&self, sequence: u64) -> Option<Moment> {
        let age = usize::try_from(self.newest.checked_sub(sequence)?).ok()?;
        let index = self.times.len().checked_sub(age + 1)?;
        self.times.get(index).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn times_count_from_when_the_answered_message_was_sent() {
        let mut sent = SendingTimes::default();
        assert_eq!((sent.next(at(1)), sent.next(at(5))), (1, 2));
        assert_eq!((sent.of(1), sent.of(2)), (Some(at(1)), Some(at(5))));
        assert_eq!((sent.of(0), sent.of(3)), (None, None), "never sent");
    }

    #[test]
    fn p9_only_so_many_sending_times_are_remembered_and_the_rest_count_as_never_sent() {
        let mut sent = SendingTimes::default();
        let newest = (0..1000).map(|second| sent.next(at(second))).last().unwrap();
        assert_eq!(sent.of(newest), Some(at(999)));
        assert_eq!(sent.of(newest - REMEMBERED as u64), None);
    }

    #[test]
    fn an_update_that_is_not_live_allows_nothing() {
        let status = v1::LeaseStatus {
            binding: "tenants/a/bindings/b".into(),
            state: v1::LeaseState::Denied.into(),
            lease_ttl: Some(prost_types::Duration { seconds: 300, nanos: 0 }),
            ..Default::default()
        };
        assert_eq!(update(status.clone(), at(0)).unwrap().expires, None);
        let live = v1::LeaseStatus { state: v1::LeaseState::Live.into(), ..status };
        assert_eq!(update(live, at(7)).unwrap().expires, Some(at(307)));
    }
}
