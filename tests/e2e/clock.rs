//! Real time that a test can make jump.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leasehold_clock::{Generation, Moment, SystemClock, TimeSource};
use tokio::sync::watch;

/// The machine's time, plus the jumps that a test made. Sockets go on working in real time.
#[derive(Debug, Clone)]
pub(crate) struct JumpingClock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    real: SystemClock,
    jumped: watch::Sender<Duration>,
}

impl JumpingClock {
    pub(crate) fn start() -> Self {
        Self(Arc::new(Inner { real: SystemClock::start(), jumped: watch::Sender::new(Duration::ZERO) }))
    }

    /// Makes `span` pass at once: what is due by then is due now.
    pub(crate) fn jump(&self, span: Duration) {
        self.0.jumped.send_modify(|jumped| *jumped += span);
    }

    /// Jumps to `at`, unless it has passed.
    pub(crate) fn jump_to(&self, at: Moment) {
        self.jump(at.since(self.now()));
    }
}

impl TimeSource for JumpingClock {
    fn now(&self) -> Moment {
        self.0.real.now() + *self.0.jumped.borrow()
    }

    fn wall(&self) -> SystemTime {
        self.0.real.wall() + *self.0.jumped.borrow()
    }

    fn generation(&self) -> Generation {
        self.0.real.generation()
    }

    fn sleep_until(&self, at: Moment) -> futures::future::BoxFuture<'static, ()> {
        let inner = Arc::clone(&self.0);
        let mut jumped = inner.jumped.subscribe();
        Box::pin(async move {
            loop {
                let so_far = *jumped.borrow_and_update();
                let left = at.since_start().saturating_sub(so_far);
                tokio::select! {
                    () = inner.real.sleep_until(Moment::from_start(left)) => return,
                    // The sender lives as long as `inner`.
                    _ = jumped.changed() => {}
                }
            }
        })
    }
}
