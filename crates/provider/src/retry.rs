//! Which failures are worth another attempt, and when.

use std::time::Duration;

use crate::{Fault, Limits, ProviderError, Throttler};

/// How long to pause before retry number `retry` (from 0) of a call that failed with `error`; `None` if it is not to be
/// repeated. `jitter` is uniform in 0..1. Pure, so that the rules can be read, and tested, without a clock.
///
/// Only an absent answer and a cloud's own throttling are repeated. A denial must be acted upon at once, our own budget
/// must not be fought, and everything else would fail the same way again.
pub(crate) fn pause(limits: &Limits, error: &ProviderError, retry: u32, jitter: f64) -> Option<Duration> {
    if retry >= limits.retries {
        return None;
    }
    match error.fault() {
        Fault::Unavailable => Some(backoff(limits, retry, jitter)),
        // The limiter's own word is a floor; our jitter comes on top, so that all who were told the same second do not
        // come back in the same instant.
        Fault::Throttled { by: Throttler::Cloud, retry_after } => {
            Some(backoff(limits, retry, jitter).saturating_add(retry_after.unwrap_or_default()))
        }
        _ => None,
    }
}

/// Full jitter: uniform between zero and a ceiling that doubles.
fn backoff(limits: &Limits, retry: u32, jitter: f64) -> Duration {
    let ceiling = limits.pause.saturating_mul(1u32.checked_shl(retry).unwrap_or(u32::MAX));
    ceiling.mul_f64(jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Edge, KeyState};

    const HALF: f64 = 0.5;

    fn error(fault: Fault) -> ProviderError {
        ProviderError::new(fault, "test")
    }

    fn throttled(by: Throttler, retry_after: Option<Duration>) -> ProviderError {
        error(Fault::Throttled { by, retry_after })
    }

    #[test]
    fn nothing_is_retried_but_unavailability_and_a_clouds_throttling() {
        let limits = Limits::default();
        for fault in [
            Fault::Denied { edge: Edge::Trust { hop: 0 } },
            Fault::Denied { edge: Edge::Key },
            Fault::KeyUnusable(KeyState::Disabled),
            Fault::Throttled { by: Throttler::OwnBudget, retry_after: None },
            Fault::SessionExpired,
            Fault::Rejected,
            Fault::OwnIdentity,
            Fault::Misconfigured,
        ] {
            assert_eq!(pause(&limits, &error(fault.clone()), 0, HALF), None, "{fault:?}");
        }
        assert!(pause(&limits, &error(Fault::Unavailable), 0, HALF).is_some());
        assert!(pause(&limits, &throttled(Throttler::Cloud, None), 0, HALF).is_some());
    }

    #[test]
    fn pauses_double_and_end_after_the_last_retry() {
        let limits = Limits::default();
        let at = |retry| pause(&limits, &error(Fault::Unavailable), retry, 1.0);
        assert_eq!(at(0), Some(Duration::from_millis(100)));
        assert_eq!(at(1), Some(Duration::from_millis(200)));
        assert_eq!(at(2), None);
    }

    #[test]
    fn jitter_is_full() {
        let limits = Limits::default();
        assert_eq!(pause(&limits, &error(Fault::Unavailable), 0, 0.0), Some(Duration::ZERO));
        assert_eq!(pause(&limits, &error(Fault::Unavailable), 1, HALF), Some(Duration::from_millis(100)));
    }

    #[test]
    fn the_clouds_own_word_is_a_floor() {
        let limits = Limits::default();
        let asked = Duration::from_secs(3);
        let got = pause(&limits, &throttled(Throttler::Cloud, Some(asked)), 0, 0.0);
        assert_eq!(got, Some(asked));
    }

    #[test]
    fn absurd_limits_do_not_overflow() {
        let limits = Limits { pause: Duration::MAX, retries: u32::MAX, ..Limits::default() };
        let asked = throttled(Throttler::Cloud, Some(Duration::MAX));
        assert_eq!(pause(&limits, &asked, 40, 0.5), Some(Duration::MAX));
    }
}
