//! One proof at work.

use std::sync::Arc;

use leasehold_ids::BindingVersion;

use super::Cell;
use crate::LeaseError;
use crate::canary::Canary;
use crate::machine::{Landed, Means, Outcome, Reach};

/// A proof under way; lands exactly once, whatever becomes of its task.
pub(super) struct InFlight<'a> {
    pub(super) cell: &'a Arc<Cell>,
    pub(super) id: Option<u64>,
    /// The binding's, as the proof is about it.
    pub(super) version: BindingVersion,
    /// What it opens, if a caller lent it.
    pub(super) lent: Option<Canary>,
}

impl InFlight<'_> {
    /// `opened` is what proved it.
    pub(super) fn land(mut self, outcome: Outcome, opened: Option<Canary>) {
        self.report(outcome, opened);
    }

    fn report(&mut self, outcome: Outcome, opened: Option<Canary>) {
        let Some(id) = self.id.take() else { return };
        let (cell, hub) = (self.cell, &self.cell.hub);
        let means = Means {
            arena: &hub.arena,
            sealing_key_max_age: hub.settings.sealing_key_max_age,
            epoch: hub.next_epoch(),
        };
        if let Outcome::Denied { error, reach: Reach::Binding } = &outcome {
            // Before this one, whose landing lets go on who waits for the verdict.
            cell.deny_others(self.version, error);
        }
        let refused = self.lent.take().filter(|_| outcome.is_of_a_loan());
        let landed = cell.with(|machine, now| machine.land(id, outcome, now, &means));
        let version = &cell.id.key_version;
        match (landed.as_ref().and_then(Landed::error), opened) {
            (Some(error), _) => {
                refused.iter().for_each(|canary| cell.lent.refused(canary));
                cell.family.failed(version, error, refused.as_ref(), hub.clock.now());
            }
            (None, Some(opened)) => {
                cell.family.keep(version, opened);
                cell.make_room();
            }
            (None, None) => {}
        }
        // Whoever asks again once they are told is let in anew.
        hub.retire(cell);
        landed.into_iter().for_each(Landed::tell);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.report(Outcome::Failed(LeaseError::Internal("a proof was abandoned")), None);
    }
}
