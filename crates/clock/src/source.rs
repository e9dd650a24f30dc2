//! What the rest of the code may ask about time.

use std::fmt;
use std::ops::Add;
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;

/// A point in time as a span since the clock was made. Comparable only with moments of the same [`TimeSource`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// The moment at which its clock was made.
    pub const START: Self = Self(Duration::ZERO);

    /// The moment `since_start` after [`Moment::START`].
    #[must_use]
    pub fn from_start(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// The span since [`Moment::START`].
    #[must_use]
    pub fn since_start(self) -> Duration {
        self.0
    }

    /// How long after `earlier` this moment is; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;
    /// Saturates: a moment too far away to represent is never reached, which is what a deadline that far means.
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

/// Counts how often this machine turned out to be a restored copy of itself. A lease that was proven in one generation
/// is void in the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub u64);

/// A clock. Implementations must be cheap to read: [`now`](Self::now) is called on every request.
///
/// To write your own, keep two rules: `now` never goes back, and `sleep_until(at)` completes only once `now() >= at`
/// (after a suspend, as soon as the machine runs again).
pub trait TimeSource: Send + Sync + fmt::Debug + 'static {
    /// The present, counting time spent suspended.
    fn now(&self) -> Moment;

    /// The wall clock, for what leaves the process: records, sessions' expiry as clouds state it.
    fn wall(&self) -> SystemTime;

    /// The present generation of the machine.
    fn generation(&self) -> Generation;

    /// Completes once `now() >= at`.
    fn sleep_until(&self, at: Moment) -> BoxFuture<'static, ()>;

    /// Completes once `span` has passed.
    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        self.sleep_until(self.now() + span)
    }
}
