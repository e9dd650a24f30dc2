//! A clock that stands still until a test moves it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use tokio::sync::oneshot;

use crate::{Generation, Moment, TimeSource};

/// How often [`ManualClock::advance`] yields after each step, so that every task that a timer woke runs until it waits
/// again. On a current-thread runtime a task needs one turn per hop of a message; the longest chain in Leasehold is far
/// shorter than this.
const TURNS: usize = 50;

/// A clock for tests: time passes only by [`advance`](Self::advance). Use it on a current-thread runtime.
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    now: Duration,
    generation: u64,
    sleepers: Vec<(Duration, oneshot::Sender<()>)>,
}

impl ManualClock {
    /// A clock at [`Moment::START`]; its wall clock starts at the Unix epoch plus one day.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves time on by `span`, stopping at each timer on the way, and lets the woken tasks run at each stop.
    pub async fn advance(&self, span: Duration) {
        self.settle().await;
        let end = self.state().now + span;
        while let Some(next) = self.next_timer(end) {
            self.jump_to(next);
            self.settle().await;
        }
        self.jump_to(end);
        self.settle().await;
    }

    /// Moves time on by `span` at once, as a suspended machine sees it: timers on the way fire late, all together, and
    /// nothing has run in between. Yields to nobody.
    pub fn suspend_for(&self, span: Duration) {
        let end = self.state().now + span;
        self.jump_to(end);
    }

    /// Pretends that the machine was restored from a snapshot.
    pub fn restore_snapshot(&self) {
        self.state().generation += 1;
    }

    /// Lets every task that can run do so, without moving time.
    pub async fn settle(&self) {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
    }

    fn next_timer(&self, end: Duration) -> Option<Duration> {
        let state = self.state();
        state
            .sleepers
            .iter()
            .filter(|(_, wake)| !wake.is_closed())
            .map(|(at, _)| *at)
            .filter(|at| *at <= end)
            .min()
    }

    fn jump_to(&self, to: Duration) {
        let mut state = self.state();
        state.now = state.now.max(to);
        let now = state.now;
        for (_, wake) in state.sleepers.extract_if(.., |(at, _)| *at <= now) {
            // A sleeper that has gone away needs no waking.
            let _ = wake.send(());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TimeSource for ManualClock {
    fn now(&self) -> Moment {
        Moment::from_start(self.state().now)
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(86_400) + self.state().now
    }

    fn generation(&self) -> Generation {
        Generation(self.state().generation)
    }

    fn sleep_until(&self, at: Moment) -> BoxFuture<'static, ()> {
        let mut state = self.state();
        if at.since_start() <= state.now {
            return Box::pin(std::future::ready(()));
        }
        let (wake, woken) = oneshot::channel();
        state.sleepers.push((at.since_start(), wake));
        Box::pin(async move {
            // The sender lives in the clock until it fires; if the clock is gone, so is the test.
            let _ = woken.await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn timers_fire_in_order_and_at_their_own_time() {
        let clock = ManualClock::new();
        let seen = Arc::new(Mutex::new(Vec::new()));
        for seconds in [3u64, 1, 2] {
            let (clock, seen) = (clock.clone(), Arc::clone(&seen));
            tokio::spawn(async move {
                clock.sleep(Duration::from_secs(seconds)).await;
                seen.lock().unwrap().push((seconds, clock.now()));
            });
        }
        clock.advance(Duration::from_secs(2)).await;
        let at = |s| Moment::from_start(Duration::from_secs(s));
        assert_eq!(*seen.lock().unwrap(), [(1, at(1)), (2, at(2))]);
        clock.advance(Duration::from_secs(5)).await;
        assert_eq!(seen.lock().unwrap().last(), Some(&(3, at(3))));
    }

    #[tokio::test]
    async fn a_suspended_clock_fires_everything_late() {
        let clock = ManualClock::new();
        let sleeper = clock.sleep(Duration::from_secs(1));
        clock.suspend_for(Duration::from_secs(60));
        sleeper.await;
        assert_eq!(clock.now(), Moment::from_start(Duration::from_secs(60)));
    }
}
