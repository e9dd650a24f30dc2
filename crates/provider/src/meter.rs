//! What operators see of the calls to one cloud: how many there were, how each ended, how long it took. Names no tenant and no
//! key.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use leasehold_clock::{Moment, TimeSource};
use metrics::{counter, histogram};

use crate::{Edge, Fault, ProviderError, Throttler};

/// Most codes of a cloud that are told apart; further ones are counted as [`OTHER`]. No cloud has as many that matter, and
/// what is at an endpoint must not be able to fill our memory.
const MAX_CODES: usize = 64;

/// Longest code that is told, in bytes.
const MAX_CODE: usize = 64;

const OTHER: &str = "other";

/// Counts the calls to one cloud.
pub(crate) struct Meter {
    cloud: String,
    codes: Mutex<HashSet<Box<str>>>,
}

impl Meter {
    pub(crate) fn new(cloud: String) -> Self {
        Self { cloud, codes: Mutex::default() }
    }

    /// Counts an attempt of `call` that began at `start` and has just ended.
    pub(crate) fn count<T>(
        &self,
        call: &'static str,
        start: Moment,
        clock: &dyn TimeSource,
        ended: &Result<T, ProviderError>,
    ) {
        let (outcome, code) = match ended {
            Ok(_) => ("ok", String::new()),
            Err(error) => (outcome(error.fault()), self.code(error.code().unwrap_or_default())),
        };
        counter!(
            "leasehold_cloud_calls_total",
            "cloud" => self.cloud.clone(), "call" => call, "outcome" => outcome, "code" => code
        )
        .increment(1);
        histogram!("leasehold_cloud_call_duration_seconds", "cloud" => self.cloud.clone(), "call" => call)
            .record(clock.now().since(start));
    }

    /// The code, unless there are too many.
    fn code(&self, code: &str) -> String {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:".contains(letter);
        if code.len() > MAX_CODE || !code.chars().all(plain) {
            return OTHER.to_owned();
        }
        let mut known = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(code) {
            if known.len() >= MAX_CODES {
                return OTHER.to_owned();
            }
            known.insert(code.into());
        }
        code.to_owned()
    }
}

fn outcome(fault: &Fault) -> &'static str {
    match fault {
        Fault::Denied { edge: Edge::Trust { .. } } => "trust_denied",
        Fault::Denied { edge: Edge::Key | Edge::Version } => "key_denied",
        Fault::KeyUnusable(_) => "key_unusable",
        Fault::Throttled { by: Throttler::Cloud, .. } => "throttled",
        Fault::Throttled { by: Throttler::OwnBudget, .. } => "own_budget",
        Fault::Unavailable => "unavailable",
        Fault::SessionExpired => "session_expired",
        Fault::Rejected => "rejected",
        Fault::OwnIdentity => "own_identity",
        Fault::Misconfigured => "misconfigured",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p9_a_cloud_cannot_have_us_remember_any_number_of_codes() {
        let meter = Meter::new("aws".into());
        assert_eq!(meter.code("AccessDeniedException"), "AccessDeniedException");
        for code in ["with space", "quote\"", &"x".repeat(MAX_CODE + 1)] {
            assert_eq!(meter.code(code), OTHER);
        }
        let told: HashSet<_> = (0..1000).map(|n| meter.code(&n.to_string())).collect();
        assert_eq!(told.len(), MAX_CODES, "63 further codes and one for all others");
        assert_eq!(meter.code("AccessDeniedException"), "AccessDeniedException", "what is known stays");
    }
}
