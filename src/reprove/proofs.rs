//! Has proofs begun: at once, one at a time for a tenant, and again a little later.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leasehold_clock::{Moment, TimeSource};
use leasehold_ids::TenantId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Most tenants with proofs under way or to come. Each has a task of some KiB. When there are as many, one that only waits
/// for a later look gives way.
const MAX_TENANTS: usize = 4096;

/// What became of a request for a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    /// It begins now.
    Started,
    /// One is under way that began before the request, so that another one follows it.
    Queued,
}

/// As many tenants are being proven as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

/// The proofs that feeds asked for.
#[derive(Clone)]
pub(super) struct Proofs(Arc<Inner>);

struct Inner {
    clock: Arc<dyn TimeSource>,
    again_after: Vec<Duration>,
    ending: CancellationToken,
    tasks: TaskTracker,
    tenants: Mutex<HashMap<TenantId, Wanted>>,
}

/// What one tenant is to have proven.
struct Wanted {
    /// When, earliest first.
    due: VecDeque<Moment>,
    under_way: bool,
    changed: Arc<Notify>,
}

enum Next {
    Prove,
    Wait(Moment, Arc<Notify>),
    Over,
}

impl Proofs {
    pub(super) fn new(
        again_after: Vec<Duration>,
        clock: Arc<dyn TimeSource>,
        ending: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        Self(Arc::new(Inner { clock, again_after, ending, tasks, tenants: Mutex::default() }))
    }

    /// Has `prove` called now, or when the call that is under way has ended; and again later. A burst of requests makes one
    /// call under way and one to follow it. Later calls that an earlier request asked for give way to this one's.
    ///
    /// # Errors
    /// [`Full`].
    pub(super) fn ask<F>(
        &self,
        tenant: &TenantId,
        prove: impl Fn() -> F + Send + 'static,
    ) -> Result<Begun, Full>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let now = self.0.clock.now();
        let spans = [Duration::ZERO].into_iter().chain(self.0.again_after.iter().copied());
        let due = spans.map(|span| now + span).collect();
        let mut tenants = self.0.tenants();
        if let Some(wanted) = tenants.get_mut(tenant) {
            wanted.due = due;
            wanted.changed.notify_one();
            return Ok(if wanted.under_way { Begun::Queued } else { Begun::Started });
        }
        if tenants.len() >= MAX_TENANTS && !give_way(&mut tenants, now) {
            return Err(Full);
        }
        tenants.insert(tenant.clone(), Wanted { due, under_way: false, changed: Arc::default() });
        drop(tenants);
        let turn = Turn { inner: Arc::clone(&self.0), tenant: tenant.clone(), over: false };
        self.0.tasks.spawn(turn.run(prove));
        Ok(Begun::Started)
    }
}

/// Gives up the later looks of the tenant whose next one is the latest; whether there is one.
fn give_way(tenants: &mut HashMap<TenantId, Wanted>, now: Moment) -> bool {
    let waiting = tenants.values_mut().filter(|wanted| !wanted.under_way);
    let latest = waiting.filter(|wanted| wanted.due.front().is_some_and(|at| *at > now));
    let Some(wanted) = latest.max_by_key(|wanted| wanted.due.front().copied()) else { return false };
    // Its task takes it off the list.
    wanted.due.clear();
    wanted.changed.notify_one();
    true
}

impl Inner {
    /// Every critical section is a look-up and some assignments, so a panic elsewhere cannot have broken the list.
    fn tenants(&self) -> MutexGuard<'_, HashMap<TenantId, Wanted>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task of one tenant.
struct Turn {
    inner: Arc<Inner>,
    tenant: TenantId,
    over: bool,
}

impl Turn {
    async fn run<F: Future<Output = ()>>(mut self, prove: impl Fn() -> F) {
        let ending = self.inner.ending.clone();
        // What is learnt while the process ends is of no use: everything is wiped then.
        let _ = ending.run_until_cancelled(self.follow(prove)).await;
    }

    async fn follow<F: Future<Output = ()>>(&mut self, prove: impl Fn() -> F) {
        loop {
            match self.next() {
                Next::Prove => prove().await,
                Next::Wait(at, changed) => tokio::select! {
                    () = self.inner.clock.sleep_until(at) => {}
                    () = changed.notified() => {}
                },
                Next::Over => return,
            }
        }
    }

    fn next(&mut self) -> Next {
        let now = self.inner.clock.now();
        let mut tenants = self.inner.tenants();
        let Some(wanted) = tenants.get_mut(&self.tenant) else { return Next::Over };
        wanted.under_way = wanted.due.front().is_some_and(|at| *at <= now);
        if wanted.under_way {
            // One call serves all that is due.
            wanted.due.retain(|at| *at > now);
            return Next::Prove;
        }
        match wanted.due.front() {
            Some(at) => Next::Wait(*at, Arc::clone(&wanted.changed)),
            None => {
                tenants.remove(&self.tenant);
                self.over = true;
                Next::Over
            }
        }
    }
}

/// A task that ended before its time, by a panic say, leaves no mark behind: the next request begins anew.
impl Drop for Turn {
    fn drop(&mut self) {
        if !self.over {
            self.inner.tenants().remove(&self.tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use leasehold_clock::ManualClock;
    use tokio::sync::Semaphore;

    use super::*;

    /// Proofs that end when they are let go, and how many began.
    struct World {
        clock: ManualClock,
        proofs: Proofs,
        begun: Arc<AtomicUsize>,
        go: Arc<Semaphore>,
        ending: CancellationToken,
    }

    impl World {
        fn new(again_after: &[u64]) -> Self {
            let (clock, ending) = (ManualClock::new(), CancellationToken::new());
            let again_after = again_after.iter().copied().map(Duration::from_secs).collect();
            let source: Arc<dyn TimeSource> = Arc::new(clock.clone());
            let proofs = Proofs::new(again_after, source, ending.clone(), TaskTracker::new());
            Self { clock, proofs, begun: Arc::default(), go: Arc::new(Semaphore::new(0)), ending }
        }

        fn ask(&self, tenant: &str) -> Result<Begun, Full> {
            let (begun, go) = (Arc::clone(&self.begun), Arc::clone(&self.go));
            self.proofs.ask(&tenant.parse().unwrap(), move || {
                begun.fetch_add(1, Ordering::Relaxed);
                let go = Arc::clone(&go);
                async move { go.acquire().await.unwrap().forget() }
            })
        }

        async fn begun(&self) -> usize {
            self.clock.settle().await;
            self.begun.load(Ordering::Relaxed)
        }
    }

    #[tokio::test]
    async fn p9_a_burst_of_events_makes_one_proof_under_way_and_one_to_follow() {
        let world = World::new(&[]);
        assert_eq!(world.ask("acme"), Ok(Begun::Started));
        assert_eq!(world.begun().await, 1);
        for _ in 0..50 {
            assert_eq!(world.ask("acme"), Ok(Begun::Queued));
        }
        assert_eq!(world.begun().await, 1);
        assert_eq!(world.ask("globex"), Ok(Begun::Started), "another tenant waits for nobody");
        assert_eq!(world.begun().await, 2);
        world.go.add_permits(10);
        assert_eq!(world.begun().await, 3);
        assert!(world.proofs.0.tenants().is_empty(), "nothing is left behind");
        assert_eq!(world.ask("acme"), Ok(Begun::Started));
        assert_eq!(world.begun().await, 4);
    }

    #[tokio::test]
    async fn a_proof_is_made_again_later_because_events_overtake_edits() {
        let world = World::new(&[10, 60]);
        world.go.add_permits(100);
        world.ask("acme").unwrap();
        assert_eq!(world.begun().await, 1);
        world.clock.advance(Duration::from_secs(9)).await;
        assert_eq!(world.begun().await, 1);
        world.clock.advance(Duration::from_secs(1)).await;
        assert_eq!(world.begun().await, 2);
        world.clock.advance(Duration::from_secs(20)).await;
        assert_eq!(world.ask("acme"), Ok(Begun::Started), "an event in between begins a proof at once");
        assert_eq!(world.begun().await, 3);
        world.clock.advance(Duration::from_secs(59)).await;
        assert_eq!(world.begun().await, 4, "and moves the later ones");
        world.clock.advance(Duration::from_secs(1)).await;
        assert_eq!(world.begun().await, 5);
        assert!(world.proofs.0.tenants().is_empty());
    }

    #[tokio::test]
    async fn p9_the_number_of_tenants_is_bounded_and_the_end_frees_them() {
        let world = World::new(&[]);
        for n in 0..MAX_TENANTS {
            assert_eq!(world.ask(&format!("t{n}")), Ok(Begun::Started));
        }
        assert_eq!(world.ask("acme"), Err(Full));
        assert!(world.ask("t0").is_ok());
        world.ending.cancel();
        world.proofs.0.tasks.close();
        world.proofs.0.tasks.wait().await;
        assert!(world.proofs.0.tenants().is_empty());
    }
}
