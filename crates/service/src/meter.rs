//! What operators see of decisions: how many, how they ended, how long they took, how old the proofs were that they rest on.
//! Names no tenant and no caller.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use leasehold_audit::{AnswerSource, Outcome, Record};
use leasehold_clock::Moment;
use leasehold_ids::ProviderKind;
use metrics::{counter, histogram};

/// How long a failure to record tells that recording is broken. What is refused meanwhile may be the only thing that would
/// have found out that it works again.
const FAILING_FOR: Duration = Duration::from_secs(10);

/// When a decision could last not be recorded.
#[derive(Debug, Default)]
pub(crate) struct LastFailure(Mutex<Option<Moment>>);

impl LastFailure {
    pub(crate) fn note(&self, now: Moment) {
        counter!("leasehold_audit_failures_total").increment(1);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    pub(crate) fn is_recent(&self, now: Moment) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| now.since(last) < FAILING_FOR)
    }
}

/// Counts a record of a decision about a binding of `cloud`, or about none that is known.
pub(crate) fn count(record: &Record, cloud: Option<&ProviderKind>) {
    let cloud = cloud.map_or_else(|| "none".to_owned(), ToString::to_string);
    let operation = record.operation.clone().into_owned();
    counter!(
        "leasehold_operations_total",
        "operation" => operation.clone(),
        "cloud" => cloud.clone(),
        "outcome" => outcome(record.outcome),
        "reason" => record.reason.clone().unwrap_or_default().into_owned(),
        "source" => source(record.source)
    )
    .increment(1);
    let latency = Duration::from_micros(record.latency_us);
    histogram!("leasehold_operation_duration_seconds", "operation" => operation, "cloud" => cloud.clone())
        .record(latency);
    if let (Some(age), Outcome::Served) = (record.proof_age_ms, record.outcome) {
        histogram!("leasehold_proof_age_seconds", "cloud" => cloud).record(Duration::from_millis(age));
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Served => "served",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
        Outcome::Withheld => "withheld",
        Outcome::Abandoned => "abandoned",
        Outcome::Unknown => "unknown",
    }
}

fn source(source: Option<AnswerSource>) -> &'static str {
    match source {
        Some(AnswerSource::Cache) => "cache",
        Some(AnswerSource::Cloud) => "cloud",
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use leasehold_clock::{ManualClock, TimeSource};

    use super::*;

    #[test]
    fn a_failure_to_record_is_told_for_a_while_and_not_for_ever() {
        let clock = ManualClock::new();
        let last = LastFailure::default();
        assert!(!last.is_recent(clock.now()));
        last.note(clock.now());
        assert!(last.is_recent(clock.now()));
        assert!(!last.is_recent(clock.now() + FAILING_FOR));
    }
}
