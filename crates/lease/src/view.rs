//! What may be seen of a lease from outside.

use std::sync::Arc;
use std::time::Duration;

use leasehold_ids::{BindingName, LeaseEpoch};
use leasehold_provider::ProviderError;

/// Where a lease is in its life. The order is that of the diagram in the design.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseState {
    /// Nothing is held and nothing is asked. The next request proves.
    Idle,
    /// The first proof is under way.
    Proving,
    /// Proven; plaintext is served.
    Live,
    /// The cloud said no. Everything was wiped; it is asked again while in demand.
    Denied,
    /// The bound passed without an answer. Everything was wiped; it is asked again while in demand.
    Lapsed,
    /// Ended by the operator, and not asked again until resumed.
    Suspended,
}

impl LeaseState {
    /// Of the leases of one binding, which to speak of first: the greatest.
    fn attention(self) -> u8 {
        match self {
            Self::Idle => 0,
            Self::Proving => 1,
            Self::Live => 2,
            Self::Lapsed => 3,
            Self::Suspended => 4,
            Self::Denied => 5,
        }
    }
}

/// A lease at one moment.
#[derive(Debug, Clone)]
pub struct LeaseView {
    /// Where it is in its life.
    pub state: LeaseState,
    /// How long the lease still lives if no further proof succeeds; zero unless Live.
    pub ttl: Duration,
    /// How long ago the newest complete proof began; `None` unless Live.
    pub proof_age: Option<Duration>,
    /// Which life of the lease this is, while Live: a greater one than before means that the lease was over in between,
    /// and with it everything that was handed out. Unique within the process.
    pub epoch: Option<LeaseEpoch>,
    /// The newest denial, while Denied.
    pub denial: Option<Arc<ProviderError>>,
    /// Whether the newest proof was denied in a way that the sentinel shows to be our own fault.
    pub masked: bool,
}

impl LeaseView {
    pub(crate) const IDLE: Self = Self {
        state: LeaseState::Idle,
        ttl: Duration::ZERO,
        proof_age: None,
        epoch: None,
        denial: None,
        masked: false,
    };

    /// What may be said of two leases of one binding at once: the state that most needs attention; of two that live, the
    /// time that both have left and the later life, so that nothing is held for longer than either allows.
    pub(crate) fn together(self, other: Self) -> Self {
        let masked = self.masked || other.masked;
        let attention = |view: &Self| view.state.attention();
        let (more, less) = if attention(&self) >= attention(&other) { (self, other) } else { (other, self) };
        if less.state != LeaseState::Live || more.state != LeaseState::Live {
            return Self { masked, ..more };
        }
        Self {
            ttl: more.ttl.min(less.ttl),
            proof_age: more.proof_age.max(less.proof_age),
            epoch: more.epoch.max(less.epoch),
            masked,
            ..more
        }
    }
}

/// A lease changed its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseEvent {
    /// Whose lease.
    pub binding: BindingName,
    /// The state that it is in now.
    pub state: LeaseState,
    /// Whether this is the first denial since the lease was last live or idle: the one to tell other replicas of.
    pub first_denial: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(ttl: u64, age: u64, epoch: u64) -> LeaseView {
        LeaseView {
            state: LeaseState::Live,
            ttl: Duration::from_secs(ttl),
            proof_age: Some(Duration::from_secs(age)),
            epoch: Some(LeaseEpoch::new(epoch)),
            ..LeaseView::IDLE
        }
    }

    #[test]
    fn p1_of_two_live_versions_the_shorter_lease_is_told() {
        for (a, b) in [(live(10, 5, 7), live(200, 100, 3)), (live(200, 100, 3), live(10, 5, 7))] {
            let both = a.together(b);
            assert_eq!((both.ttl, both.proof_age), (Duration::from_secs(10), Some(Duration::from_secs(100))));
            assert_eq!(both.epoch, Some(LeaseEpoch::new(7)));
        }
    }

    #[test]
    fn a_denied_version_is_told_before_a_live_one() {
        let denied = LeaseView { state: LeaseState::Denied, ..LeaseView::IDLE };
        assert_eq!(live(10, 5, 7).together(denied).state, LeaseState::Denied);
    }
}
