//! What one tenant may use of us at the same time, and how often it may repeat a failed call.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leasehold_clock::{Moment, TimeSource};
use leasehold_ids::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Fault, Limits, ProviderError, Throttler};

/// Which places a call takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// A caller's request.
    Request,
    /// Part of a proof, or of an activation.
    Proof,
}

/// The budgets of all tenants, so that each keeps to its own.
#[derive(Debug)]
pub(crate) struct Budgets {
    limits: Limits,
    tenants: Mutex<HashMap<TenantId, Arc<Budget>>>,
    /// For calls that are nobody's: who we are, and sessions that did not come through [`crate::Guarded`].
    ours: Arc<Budget>,
}

/// The budget of one tenant.
#[derive(Debug)]
pub(crate) struct Budget {
    requests: Places,
    proofs: Places,
    retries: Mutex<Bucket>,
}

/// A place among the calls under way; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

// === impl Budgets ===

impl Budgets {
    pub(crate) fn new(limits: Limits, now: Moment) -> Self {
        let ours = Arc::new(Budget::new(&limits, now));
        Self { limits, tenants: Mutex::default(), ours }
    }

    /// The budget of `tenant`, or the one that is nobody's.
    pub(crate) fn of(&self, tenant: Option<&TenantId>, now: Moment) -> Result<Arc<Budget>, ProviderError> {
        let Some(tenant) = tenant else { return Ok(Arc::clone(&self.ours)) };
        let mut tenants = self.tenants();
        if let Some(budget) = tenants.get(tenant) {
            return Ok(Arc::clone(budget));
        }
        if tenants.len() >= self.limits.tenants {
            make_room(&mut tenants, &self.limits, now);
        }
        if tenants.len() >= self.limits.tenants {
            return Err(over_budget("calls of too many tenants are under way"));
        }
        let budget = Arc::new(Budget::new(&self.limits, now));
        tenants.insert(tenant.clone(), Arc::clone(&budget));
        Ok(budget)
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<TenantId, Arc<Budget>>> {
        // The map is whole after every statement that holds the lock.
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets budgets that say nothing: unused, with all retries given back. If there are none, every unused one: a tenant
/// then gets its retries back early, which is better than turning another away.
fn make_room(tenants: &mut HashMap<TenantId, Arc<Budget>>, limits: &Limits, now: Moment) {
    let before = tenants.len();
    tenants.retain(|_, budget| Arc::strong_count(budget) > 1 || !budget.is_untouched(limits, now));
    if tenants.len() == before {
        tenants.retain(|_, budget| Arc::strong_count(budget) > 1);
    }
}

// === impl Budget ===

impl Budget {
    fn new(limits: &Limits, now: Moment) -> Self {
        Self {
            requests: Places::new(limits.concurrency, limits.waiting),
            proofs: Places::new(limits.proof_concurrency, limits.waiting),
            retries: Mutex::new(Bucket { spent: 0, since: now }),
        }
    }

    /// A place in `lane`, waited for until `until`.
    pub(crate) async fn enter(
        &self,
        lane: Lane,
        clock: &dyn TimeSource,
        until: Moment,
    ) -> Result<Place, ProviderError> {
        match lane {
            Lane::Request => self.requests.enter(clock, until).await,
            Lane::Proof => self.proofs.enter(clock, until).await,
        }
    }

    /// Takes one retry out of the budget; false if there is none.
    pub(crate) fn take_retry(&self, limits: &Limits, now: Moment) -> bool {
        self.retries().take(limits, now)
    }

    fn is_untouched(&self, limits: &Limits, now: Moment) -> bool {
        let mut retries = self.retries();
        retries.refill(limits, now);
        retries.spent == 0
    }

    fn retries(&self) -> MutexGuard<'_, Bucket> {
        // Two integers, assigned one after the other; a torn pair is at worst one retry more.
        self.retries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A token bucket, counted from its full end so that a new one needs no limits.
#[derive(Debug)]
struct Bucket {
    spent: u32,
    since: Moment,
}

impl Bucket {
    fn take(&mut self, limits: &Limits, now: Moment) -> bool {
        self.refill(limits, now);
        if self.spent >= limits.retry_burst {
            return false;
        }
        if self.spent == 0 {
            self.since = now;
        }
        self.spent += 1;
        true
    }

    fn refill(&mut self, limits: &Limits, now: Moment) {
        let step = limits.retry_refill.as_nanos().max(1);
        let back = now.since(self.since).as_nanos() / step;
        let back = u32::try_from(back).unwrap_or(u32::MAX);
        if back >= self.spent {
            *self = Self { spent: 0, since: now };
        } else {
            self.spent -= back;
            // What was waited beyond whole steps counts towards the next one.
            self.since = self.since + limits.retry_refill.saturating_mul(back);
        }
    }
}

/// A number of places, and a bound on who may wait for one.
#[derive(Debug)]
struct Places {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
}

impl Places {
    fn new(places: usize, most_waiting: usize) -> Self {
        let free = Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS)));
        Self { free, waiting: AtomicUsize::new(0), most_waiting }
    }

    async fn enter(&self, clock: &dyn TimeSource, until: Moment) -> Result<Place, ProviderError> {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(Place { _permit: permit });
        }
        let _waiter = Waiter::join(self)?;
        tokio::select! {
            biased;
            permit = Arc::clone(&self.free).acquire_owned() => match permit {
                Ok(permit) => Ok(Place { _permit: permit }),
                Err(_) => Err(over_budget("no place among the tenant's calls")),
            },
            () = clock.sleep_until(until) => Err(over_budget("waited too long for a place among the tenant's calls")),
        }
    }
}

/// One that waits; counted until it is dropped, however its wait ends.
struct Waiter<'a>(&'a AtomicUsize);

impl<'a> Waiter<'a> {
    fn join(places: &'a Places) -> Result<Self, ProviderError> {
        // Counted first and asked afterwards: two that come at once cannot both take the last place in the queue.
        let waiter = Self(&places.waiting);
        if places.waiting.fetch_add(1, Ordering::Relaxed) >= places.most_waiting {
            return Err(over_budget("too many of the tenant's calls are waiting"));
        }
        Ok(waiter)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn over_budget(detail: &str) -> ProviderError {
    ProviderError::new(Fault::Throttled { by: Throttler::OwnBudget, retry_after: None }, detail)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits() -> Limits {
        Limits { retry_burst: 3, retry_refill: Duration::from_secs(1), tenants: 2, ..Limits::default() }
    }

    fn at(millis: u64) -> Moment {
        Moment::from_start(Duration::from_millis(millis))
    }

    fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    #[test]
    fn retries_come_back_one_per_refill_and_no_more_than_the_burst() {
        let (limits, budget) = (limits(), Budget::new(&limits(), Moment::START));
        let take = |millis| budget.take_retry(&limits, at(millis));
        assert_eq!([take(0), take(0), take(0), take(0)], [true, true, true, false]);
        assert_eq!([take(999), take(1000), take(1001)], [false, true, false]);
        assert_eq!([take(1999), take(2000)], [false, true], "fractions of a step add up");
        assert_eq!([take(60_000), take(60_000), take(60_000), take(60_000)], [true, true, true, false]);
    }

    #[test]
    fn idle_budgets_are_forgotten_first_and_spent_ones_are_kept() {
        let budgets = Budgets::new(limits(), Moment::START);
        let spent = budgets.of(Some(&tenant("spent")), at(0)).unwrap();
        assert!(spent.take_retry(&limits(), at(0)));
        drop(spent);
        drop(budgets.of(Some(&tenant("idle")), at(0)).unwrap());
        drop(budgets.of(Some(&tenant("new")), at(0)).unwrap());
        let names: Vec<_> = budgets.tenants().keys().map(ToString::to_string).collect();
        assert!(names.contains(&"spent".to_owned()) && !names.contains(&"idle".to_owned()), "{names:?}");
    }

    #[test]
    fn p9_budgets_are_bounded_and_calls_under_way_are_never_forgotten() {
        let budgets = Budgets::new(limits(), Moment::START);
        let held: Vec<_> = ["a", "b"].map(|t| budgets.of(Some(&tenant(t)), at(0)).unwrap()).into();
        let refused = budgets.of(Some(&tenant("c")), at(0)).unwrap_err();
        assert!(matches!(refused.fault(), Fault::Throttled { by: Throttler::OwnBudget, .. }));
        assert_eq!(budgets.tenants().len(), 2);
        drop(held);
        assert!(budgets.of(Some(&tenant("c")), at(0)).is_ok());
    }
}
