//! What may be seen of a lease.

use std::sync::Arc;

use leasehold_clock::Moment;
use leasehold_ids::LeaseEpoch;
use leasehold_provider::ProviderError;

use super::{Machine, Now, Phase};
use crate::{EndReason, LeaseState, LeaseView};

impl Machine {
    pub(crate) fn state(&self) -> LeaseState {
        match &self.phase {
            Phase::Idle if self.flights.is_empty() => LeaseState::Idle,
            Phase::Idle => LeaseState::Proving,
            Phase::Live(_) => LeaseState::Live,
            Phase::Denied { .. } => LeaseState::Denied,
            Phase::Lapsed => LeaseState::Lapsed,
            Phase::Suspended(_) => LeaseState::Suspended,
        }
    }

    pub(crate) fn view(&mut self, now: Now) -> LeaseView {
        self.expire(now);
        let mut view = LeaseView { state: self.state(), masked: self.masked, ..LeaseView::IDLE };
        match &self.phase {
            Phase::Live(live) => {
                view.ttl = self.expires(live).since(now.at);
                view.proof_age = Some(now.at.since(live.proof_started));
                view.epoch = Some(live.run);
            }
            Phase::Denied { error, .. } => view.denial = Some(Arc::clone(error)),
            _ => {}
        }
        view
    }

    /// The epoch of the live sealing key.
    pub(crate) fn epoch(&self) -> Option<LeaseEpoch> {
        match &self.phase {
            Phase::Live(live) => Some(live.epoch),
            _ => None,
        }
    }

    /// The life that the lease is in, while Live.
    pub(crate) fn run(&self) -> Option<LeaseEpoch> {
        match &self.phase {
            Phase::Live(live) => Some(live.run),
            _ => None,
        }
    }

    /// Why it is denied, while Denied.
    pub(crate) fn denial(&self) -> Option<&Arc<ProviderError>> {
        match &self.phase {
            Phase::Denied { error, .. } => Some(error),
            _ => None,
        }
    }

    pub(crate) fn is_stranger(&self) -> bool {
        self.stranger
    }

    /// Whether something is held or goes on being asked for, so that a proof says something.
    pub(crate) fn is_in_use(&self) -> bool {
        matches!(self.phase, Phase::Live(_) | Phase::Denied { .. } | Phase::Lapsed)
    }

    /// When it was last used, if something is held or goes on being asked for.
    pub(crate) fn used(&self) -> Option<Moment> {
        self.is_in_use().then_some(self.last_use)
    }

    /// How a run ended since this was last asked, whatever has followed it since.
    pub(crate) fn take_ended(&mut self) -> Option<LeaseState> {
        self.ended.take()
    }

    /// Whether the lease may be forgotten: nothing is held, asked, wanted or answered for; or nothing will be ever again.
    pub(crate) fn is_dormant(&self) -> bool {
        let over = matches!(self.phase, Phase::Suspended(EndReason::Deleted | EndReason::Changed));
        (over || matches!(self.phase, Phase::Idle))
            && self.flights.is_empty()
            && self.quiet.is_none()
            && !self.held
            && !self.flights.can_dequeue()
    }
}
