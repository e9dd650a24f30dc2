//! Whose turn it is to prove: one fair budget for all bindings of a provider.
//!
//! A token bucket with a queue in front of it. The nearest expiry goes first; retries of denied bindings get at most a
//! tenth, so that a thousand tenants who revoked cannot delay the one who did not; and a tenant that takes more than its
//! share (see `shares`) goes behind the others.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leasehold_clock::{Moment, TimeSource};
use leasehold_ids::TenantId;
use leasehold_tenant::RevocationBound;
use tokio::sync::{Notify, oneshot};

use crate::flights::Urgency;
use crate::shares::Shares;

/// The share of the budget that retries of denied bindings may use.
const RETRY_SHARE: f64 = 0.1;

/// The share of the budget that renewals may be planned to use; the rest is for first uses, retries and reproves.
const PLANNED_SHARE: f64 = 0.7;

/// The least share of the bound after which a lease is renewed (see `schedule`), and so the most proofs per bound.
const PROOFS_PER_BOUND: f64 = 1.0 / 0.4;

/// How much may be used at once after a quiet time, in seconds of the rate. One second: the clouds' own buckets are
/// about as deep.
const BURST: f64 = 1.0;

/// The rates that a budget works with; others are moved to the nearest of them. A rate of zero, or none at all, would
/// never give a turn and let every lease lapse.
const RATES: std::ops::RangeInclusive<f64> = 0.1..=1e6;

/// A plan that would use more of the budget than renewals may. It is the sum over all tenants, and so for the operator's eyes alone.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "{leases} leases would need {needed:.1} proofs per second at their bounds (2.5 per bound each), and 70 % of \
     proofs_per_second = {budget:.1} is {allowed:.1}: choose longer bounds or raise proofs_per_second"
)]
pub struct OverBudget {
    /// How many leases were counted: one for each binding, two where keys have versions.
    pub leases: usize,
    /// Proofs per second that they would need if all were in use.
    pub needed: f64,
    /// The whole budget.
    pub budget: f64,
    /// What renewals may be planned to use of it.
    pub allowed: f64,
}

/// How many proofs per second renew `leases` leases of this bound at most.
#[must_use]
pub fn proofs_needed(leases: usize, bound: RevocationBound) -> f64 {
    // Far more leases than any tenant has count exactly.
    let leases = f64::from(u32::try_from(leases).unwrap_or(u32::MAX));
    leases * PROOFS_PER_BOUND / bound.get().as_secs_f64()
}

/// Checks that leases with these bounds, all in use, can be renewed within `proofs_per_second`.
///
/// # Errors
/// [`OverBudget`] with the arithmetic.
pub fn check_plan(
    bounds: impl IntoIterator<Item = RevocationBound>,
    proofs_per_second: f64,
) -> Result<(), OverBudget> {
    let mut leases = 0;
    let mut needed = 0.0;
    for bound in bounds {
        leases += 1;
        needed += proofs_needed(1, bound);
    }
    let allowed = proofs_per_second * PLANNED_SHARE;
    if needed <= allowed {
        return Ok(());
    }
    Err(OverBudget { leases, needed, budget: proofs_per_second, allowed })
}

/// The budget of one provider.
#[derive(Clone)]
pub(crate) struct Budget {
    clock: Arc<dyn TimeSource>,
    state: Arc<Mutex<State>>,
    /// Tells the pump that somebody came, who may be served before those that it sleeps for.
    arrived: Arc<Notify>,
}

struct State {
    all: Bucket,
    retries: Bucket,
    shares: Shares,
    waiting: BinaryHeap<Waiter>,
    arrivals: u64,
    /// Whether a task hands out turns at present.
    pumping: bool,
}

impl Budget {
    pub(crate) fn new(proofs_per_second: f64, clock: Arc<dyn TimeSource>) -> Self {
        let now = clock.now();
        // `max` first: of a number and none it gives the number.
        let rate = proofs_per_second.max(*RATES.start()).min(*RATES.end());
        let state = State {
            all: Bucket::full(rate, now),
            retries: Bucket::full(rate * RETRY_SHARE, now),
            shares: Shares::new(rate),
            waiting: BinaryHeap::new(),
            arrivals: 0,
            pumping: false,
        };
        Self { clock, state: Arc::new(Mutex::new(state)), arrived: Arc::default() }
    }

    /// Completes when it is the caller's turn, who asks on behalf of `tenant`. A caller that goes away loses its place and
    /// nothing else. The queue is bounded by the flights that the leases allow: two for each.
    pub(crate) async fn turn(&self, urgency: Urgency, tenant: &TenantId) {
        let turn = {
            let mut state = self.lock();
            let now = self.clock.now();
            let within_share = state.shares.charge(tenant, now);
            if state.waiting.is_empty() && state.take(urgency, now) {
                return;
            }
            let (grant, turn) = oneshot::channel();
            let arrival = state.arrivals;
            state.arrivals += 1;
            state.waiting.push(Waiter { urgency, within_share, arrival, grant });
            if std::mem::replace(&mut state.pumping, true) {
                self.arrived.notify_one();
            } else {
                tokio::spawn(self.clone().pump());
            }
            turn
        };
        // The pump outlives every waiter; should it be gone, the runtime is going down.
        let _ = turn.await;
    }

    /// Hands out turns until nobody waits.
    async fn pump(self) {
        loop {
            let pause = {
                let mut state = self.lock();
                match state.grant(self.clock.now()) {
                    Some(pause) => pause,
                    None => {
                        state.pumping = false;
                        return;
                    }
                }
            };
            tokio::select! {
                () = self.clock.sleep(pause) => {}
                () = self.arrived.notified() => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Grants every turn that can be granted now; how long until the next one, or `None` if nobody waits.
    fn grant(&mut self, now: Moment) -> Option<Duration> {
        loop {
            let next = self.waiting.peek()?;
            if !next.grant.is_closed() && !self.take(next.urgency, now) {
                return Some(self.pause());
            }
            if let Some(waiter) = self.waiting.pop() {
                // One who left in this very moment wastes a turn, which is a turn for everybody else a little later.
                let _ = waiter.grant.send(());
            }
        }
    }

    fn take(&mut self, urgency: Urgency, now: Moment) -> bool {
        self.all.refill(now);
        self.retries.refill(now);
        match urgency {
            Urgency::Needed { .. } => self.all.take(),
            Urgency::Retry if self.retries.has_one() && self.all.has_one() => {
                self.retries.take() && self.all.take()
            }
            Urgency::Retry => false,
        }
    }

    fn pause(&self) -> Duration {
        match self.waiting.peek().map(|next| next.urgency) {
            Some(Urgency::Retry) => self.retries.until_one().max(self.all.until_one()),
            _ => self.all.until_one(),
        }
    }
}

/// Tokens that grow with time.
pub(crate) struct Bucket {
    rate: f64,
    tokens: f64,
    filled: Moment,
}

impl Bucket {
    pub(crate) fn full(rate: f64, now: Moment) -> Self {
        Self { rate, tokens: Self::depth(rate), filled: now }
    }

    /// At least one token, or a slow rate would never have a whole one.
    fn depth(rate: f64) -> f64 {
        (rate * BURST).max(1.0)
    }

    pub(crate) fn refill(&mut self, now: Moment) {
        let grown = now.since(self.filled).as_secs_f64() * self.rate;
        self.tokens = (self.tokens + grown).min(Self::depth(self.rate));
        self.filled = now;
    }

    fn has_one(&self) -> bool {
        self.tokens >= 1.0
    }

    pub(crate) fn is_full(&mut self, now: Moment) -> bool {
        self.refill(now);
        self.tokens >= Self::depth(self.rate)
    }

    pub(crate) fn take(&mut self) -> bool {
        let has_one = self.has_one();
        if has_one {
            self.tokens -= 1.0;
        }
        has_one
    }

    /// How long until there is a whole token. At least a millisecond, so that rounding cannot make the pump spin.
    fn until_one(&self) -> Duration {
        Duration::from_secs_f64(((1.0 - self.tokens) / self.rate).clamp(0.001, 60.0))
    }
}

struct Waiter {
    urgency: Urgency,
    within_share: bool,
    arrival: u64,
    grant: oneshot::Sender<()>,
}

impl Waiter {
    /// What goes first is greatest: needed before retry, within its tenant's share before the rest, nearest expiry, then
    /// first come.
    fn rank(&self) -> (bool, bool, std::cmp::Reverse<Moment>, std::cmp::Reverse<u64>) {
        let (needed, by) = match self.urgency {
            Urgency::Needed { by } => (true, by),
            Urgency::Retry => (false, Moment::START),
        };
        (needed, self.within_share, std::cmp::Reverse(by), std::cmp::Reverse(self.arrival))
    }
}

impl Ord for Waiter {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Waiter {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiter {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Waiter {}

#[cfg(test)]
mod tests {
    use leasehold_clock::ManualClock;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    fn tenant(n: usize) -> TenantId {
        format!("t-{n}").parse().unwrap()
    }

    /// Lets `urgencies` queue in order behind an empty bucket of 1 per second, and gives the order of their turns.
    /// Each is of another tenant.
    async fn order_of(urgencies: &[Urgency], seconds: u64) -> Vec<usize> {
        let each: Vec<_> = urgencies.iter().copied().zip(1..).collect();
        order_among(&each, seconds).await
    }

    /// The same with the tenant of each; tenant 0 takes the first turn of all.
    async fn order_among(waiting: &[(Urgency, usize)], seconds: u64) -> Vec<usize> {
        let clock = ManualClock::new();
        let budget = Budget::new(1.0, Arc::new(clock.clone()));
        budget.turn(Urgency::Needed { by: at(0) }, &tenant(0)).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        for (i, (urgency, of)) in waiting.iter().copied().enumerate() {
            let (budget, order) = (budget.clone(), Arc::clone(&order));
            tokio::spawn(async move {
                budget.turn(urgency, &tenant(of)).await;
                order.lock().unwrap().push(i);
            });
            clock.settle().await;
        }
        clock.advance(Duration::from_secs(seconds)).await;
        order.lock().map(|order| order.clone()).unwrap()
    }

    #[tokio::test]
    async fn the_nearest_expiry_goes_first() {
        let by = |s| Urgency::Needed { by: at(s) };
        assert_eq!(order_of(&[by(90), by(30), by(60)], 4).await, [1, 2, 0]);
    }

    #[tokio::test]
    async fn p9_retries_of_denied_bindings_never_delay_a_renewal() {
        let retries = vec![Urgency::Retry; 50];
        let mut queue = retries.clone();
        queue.push(Urgency::Needed { by: at(500) });
        assert_eq!(order_of(&queue, 2).await.first(), Some(&50), "the renewal overtakes all 50 retries");
    }

    #[tokio::test]
    async fn p9_a_tenant_that_takes_more_than_its_share_goes_behind_the_others() {
        let of_one = (0..100).map(|_| (Urgency::Needed { by: at(15) }, 0));
        let waiting: Vec<_> = of_one.chain([(Urgency::Needed { by: at(300) }, 1)]).collect();
        assert_eq!(
            order_among(&waiting, 2).await.first(),
            Some(&100),
            "one lease of tenant 1 before 100 of tenant 0"
        );
    }

    #[tokio::test]
    async fn a_tenant_that_is_alone_gets_all_that_there_is() {
        let waiting = vec![(Urgency::Needed { by: at(15) }, 0); 100];
        let granted = order_among(&waiting, 50).await.len();
        assert!((49..=51).contains(&granted), "{granted} in 50 s at 1 proof/s");
    }

    #[tokio::test]
    async fn p9_retries_of_denied_bindings_get_a_tenth_of_the_budget() {
        let granted = order_of(&[Urgency::Retry; 50], 100).await.len();
        assert!((9..=12).contains(&granted), "{granted} retries in 100 s at 1 proof/s");
    }

    #[tokio::test]
    async fn p9_a_renewal_does_not_sleep_until_the_next_retry_may_go() {
        let clock = ManualClock::new();
        let budget = Budget::new(1.0, Arc::new(clock.clone()));
        budget.turn(Urgency::Retry, &tenant(0)).await;
        let retry = tokio::spawn({
            let budget = budget.clone();
            async move { budget.turn(Urgency::Retry, &tenant(0)).await }
        });
        clock.advance(Duration::from_secs(2)).await;
        let renewal =
            tokio::spawn(async move { budget.turn(Urgency::Needed { by: at(60) }, &tenant(0)).await });
        clock.settle().await;
        assert!(renewal.is_finished(), "there is a whole token, and only retries have none");
        assert!(!retry.is_finished());
    }

    #[tokio::test]
    async fn a_rate_that_is_no_rate_neither_stops_nor_floods() {
        for rate in [0.0, -1.0, f64::NAN] {
            let clock = ManualClock::new();
            let budget = Budget::new(rate, Arc::new(clock.clone()));
            budget.turn(Urgency::Retry, &tenant(0)).await;
            let turns: Vec<_> = [Urgency::Needed { by: at(0) }, Urgency::Retry]
                .map(|urgency| {
                    let budget = budget.clone();
                    tokio::spawn(async move { budget.turn(urgency, &tenant(0)).await })
                })
                .into();
            clock.settle().await;
            assert!(turns.iter().all(|turn| !turn.is_finished()), "{rate} does not mean at will");
            clock.advance(Duration::from_secs(200)).await;
            assert!(turns.iter().all(tokio::task::JoinHandle::is_finished), "{rate} does not mean never");
        }
    }

    #[tokio::test]
    async fn one_who_left_does_not_hold_up_the_queue() {
        let clock = ManualClock::new();
        let budget = Budget::new(1.0, Arc::new(clock.clone()));
        budget.turn(Urgency::Needed { by: at(0) }, &tenant(0)).await;
        let gone = tokio::spawn({
            let budget = budget.clone();
            async move { budget.turn(Urgency::Needed { by: at(1) }, &tenant(0)).await }
        });
        clock.settle().await;
        gone.abort();
        let next = tokio::spawn(async move { budget.turn(Urgency::Needed { by: at(2) }, &tenant(0)).await });
        clock.advance(Duration::from_millis(1_100)).await;
        assert!(next.is_finished());
    }

    #[test]
    fn a_plan_beyond_70_percent_is_refused_with_the_arithmetic() {
        let strict = std::iter::repeat_n(RevocationBound::STRICT, 100);
        assert_eq!(check_plan(strict.clone(), 6.0), Ok(()), "100 × 2.5 / 60 s = 4.17 of 4.2 proofs/s");
        let refused = check_plan(strict, 5.0).unwrap_err();
        assert!(refused.to_string().contains("4.2 proofs per second"), "{refused}");
        assert!(refused.to_string().contains("3.5"), "{refused}");
    }
}
