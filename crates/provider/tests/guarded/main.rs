//! Deadlines, retries and budgets, driven by a manual clock.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod scripted;

use std::sync::Arc;
use std::time::Duration;

use leasehold_clock::{ManualClock, TimeSource};
use leasehold_provider::{Fault, Guarded, KeyProvider, Limits, ProviderError, Session, Throttler};
use scripted::{Scripted, Step, binding, canary, request};
use tokio::task::JoinHandle;

const LONG: Duration = Duration::from_secs(60);

struct Bench {
    clock: ManualClock,
    inner: Arc<Scripted>,
    guarded: Arc<Guarded>,
}

impl Bench {
    fn new(limits: Limits, script: Vec<Step>, forever: Step) -> Self {
        let clock = ManualClock::new();
        let time: Arc<dyn TimeSource> = Arc::new(clock.clone());
        let inner = Scripted::new(Arc::clone(&time), script, forever);
        let guarded = Arc::new(Guarded::with_seed(inner.clone(), time, limits, 7));
        Self { clock, inner, guarded }
    }

    /// Starts an assume; its outcome comes with the moment at which it was known.
    fn assume(&self, tenant: &'static str) -> JoinHandle<(Result<(), ProviderError>, Duration)> {
        let (guarded, clock) = (Arc::clone(&self.guarded), self.clock.clone());
        tokio::spawn(async move {
            let outcome = guarded.assume(&binding(tenant)).await.map(|_| ());
            (outcome, clock.now().since_start())
        })
    }

    fn request(&self, session: &Session) -> JoinHandle<(Result<(), ProviderError>, Duration)> {
        let (guarded, clock, session) = (Arc::clone(&self.guarded), self.clock.clone(), session.clone());
        tokio::spawn(async move {
            let outcome = request(&guarded, &session).await;
            (outcome, clock.now().since_start())
        })
    }

    /// What comes of a call without any time passing.
    async fn at_once<T>(&self, call: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            outcome = call => outcome,
            () = self.clock.settle() => panic!("it waits"),
        }
    }

    async fn refused_at_once(&self, tenant: &str) -> ProviderError {
        self.at_once(self.guarded.assume(&binding(tenant))).await.unwrap_err()
    }

    async fn session(&self, tenant: &str) -> Session {
        self.at_once(self.guarded.assume(&binding(tenant))).await.unwrap().value
    }
}

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn throttled(seconds: Option<u64>) -> Step {
    Step::Fail(Fault::Throttled { by: Throttler::Cloud, retry_after: seconds.map(Duration::from_secs) })
}

#[tokio::test]
async fn p9_an_attempt_without_an_answer_ends_at_its_deadline() {
    let bench = Bench::new(Limits { retries: 0, ..Limits::default() }, vec![], Step::Hang);
    let call = bench.assume("a");
    bench.clock.advance(LONG).await;
    let (outcome, at) = call.await.unwrap();
    let error = outcome.unwrap_err();
    assert_eq!((error.fault(), error.code()), (&Fault::Unavailable, Some("DEADLINE")));
    assert_eq!(at, secs(2.0));
}

#[tokio::test]
async fn p9_a_call_ends_within_its_total_deadline_pauses_included() {
    let bench = Bench::new(Limits::default(), vec![], Step::Hang);
    let call = bench.assume("a");
    bench.clock.advance(LONG).await;
    let (outcome, at) = call.await.unwrap();
    assert_eq!(outcome.unwrap_err().fault(), &Fault::Unavailable);
    assert_eq!(bench.inner.attempts(), 3);
    assert_eq!(at, secs(5.0), "the third attempt is cut short by the total deadline");
}

#[tokio::test]
async fn an_answer_just_before_the_deadline_counts() {
    let bench = Bench::new(Limits::default(), vec![], Step::AnswerAfter(secs(1.999)));
    let call = bench.assume("a");
    bench.clock.advance(LONG).await;
    let (outcome, at) = call.await.unwrap();
    assert!(outcome.is_ok());
    assert_eq!((at, bench.inner.attempts()), (secs(1.999), 1));
}

#[tokio::test]
async fn unavailability_is_retried_twice_with_growing_jittered_pauses() {
    let down = Step::Fail(Fault::Unavailable);
    let bench = Bench::new(Limits::default(), vec![down.clone(), down], Step::Answer);
    let call = bench.assume("a");
    bench.clock.advance(LONG).await;
    assert!(call.await.unwrap().0.is_ok());
    let starts = bench.inner.starts();
    assert_eq!((starts.len(), starts[0]), (3, Duration::ZERO));
    assert!(starts[1] > starts[0] && starts[1] - starts[0] <= secs(0.1), "{starts:?}");
    assert!(starts[2] > starts[1] && starts[2] - starts[1] <= secs(0.2), "{starts:?}");
}

#[tokio::test]
async fn equal_seeds_give_equal_pauses() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let bench = Bench::new(Limits::default(), vec![], Step::Fail(Fault::Unavailable));
        let call = bench.assume("a");
        bench.clock.advance(LONG).await;
        assert!(call.await.unwrap().0.is_err());
        runs.push(bench.inner.starts());
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test]
async fn a_denial_is_final_at_once() {
    let denied = Fault::Denied { edge: leasehold_provider::Edge::Trust { hop: 0 } };
    let bench = Bench::new(Limits::default(), vec![Step::Fail(denied.clone())], Step::Answer);
    let error = bench.refused_at_once("a").await;
    assert_eq!((error.fault(), bench.inner.attempts()), (&denied, 1));
}

#[tokio::test]
async fn a_wait_that_the_cloud_asked_for_is_kept_when_it_fits() {
    let bench = Bench::new(Limits::default(), vec![throttled(Some(3))], Step::Answer);
    let call = bench.assume("a");
    bench.clock.advance(LONG).await;
    assert!(call.await.unwrap().0.is_ok());
    let starts = bench.inner.starts();
    assert!(starts[1] >= secs(3.0) && starts[1] <= secs(3.1), "{starts:?}");
}

#[tokio::test]
async fn a_wait_that_does_not_fit_is_handed_on_at_once() {
    let bench = Bench::new(Limits::default(), vec![throttled(Some(60))], Step::Answer);
    let error = bench.refused_at_once("a").await;
    let by = Throttler::Cloud;
    assert_eq!(error.fault(), &Fault::Throttled { by, retry_after: Some(Duration::from_secs(60)) });
    assert_eq!((bench.inner.attempts(), bench.clock.now().since_start()), (1, Duration::ZERO));
}

#[tokio::test]
async fn a_failing_tenant_cannot_multiply_load_and_others_keep_their_retries() {
    let limits = Limits { retry_burst: 4, ..Limits::default() };
    let bench = Bench::new(limits, vec![], Step::Fail(Fault::Unavailable));
    let calls: Vec<_> = (0..8).map(|_| bench.assume("failing")).collect();
    bench.clock.advance(Duration::from_millis(900)).await;
    for call in calls {
        assert_eq!(call.await.unwrap().0.unwrap_err().fault(), &Fault::Unavailable);
    }
    assert_eq!(bench.inner.attempts(), 8 + 4, "eight calls, four retries");
    let other = bench.assume("other");
    bench.clock.advance(LONG).await;
    assert!(other.await.unwrap().0.is_err());
    assert_eq!(bench.inner.attempts(), 12 + 3);
    let later = bench.assume("failing");
    bench.clock.advance(LONG).await;
    assert!(later.await.unwrap().0.is_err());
    assert_eq!(bench.inner.attempts(), 15 + 3, "given back with time");
}

#[tokio::test]
async fn p9_a_slow_tenant_takes_its_own_places_only() {
    let limits = Limits { concurrency: 2, waiting: 3, ..Limits::default() };
    let bench = Bench::new(limits, vec![], Step::Answer);
    let (slow, other) = (bench.session("slow").await, bench.session("other").await);
    bench.inner.henceforth(Step::Hang);
    let calls: Vec<_> = (0..6).map(|_| bench.request(&slow)).collect();
    bench.clock.settle().await;
    assert_eq!(bench.inner.most_under_way(), 2, "two places");
    let refused: Vec<_> = calls.iter().filter(|call| call.is_finished()).collect();
    assert_eq!(refused.len(), 1, "three wait, the sixth is turned away at once");

    bench.inner.henceforth(Step::Answer);
    let served = bench.request(&other);
    bench.clock.settle().await;
    assert!(served.await.unwrap().0.is_ok(), "another tenant does not notice");
    for call in calls {
        call.abort();
    }
}

#[tokio::test]
async fn waiting_is_bounded_in_time_and_is_our_own_throttling() {
    let limits = Limits { concurrency: 1, ..Limits::default() };
    let bench = Bench::new(limits, vec![], Step::Answer);
    let session = bench.session("a").await;
    bench.inner.henceforth(Step::Hang);
    let first = bench.request(&session);
    bench.clock.settle().await;
    let second = bench.request(&session);
    bench.clock.advance(LONG).await;
    let (outcome, at) = second.await.unwrap();
    assert_eq!(
        outcome.unwrap_err().fault(),
        &Fault::Throttled { by: Throttler::OwnBudget, retry_after: None }
    );
    assert_eq!(at, secs(3.0), "so that a whole attempt would still have fitted");
    assert_eq!(first.await.unwrap().1, secs(5.0));
}

#[tokio::test]
async fn a_flood_of_requests_does_not_keep_a_proof_out() {
    let limits = Limits { concurrency: 1, ..Limits::default() };
    let bench = Bench::new(limits, vec![], Step::Answer);
    let session = bench.session("a").await;
    bench.inner.henceforth(Step::Hang);
    let requests: Vec<_> = (0..10).map(|_| bench.request(&session)).collect();
    bench.clock.settle().await;
    bench.inner.henceforth(Step::Answer);
    assert!(bench.at_once(bench.guarded.assume(&binding("a"))).await.is_ok());
    assert!(bench.at_once(canary(&bench.guarded, &session)).await.is_ok());
    let proving = session.for_a_proof();
    assert!(bench.at_once(request(&bench.guarded, &proving)).await.is_ok(), "whatever the proof unwraps");
    assert!(requests.iter().all(|request| !request.is_finished()));
}

#[tokio::test]
async fn places_are_given_back_however_a_call_ends() {
    let limits = Limits { concurrency: 1, waiting: 1, retries: 0, ..Limits::default() };
    let bench = Bench::new(limits, vec![], Step::Answer);
    let session = bench.session("a").await;
    bench.inner.henceforth(Step::Hang);
    let dropped = bench.request(&session);
    let waiting = bench.request(&session);
    bench.clock.settle().await;
    dropped.abort();
    waiting.abort();
    bench.clock.settle().await;
    bench.inner.henceforth(Step::Fail(Fault::Unavailable));
    assert!(bench.at_once(request(&bench.guarded, &session)).await.is_err());
    bench.inner.henceforth(Step::Answer);
    assert!(bench.at_once(request(&bench.guarded, &session)).await.is_ok());
}

#[tokio::test]
async fn sessions_keep_what_the_provider_put_in_and_know_their_tenant() {
    let bench = Bench::new(Limits::default(), vec![], Step::Answer);
    let session = bench.session("acme").await;
    assert_eq!(session.tenant().unwrap().as_str(), "acme");
    assert!(session.credentials::<()>().is_some());
}
