//! The machine's own clocks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;

use crate::elapsed::Elapsed;
use crate::generation::GenerationWatch;
use crate::{Generation, Moment, TimeSource};

/// The longest single sleep. Timers of the runtime do not count suspend, so a sleeper looks at [`TimeSource::now`] at
/// least this often; it is also how late a wipe can be after the machine was resumed.
const LONGEST_NAP: Duration = Duration::from_millis(200);

/// The clock of the process: `CLOCK_BOOTTIME` and the wall clock, whichever saw more time pass.
#[derive(Debug, Clone)]
pub struct SystemClock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    elapsed: Mutex<Elapsed>,
    generation: GenerationWatch,
}

impl SystemClock {
    /// Starts a clock at [`Moment::START`] and begins to watch for the machine being restored from a snapshot.
    #[must_use]
    pub fn start() -> Self {
        Self(Arc::new(Inner {
            elapsed: Mutex::new(Elapsed::starting_at(boot(), since_epoch(wall()))),
            generation: GenerationWatch::start(),
        }))
    }
}

impl TimeSource for SystemClock {
    fn now(&self) -> Moment {
        // A poisoned lock still holds a whole value: `read` only assigns integers.
        let mut elapsed = self.0.elapsed.lock().unwrap_or_else(PoisonError::into_inner);
        // Both clocks are read under the lock, so that two threads cannot hand in their readings in the wrong order.
        Moment::from_start(elapsed.read(boot(), since_epoch(wall())))
    }

    fn wall(&self) -> SystemTime {
        wall()
    }

    fn generation(&self) -> Generation {
        self.0.generation.current()
    }

    fn sleep_until(&self, at: Moment) -> BoxFuture<'static, ()> {
        let clock = self.clone();
        Box::pin(async move {
            loop {
                let left = at.since(clock.now());
                if left.is_zero() {
                    return;
                }
                nap(left.min(LONGEST_NAP)).await;
            }
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that sleeps by the runtime's own clock")]
async fn nap(span: Duration) {
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
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[tokio::test]
    async fn a_sleeper_wakes_at_or_after_its_moment() {
        let clock = SystemClock::start();
        let at = clock.now() + Duration::from_millis(5);
        clock.sleep_until(at).await;
        assert!(clock.now() >= at);
    }
}
