//! When to try again.

use std::time::Duration;

use tonic::Code;

use crate::Refusal;

/// Bounds of retrying. `Default` suits an engine that waits for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included. Default 4.
    pub attempts: u32,
    /// No attempt begins later than this after the first one began. Default 20 s: longer than a proof with all its retries
    /// (10 s), shorter than the patience of a compute that starts.
    pub total: Duration,
    /// The pause before the second attempt where the service asks for none, doubling from there; and the least pause in any
    /// case. Default 100 ms.
    pub first_pause: Duration,
    /// The longest pause; a service that asks for a longer one is not asked again. Default 10 s.
    pub longest_pause: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 4,
            total: Duration::from_secs(20),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(10),
        }
    }
}

impl RetryPolicy {
    /// A policy that never tries again.
    #[must_use]
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// How long to wait before trying again after attempt number `attempt` (from 1) failed, `elapsed` after the first one
    /// began; none if trying again does not help or is out of bounds. `jitter`, from 0 to 1, spreads clients that failed
    /// together over half of the pause.
    ///
    /// Tries again where the service sent a `RetryInfo`, and where there was no service to say anything.
    #[must_use]
    pub fn pause(&self, refusal: &Refusal, attempt: u32, elapsed: Duration, jitter: f64) -> Option<Duration> {
        let unreachable = refusal.code() == Code::Unavailable && refusal.reason().is_none();
        if attempt >= self.attempts || !(unreachable || refusal.retry_after().is_some()) {
            return None;
        }
        let asked = refusal.retry_after().unwrap_or_default();
        let doubled = self.first_pause.saturating_mul(1 << (attempt - 1).min(16));
        let pause = asked.max(doubled.min(self.longest_pause));
        let pause = pause.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 2.0);
        (asked <= self.longest_pause && elapsed + pause <= self.total).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use tonic::Status;
    use tonic_types::{ErrorDetails, StatusExt};

    use super::*;
    use crate::ClientError;

    fn refusal(code: Code, retry_after: Option<u64>) -> Refusal {
        let mut details = ErrorDetails::new();
        details.set_error_info("CLOUD_UNAVAILABLE", leasehold_api::ERROR_DOMAIN, []);
        if let Some(seconds) = retry_after {
            details.set_retry_info(Some(Duration::from_secs(seconds)));
        }
        match Status::with_error_details(code, "", details).into() {
            ClientError::Refused(refusal) => *refusal,
            other => panic!("{other}"),
        }
    }

    fn unreachable() -> Refusal {
        match Status::unavailable("no route").into() {
            ClientError::Refused(refusal) => *refusal,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn only_what_the_service_says_helps_is_tried_again() {
        let policy = RetryPolicy::default();
        let pause = |refusal: &Refusal| policy.pause(refusal, 1, Duration::ZERO, 0.0);
        assert_eq!(pause(&refusal(Code::Unavailable, Some(2))), Some(Duration::from_secs(2)));
        assert_eq!(pause(&refusal(Code::FailedPrecondition, None)), None);
        assert_eq!(pause(&refusal(Code::Unavailable, None)), None);
        assert_eq!(pause(&unreachable()), Some(Duration::from_millis(100)));
    }

    #[test]
    fn p9_retries_are_bounded_in_number_and_in_time() {
        let policy = RetryPolicy::default();
        let refusal = refusal(Code::Unavailable, Some(2));
        assert!(policy.pause(&refusal, 3, Duration::from_secs(10), 1.0).is_some());
        assert_eq!(policy.pause(&refusal, 4, Duration::ZERO, 0.0), None);
        assert_eq!(policy.pause(&refusal, 1, Duration::from_secs(18), 0.5), None);
        assert_eq!(RetryPolicy::never().pause(&refusal, 1, Duration::ZERO, 0.0), None);
    }

    #[test]
    fn a_service_that_asks_for_a_long_pause_is_not_asked_again() {
        let long = refusal(Code::ResourceExhausted, Some(11));
        assert_eq!(RetryPolicy::default().pause(&long, 1, Duration::ZERO, 0.0), None);
    }
}
