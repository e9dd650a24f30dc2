//! What proofs report, and what follows from it.

use std::sync::Arc;

use leasehold_ids::BindingVersion;
use leasehold_provider::ProviderError;

use super::{Machine, Means, Now, Outcome, Phase, Reach};
use crate::flights::{Basis, Flight, Landing};
use crate::live::{Live, Proof};
use crate::{EndReason, LeaseError, schedule, strangers};

impl Machine {
    /// `flight` was denied; serving pauses until the sentinel has told whose fault it is, which its landing says.
    pub(crate) fn await_verdict(&mut self, flight: u64) -> Option<Landing> {
        self.flights.await_verdict(flight)
    }

    /// `flight` was denied, and lands later. That counts from now on, in whatever phase: what began before it proves nothing
    /// any more, and what begins after it is not undone when the flight lands. Whether it ended a live lease.
    pub(crate) fn note_denial(&mut self, flight: u64, error: &Arc<ProviderError>, now: Now) -> bool {
        self.expire(now);
        let was_live = matches!(self.phase, Phase::Live(_));
        let Some(version) = self.flights.by_id(flight).map(|flight| flight.basis.version) else {
            return false;
        };
        let left = self.count_denial(version, error, now);
        if let Some(flight) = self.flights.by_id(flight) {
            flight.denied = left;
        }
        was_live && left.is_some()
    }

    /// `flight` ended. What came of it is for its waiters, once everybody else was told.
    pub(crate) fn land(
        &mut self,
        flight: u64,
        outcome: Outcome,
        now: Now,
        means: &Means<'_>,
    ) -> Option<Landed> {
        let flight = self.flights.remove(flight)?;
        self.expire(now);
        // What an older proof said of our own identity, this one says anew.
        self.masked = matches!(outcome, Outcome::Masked(_));
        let of_loan = outcome.is_of_a_loan();
        let denied = matches!(outcome, Outcome::Denied { .. });
        let silent = matches!(outcome, Outcome::Masked(_) | Outcome::Failed(_) | Outcome::Refused(_));
        let result = match outcome {
            Outcome::Proven(proof) => self.proven(&flight, proof, now, means),
            Outcome::Denied { error, reach } => Err(self.denied(&flight, error, reach, now)),
            Outcome::Masked(error) => Err(LeaseError::Masked(error)),
            Outcome::Failed(error) | Outcome::Refused(error) => Err(error),
        };
        let silent = silent || matches!(result, Err(LeaseError::Lapsed(_)));
        // What a denial means has been seen to, unless something happened meanwhile that left nothing.
        let seen_to = denied && !matches!(self.phase, Phase::Idle);
        if let Err(error) = &result {
            // Or it happened to the lease, which says nothing of the cloud; nor does what a caller lent say it to others.
            let of_cloud = !of_loan && !matches!(error, LeaseError::LeaseOver | LeaseError::Ended(_));
            if silent || (self.retry_at.is_none() && !seen_to) {
                // Whatever went wrong, a lease that is wanted is tried again.
                self.unanswered(error, of_cloud && !denied, now);
            }
            // While a newer proof is under way, what comes of that is waited for.
            self.refusal = (of_cloud && self.flights.is_empty()).then(|| error.clone());
        }
        Some(Landed { flight, result })
    }

    fn proven(
        &mut self,
        flight: &Flight,
        proof: Proof,
        now: Now,
        means: &Means<'_>,
    ) -> Result<(), LeaseError> {
        // A success counts only if no denial arrived, and nothing was changed or ended, since it began; and only the
        // operator lifts a suspension.
        let counts = flight.basis == self.basis() && proof.generation == now.generation;
        if !counts || self.is_suspended() {
            return Err(LeaseError::LeaseOver);
        }
        let (started, session_life) = (proof.started, proof.session_life);
        if started + self.bound() <= now.at {
            return Err(LeaseError::Lapsed(None));
        }
        let live = match &self.phase {
            Phase::Live(live) => match live.renewed(proof) {
                Some(renewed) => renewed.rekeyed(means.sealing_key_max_age, means.epoch, means.arena)?,
                None => return Ok(()),
            },
            _ => Live::begin(proof, means.epoch, means.arena)?,
        };
        self.phase = Phase::Live(Arc::new(live));
        self.forget_failures();
        self.renew_at = started
            + schedule::renew_after(self.subject.terms.revocation_bound(), session_life, self.jitter());
        Ok(())
    }

    fn denied(&mut self, flight: &Flight, error: Arc<ProviderError>, reach: Reach, now: Now) -> LeaseError {
        let left = flight.denied.or_else(|| self.count_denial(flight.basis.version, &error, now));
        let Some(left) = left else { return LeaseError::Ended(EndReason::Changed) };
        if self.stranger {
            // Nothing is held, and nobody but those who wait for this proof wants it: it is not retried.
            return strangers::refusal(error);
        }
        if reach == Reach::Loan && !matches!(self.phase, Phase::Denied { .. }) {
            // It ended nothing, and whoever lends something else may have it proven now.
            return strangers::refusal(error);
        }
        // It is the last word, unless something else happened since than denials of other versions.
        let basis = self.basis();
        if matches!(self.phase, Phase::Idle) && (left.version, left.ends) == (basis.version, basis.ends) {
            self.be_denied(Arc::clone(&error), now);
        }
        LeaseError::Denied(error)
    }

    /// Counts a denial of a proof that began under `version` of the binding, and says what that leaves; nothing if it is not
    /// the binding that we have now. Where nothing was held, whether the lease is denied is told when the flight lands.
    fn count_denial(
        &mut self,
        version: BindingVersion,
        error: &Arc<ProviderError>,
        now: Now,
    ) -> Option<Basis> {
        if version != self.subject.binding.version || self.is_suspended() {
            return None;
        }
        match &self.phase {
            Phase::Idle => self.denials += 1,
            _ => self.deny(Arc::clone(error), now),
        }
        Some(self.basis())
    }

    pub(super) fn deny(&mut self, error: Arc<ProviderError>, now: Now) {
        self.denials += 1;
        self.be_denied(error, now);
    }

    fn be_denied(&mut self, error: Arc<ProviderError>, now: Now) {
        let since = match &self.phase {
            Phase::Denied { since, .. } => *since,
            _ => now.at,
        };
        self.leave(Phase::Denied { error, since });
        self.retry_at = Some(now.at + schedule::retry_denied_after(now.at.since(since), self.jitter()));
    }

    /// A proof got no answer, or none that is `of_cloud`. The lease neither ends early nor lives longer for it.
    fn unanswered(&mut self, error: &LeaseError, of_cloud: bool, now: Now) {
        self.failures = self.failures.saturating_add(1);
        self.last_failure = cause(error).or(self.last_failure.take());
        let pause = match &self.phase {
            Phase::Denied { since, .. } => schedule::retry_denied_after(now.at.since(*since), self.jitter()),
            // Of a stranger its family takes note.
            Phase::Idle if self.stranger || !(of_cloud || self.held) => return self.forget_failures(),
            Phase::Suspended(_) => return,
            _ => schedule::retry_unanswered_after(self.failures, error.retry_after(), self.jitter()),
        };
        self.retry_at = Some(now.at + pause);
        if matches!(self.phase, Phase::Idle) {
            if of_cloud {
                self.be_quiet(now.at + pause, error);
            }
            // A failed first proof is repeated by the next request. Only a holder makes us go on alone.
            self.retry_at = self.retry_at.filter(|_| self.held);
        }
    }
}

impl Outcome {
    /// Whether it is about what a caller lent to the proof, and nothing else.
    pub(crate) fn is_of_a_loan(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Denied { reach: Reach::Loan, .. })
    }
}

/// A flight that ended, and whose waiters wait to be told.
#[must_use = "its waiters wait"]
pub(crate) struct Landed {
    flight: Flight,
    result: Result<(), LeaseError>,
}

impl Landed {
    /// Why it did not prove the lease, if it did not.
    pub(crate) fn error(&self) -> Option<&LeaseError> {
        self.result.as_ref().err()
    }

    pub(crate) fn tell(self) {
        self.flight.land(self.result);
    }
}

/// What a failed proof says about its cause.
fn cause(error: &LeaseError) -> Option<Arc<ProviderError>> {
    match error {
        LeaseError::Throttled { source: error, .. }
        | LeaseError::Unavailable(error)
        | LeaseError::Masked(error)
        | LeaseError::OwnIdentity(error)
        | LeaseError::Rejected(error)
        | LeaseError::Misconfigured(error) => Some(Arc::clone(error)),
        _ => None,
    }
}
