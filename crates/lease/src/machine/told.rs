//! What others say: the registry, the operator, engines, and the other versions of the key.

use std::sync::Arc;

use leasehold_clock::Moment;
use leasehold_ids::BindingVersion;
use leasehold_provider::ProviderError;

use super::{Machine, Now, Phase};
use crate::flights::Landing;
use crate::{EndReason, LeaseError, Subject};

// === What the registry, the operator and engines say ===

impl Machine {
    /// Shows the machine a snapshot of its tenant's record. Older ones than it has seen are ignored.
    pub(crate) fn follow(&mut self, subject: &Subject, now: Now) {
        if subject.revision <= self.subject.revision {
            return;
        }
        let changed = subject.binding.version != self.subject.binding.version;
        self.subject = subject.clone();
        if changed || self.is_suspended() {
            self.ends += 1;
            self.leave(Phase::Idle);
            self.retry_at = self.held.then_some(now.at);
        }
        // A lowered bound applies to the live lease, now.
        self.expire(now);
        if let Phase::Live(live) = &self.phase {
            self.renew_at = self.renew_at.min(live.proof_started + self.bound() / 2);
        }
    }

    /// The operator ended the lease; it is not proven again until a newer revision says otherwise.
    pub(crate) fn end(&mut self, reason: EndReason, revision: u64) {
        if revision >= self.subject.revision {
            self.subject.revision = revision;
            self.ends += 1;
            self.leave(Phase::Suspended(reason));
            // A proof that began only now would count again, and undo what the operator did.
            self.flights.refuse_queued(LeaseError::Ended(reason));
        }
    }

    /// Somebody holds keys of this lease from now on, or nobody does; and whether its version is a stranger.
    pub(crate) fn stand(&mut self, held: bool, stranger: bool, now: Moment) {
        self.stranger = stranger;
        match (std::mem::replace(&mut self.held, held), held) {
            (false, true) if matches!(self.phase, Phase::Idle) && self.flights.is_empty() => {
                self.retry_at = Some(now);
            }
            (true, false) => self.last_use = self.last_use.max(now),
            _ => {}
        }
    }
}

// === What the other versions of the key say ===

impl Machine {
    /// The cloud denied the principal, us or the key, which is the same for every version: what is held here ends too.
    pub(crate) fn deny_by_sibling(&mut self, version: BindingVersion, error: &Arc<ProviderError>, now: Now) {
        if version != self.subject.binding.version || self.is_suspended() {
            return;
        }
        match &self.phase {
            Phase::Live(_) | Phase::Lapsed => self.deny(Arc::clone(error), now),
            // A success that began before it does not count.
            _ => self.denials += 1,
        }
    }

    /// Whose fault a denial of the principal is has not been told yet; nothing is served until `landing`.
    pub(crate) fn doubt(&mut self, landing: Landing) {
        self.doubts.push(landing);
    }
}
