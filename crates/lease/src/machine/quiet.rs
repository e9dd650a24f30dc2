//! What a first proof leaves that got no answer: nothing is held, and nobody may be waiting any more. For a moment what it
//! failed with answers for those who ask next, so that a cloud that is down, or wants to be asked later, is not asked
//! anew by each of them.

use leasehold_clock::Moment;

use super::{Machine, Phase};
use crate::LeaseError;
use crate::schedule::RETRY_UNANSWERED_MOST;

/// What a first proof failed with, and until when that is the answer.
pub(super) struct Quiet {
    until: Moment,
    error: LeaseError,
}

impl Machine {
    /// A first proof failed, and the next one is not to begin before `until`, unless somebody wants it proven anew.
    pub(super) fn be_quiet(&mut self, until: Moment, error: &LeaseError) {
        self.quiet = Some(Quiet { until, error: error.clone() });
    }

    /// What is answered in place of a first proof.
    pub(super) fn answer_for_a_proof(&self, now: Moment) -> Option<LeaseError> {
        let quiet = self.quiet.as_ref().filter(|_| matches!(self.phase, Phase::Idle))?;
        (now < quiet.until).then(|| quiet.error.clone())
    }

    /// When the failures are forgotten that the pauses grow by, if nobody asks any more. Not before whoever asks every now
    /// and then has been told again.
    pub(super) fn quiet_ends(&self) -> Option<Moment> {
        let quiet = self.quiet.as_ref().filter(|_| self.flights.is_empty())?;
        Some(quiet.until + RETRY_UNANSWERED_MOST)
    }
}
