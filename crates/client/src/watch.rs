//! Keeps a cache's leases in step with the service's.

use std::collections::{BTreeMap, HashMap};
use std::sync::Weak;
use std::time::Duration;

use leasehold_api::v1::{LeaseState, WatchAction, WatchMode};
use leasehold_clock::Moment;
use leasehold_ids::{BindingName, TenantId};
use tokio::sync::watch;

use crate::cache::Inner;
use crate::{Client, ClientError, LeaseStream, LeaseUpdate};

/// Which tenants are to be watched, and how.
type Wanted = BTreeMap<TenantId, WatchMode>;

/// The pause before a broken stream is opened again, doubling from the one to the other. Entries live on meanwhile, to the
/// end of the leases that they have; the least bound is 15 s, so the pause stays below it.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// How often leases are renewed: every third of the shortest that lives, so that two renewals may fail; but neither more
/// often than the one nor less often than the other.
const PACE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Watches what is wanted until the cache is gone.
pub(crate) async fn follow(cache: Weak<Inner>, client: Client, mut wanted: watch::Receiver<Wanted>) {
    let (mut pause, mut seen) = (PAUSE.0, Seen::default());
    loop {
        // An error means that the cache is gone.
        if wanted.wait_for(|wanted| !wanted.is_empty()).await.is_err() {
            return;
        }
        match Following::open(&cache, &client, &mut wanted, &mut seen).await {
            Ok(mut following) => match following.run().await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(%error, "the stream of leases broke; it is opened again");
                    // It was open: begin again with the shortest pause.
                    pause = PAUSE.0;
                }
            },
            Err(error) => tracing::warn!(%error, "the stream of leases cannot be opened; it is tried again"),
        }
        client.clock().sleep(pause.mul_f64(1.0 + rand::random::<f64>() / 2.0)).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// One open stream.
struct Following<'a> {
    cache: &'a Weak<Inner>,
    client: &'a Client,
    wanted: &'a mut watch::Receiver<Wanted>,
    stream: LeaseStream,
    /// What the service was told to watch.
    told: Wanted,
    /// Outlives the stream: another life of a lease is noticed even if it began while there was none.
    seen: &'a mut Seen,
}

impl<'a> Following<'a> {
    async fn open(
        cache: &'a Weak<Inner>,
        client: &'a Client,
        wanted: &'a mut watch::Receiver<Wanted>,
        seen: &'a mut Seen,
    ) -> Result<Self, ClientError> {
        let stream = client.leases().await?;
        Ok(Self { cache, client, wanted, stream, told: Wanted::new(), seen })
    }

    /// Ends in good order only when the cache is gone.
    async fn run(&mut self) -> Result<(), ClientError> {
        loop {
            self.tell().await?;
            let renewal = self.client.clock().sleep(self.seen.pace(self.client.clock().now()));
            tokio::select! {
                updates = self.stream.next() => {
                    let over = ClientError::Answer("the service ended the stream");
                    self.apply(updates?.ok_or(over)?).await?;
                }
                changed = self.wanted.changed() => if changed.is_err() { return Ok(()) },
                () = renewal => self.stream.renew().await?,
            }
        }
    }

    /// Tells the service what is wanted now and was not before.
    async fn tell(&mut self) -> Result<(), ClientError> {
        let wanted = self.wanted.borrow_and_update().clone();
        for mode in [WatchMode::Hold, WatchMode::Observe] {
            let news = |(t, m): &(&TenantId, &WatchMode)| **m == mode && self.told.get(*t) != Some(&mode);
            let tenants: Vec<_> = wanted.iter().filter(news).map(|(tenant, _)| tenant.clone()).collect();
            if !tenants.is_empty() {
                self.stream.watch(&tenants, mode).await?;
            }
        }
        let forgotten: Vec<_> = self.told.keys().filter(|t| !wanted.contains_key(*t)).cloned().collect();
        if !forgotten.is_empty() {
            self.stream.watch(&forgotten, WatchMode::Forget).await?;
        }
        self.seen.0.retain(|binding, _| wanted.contains_key(binding.tenant()));
        self.told = wanted;
        Ok(())
    }

    async fn apply(&mut self, updates: Vec<LeaseUpdate>) -> Result<(), ClientError> {
        let Some(cache) = self.cache.upgrade() else { return Ok(()) };
        let ended = self.seen.note(&updates);
        ended.iter().for_each(|(binding, _)| cache.wipe(binding));
        updates.into_iter().for_each(|update| cache.apply(update));
        drop(cache);
        if ended.is_empty() {
            return Ok(());
        }
        self.stream.acknowledge(&ended, WatchAction::Wiped).await
    }
}

/// What the service last said about each binding.
#[derive(Debug, Default)]
struct Seen(HashMap<BindingName, Last>);

#[derive(Debug)]
struct Last {
    /// None unless LIVE.
    expires: Option<Moment>,
    /// Zero unless LIVE.
    epoch: u64,
}

impl Seen {
    /// The bindings whose lease ended, with the epoch that ended. Each end is told once: the answer to an acknowledgement
    /// says again how things stand.
    fn note(&mut self, updates: &[LeaseUpdate]) -> Vec<(BindingName, u64)> {
        let mut ended = Vec::new();
        for update in updates {
            let before = self.0.get(&update.binding);
            let last_epoch = before.map_or(0, |last| last.epoch);
            let is_end = match before {
                // Another life: the end of the one before was missed.
                Some(last) if update.expires.is_some() => {
                    last.epoch != 0 && last.epoch != update.status.epoch
                }
                None if update.expires.is_some() => false,
                Some(last) => last.expires.is_some(),
                // Nothing was ever held under a lease that nobody has used yet.
                None => !matches!(update.state, LeaseState::Idle | LeaseState::Proving),
            };
            if is_end {
                ended.push((update.binding.clone(), last_epoch));
            }
            let epoch = if update.expires.is_some() { update.status.epoch } else { 0 };
            let last = Last { expires: update.expires, epoch };
            self.0.insert(update.binding.clone(), last);
        }
        ended
    }

    fn pace(&self, now: Moment) -> Duration {
        let left = self.0.values().filter_map(|last| last.expires.map(|at| at.since(now))).min();
        left.map_or(PACE.1, |left| left / 3).clamp(PACE.0, PACE.1)
    }
}

#[cfg(test)]
mod tests {
    use leasehold_api::v1::LeaseStatus;

    use super::*;

    fn update(state: LeaseState, epoch: u64, expires: Option<u64>) -> LeaseUpdate {
        let expires = expires.map(|s| Moment::from_start(Duration::from_secs(s)));
        let status = LeaseStatus { epoch, ..Default::default() };
        LeaseUpdate { binding: "tenants/a/bindings/b".parse().unwrap(), state, expires, status }
    }

    fn epochs(ended: Vec<(BindingName, u64)>) -> Vec<u64> {
        ended.into_iter().map(|(_, epoch)| epoch).collect()
    }

    #[test]
    fn the_end_of_a_lease_is_acknowledged_once() {
        let mut seen = Seen::default();
        assert!(seen.note(&[update(LeaseState::Live, 4, Some(300))]).is_empty());
        assert_eq!(epochs(seen.note(&[update(LeaseState::Denied, 0, None)])), [4]);
        assert!(seen.note(&[update(LeaseState::Denied, 0, None)]).is_empty());
        assert!(seen.note(&[update(LeaseState::Lapsed, 0, None)]).is_empty());
        assert!(seen.note(&[update(LeaseState::Live, 5, Some(400))]).is_empty());
        assert_eq!(epochs(seen.note(&[update(LeaseState::Lapsed, 0, None)])), [5]);
    }

    #[test]
    fn p2_another_life_of_a_lease_means_that_the_one_before_ended() {
        let mut seen = Seen::default();
        assert!(seen.note(&[update(LeaseState::Live, 1, Some(300))]).is_empty());
        assert!(seen.note(&[update(LeaseState::Live, 1, Some(400))]).is_empty());
        assert_eq!(epochs(seen.note(&[update(LeaseState::Live, 3, Some(500))])), [1]);
    }

    #[test]
    fn leases_are_renewed_three_times_before_the_shortest_runs_out() {
        let (mut seen, now) = (Seen::default(), Moment::START);
        assert_eq!(seen.pace(now), PACE.1);
        seen.note(&[update(LeaseState::Live, 1, Some(30))]);
        assert_eq!(seen.pace(now), Duration::from_secs(10));
        seen.note(&[update(LeaseState::Live, 1, Some(1))]);
        assert_eq!(seen.pace(now), PACE.0);
    }
}
