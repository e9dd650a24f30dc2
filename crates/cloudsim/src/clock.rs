//! The simulator's clock: wall time plus an offset that the control API may advance.
//!
//! Everything that expires in the simulated clouds (sessions, tokens, pending edits) reads [`SimClock::now`]. Only
//! the freshness of a signature reads [`SimClock::wall`], because the caller signs with a clock that nobody advances.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::{Serialize, Serializer};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

const ISO_8601: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const ISO_8601_MILLIS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const COMPACT: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");

/// A point in time, in milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Makes a timestamp from milliseconds since the Unix epoch.
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Makes a timestamp from whole seconds since the Unix epoch.
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Reads the compact form of ISO 8601 that AWS signatures carry, `20150830T123600Z`.
    pub fn parse_compact(text: &str) -> Option<Self> {
        let parsed = PrimitiveDateTime::parse(text, COMPACT).ok()?;
        Some(Self::from_unix_seconds(parsed.assume_utc().unix_timestamp()))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn unix_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment moved later by `duration`.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis_of(duration)))
    }

    /// How long after `earlier` this moment is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// ISO 8601 to the second: `2015-08-30T12:36:00Z`.
    pub fn iso(self) -> String {
        self.format(ISO_8601)
    }

    /// The compact form that AWS signatures carry: `20150830T123600Z`.
    pub fn compact(self) -> String {
        self.format(COMPACT)
    }

    fn format(self, items: &[BorrowedFormatItem<'_>]) -> String {
        let nanos = i128::from(self.0) * 1_000_000;
        OffsetDateTime::from_unix_timestamp_nanos(nanos)
            .ok()
            .and_then(|moment| moment.format(items).ok())
            .unwrap_or_default()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.format(ISO_8601_MILLIS))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The one clock of a simulator; clones share their offset.
#[derive(Clone, Debug, Default)]
pub struct SimClock {
    offset_ms: Arc<AtomicI64>,
}

impl SimClock {
    /// The simulated time: wall time plus everything that was advanced.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.wall().0.saturating_add(self.offset_ms.load(Ordering::SeqCst)))
    }

    /// The host's wall time, which signatures are checked against.
    #[expect(
        clippy::disallowed_methods,
        reason = "the simulator stands for other people's machines and has a clock of its own"
    )]
    pub fn wall(&self) -> Timestamp {
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(millis_of(since_epoch))
    }

    /// Moves the simulated time forward; it never goes back.
    pub fn advance(&self, by: Duration) {
        self.offset_ms.fetch_add(millis_of(by), Ordering::SeqCst);
    }

    /// How far the simulated time is ahead of the wall.
    pub fn offset(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.offset_ms.load(Ordering::SeqCst)).unwrap_or(0))
    }

    /// Waits in real time: a delayed answer is felt by a real client, whatever the simulated time is.
    #[expect(
        clippy::disallowed_methods,
        reason = "an injected delay has to pass on the client's clock, not on a simulated one"
    )]
    pub(crate) async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

fn millis_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_print_and_parse_the_forms_aws_uses() {
        let moment = Timestamp::parse_compact("20150830T123600Z").unwrap();
        assert_eq!(moment.unix_seconds(), 1_440_938_160);
        assert_eq!(moment.compact(), "20150830T123600Z");
        assert_eq!(moment.iso(), "2015-08-30T12:36:00Z");
        assert_eq!(moment.to_string(), "2015-08-30T12:36:00.000Z");
        assert!(Timestamp::parse_compact("2015-08-30").is_none());
    }

    #[test]
    fn advancing_moves_the_simulated_time_and_not_the_wall() {
        let clock = SimClock::default();
        let other = clock.clone();
        clock.advance(Duration::from_secs(3600));
        assert_eq!(other.offset(), Duration::from_secs(3600));
        assert!(other.now().since(other.wall()) >= Duration::from_secs(3599));
    }
}
