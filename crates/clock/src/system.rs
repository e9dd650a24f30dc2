//! The machine's own clocks.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::elapsed::Elapsed;
use crate::generation::GenerationWatch;
use crate::{Generation, Moment, TimeSource};

/// How often the clocks are compared with the runtime's timers, which do not count suspend; it is how late a timer can
/// be after the machine was resumed.
const COMPARE_EVERY: Duration = Duration::from_millis(100);

/// How much further than the runtime's timers the clocks must have moved to count as a jump. Above what a busy machine
/// makes of two readings, one after the other.
const JUMP: Duration = Duration::from_millis(50);

/// The clock of the process: `CLOCK_BOOTTIME` and the wall clock, whichever saw more time pass.
#[derive(Debug, Clone)]
pub struct SystemClock(Arc<Inner>);

/// Where readings come from, as spans since whatever each clock calls its start.
#[derive(Debug, Clone, Copy)]
struct Sources {
    boot: fn() -> Duration,
    wall: fn() -> SystemTime,
}

#[derive(Debug)]
struct Inner {
    sources: Sources,
    elapsed: Mutex<Elapsed>,
    generation: GenerationWatch,
    /// Counts the times that sleepers had to look at the time again.
    jumps: watch::Sender<u64>,
}

impl SystemClock {
    /// Starts a clock at [`Moment::START`], and begins to watch for suspends and for restored snapshots.
    #[must_use]
    pub fn start() -> Self {
        Self::reading(Sources { boot, wall })
    }

    fn reading(sources: Sources) -> Self {
        let elapsed = Elapsed::starting_at((sources.boot)(), since_epoch((sources.wall)()));
        let inner = Arc::new(Inner {
            sources,
            elapsed: Mutex::new(elapsed),
            generation: GenerationWatch::start(),
            jumps: watch::Sender::new(0),
        });
        watch_for_jumps(&inner);
        Self(inner)
    }
}

impl Inner {
    fn now(&self) -> Moment {
        // A poisoned lock still holds a whole value: `read` only assigns integers.
        let mut elapsed = self.elapsed.lock().unwrap_or_else(PoisonError::into_inner);
        // Both clocks are read under the lock, so that two threads cannot hand in their readings in the wrong order.
        Moment::from_start(elapsed.read((self.sources.boot)(), since_epoch((self.sources.wall)())))
    }
}

impl TimeSource for SystemClock {
    fn now(&self) -> Moment {
        self.0.now()
    }

    fn wall(&self) -> SystemTime {
        (self.0.sources.wall)()
    }

    fn generation(&self) -> Generation {
        self.0.generation.current()
    }

    fn sleep_until(&self, at: Moment) -> BoxFuture<'static, ()> {
        let clock = self.clone();
        Box::pin(async move {
            let mut jumps = clock.0.jumps.subscribe();
            loop {
                let left = at.since(clock.now());
                if left.is_zero() {
                    return;
                }
                tokio::select! {
                    () = sleep_by_the_runtime(left) => {}
                    _ = jumps.changed() => {}
                }
            }
        })
    }
}

/// Wakes every sleeper when the clocks moved further than the runtime's timers, on a thread of its own.
fn watch_for_jumps(clock: &Arc<Inner>) {
    // The first reading is made here, so that no jump can come before it.
    let (mut then, mut timers_then) = (clock.now(), monotonic());
    let clock: Weak<Inner> = Arc::downgrade(clock);
    let watch = move || {
        loop {
            std::thread::sleep(COMPARE_EVERY);
            let Some(inner) = clock.upgrade() else { return };
            let (now, timers) = (inner.now(), monotonic());
            if now.since(then) > timers.saturating_sub(timers_then) + JUMP {
                inner.jumps.send_modify(|jumps| *jumps += 1);
            }
            (then, timers_then) = (now, timers);
        }
    };
    if let Err(error) = std::thread::Builder::new().name("clock".into()).spawn(watch) {
        // Requests look at the clock by themselves; only wipes would be late after a suspend.
        tracing::error!(%error, "timers will not notice a suspend");
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that sleeps by the runtime's own clock")]
async fn sleep_by_the_runtime(span: Duration) {
    tokio::time::sleep(span).await;
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
fn wall() -> SystemTime {
    SystemTime::now()
}

fn since_epoch(wall: SystemTime) -> Duration {
    wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO)
}

/// `CLOCK_BOOTTIME`, which unlike `Instant` counts time spent suspended (clock_gettime(2)).
fn boot() -> Duration {
    read(rustix::time::ClockId::Boottime)
}

/// `CLOCK_MONOTONIC`, which the runtime's timers go by.
fn monotonic() -> Duration {
    read(rustix::time::ClockId::Monotonic)
}

fn read(clock: rustix::time::ClockId) -> Duration {
    let now = rustix::time::clock_gettime(clock);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn moments_never_go_back() {
        let clock = SystemClock::start();
        let mut last = clock.now();
        for _ in 0..10_000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn p1_time_spent_suspended_counts() {
        static BOOT: AtomicU64 = AtomicU64::new(100);
        let boot = || Duration::from_secs(BOOT.load(Ordering::SeqCst));
        let clock = SystemClock::reading(Sources { boot, wall: || SystemTime::UNIX_EPOCH });
        BOOT.fetch_add(3600, Ordering::SeqCst);
        assert_eq!(clock.now().since(Moment::START), HOUR, "although no timer of the process moved");
    }

    #[test]
    fn p1_time_that_only_the_wall_clock_saw_counts() {
        static WALL: AtomicU64 = AtomicU64::new(100);
        let wall = || SystemTime::UNIX_EPOCH + Duration::from_secs(WALL.load(Ordering::SeqCst));
        let clock = SystemClock::reading(Sources { boot: || Duration::from_secs(5), wall });
        WALL.fetch_add(3600, Ordering::SeqCst);
        assert_eq!(clock.now().since(Moment::START), HOUR, "as after a snapshot was restored");
    }

    #[tokio::test]
    async fn a_sleeper_wakes_at_or_after_its_moment() {
        let clock = SystemClock::start();
        let at = clock.now() + Duration::from_millis(5);
        clock.sleep_until(at).await;
        assert!(clock.now() >= at);
    }

    #[tokio::test]
    async fn a_sleeper_notices_that_the_machine_was_suspended() {
        static BOOT: AtomicU64 = AtomicU64::new(100);
        let boot = || Duration::from_secs(BOOT.load(Ordering::SeqCst));
        let clock = SystemClock::reading(Sources { boot, wall: || SystemTime::UNIX_EPOCH });
        let sleeper = tokio::spawn(clock.sleep(HOUR));
        tokio::task::yield_now().await;
        BOOT.fetch_add(3600, Ordering::SeqCst);
        // Ends within a few comparisons; the runtime's own timer would take an hour.
        sleeper.await.unwrap();
    }
}
