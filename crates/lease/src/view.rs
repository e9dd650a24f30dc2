//! What may be seen of a lease from outside.

use std::sync::Arc;
use std::time::Duration;

use leasehold_ids::{BindingName, LeaseEpoch};
use leasehold_provider::ProviderError;

/// Where a lease is in its life. The order is that of the diagram in the design.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Idle, Self::Proving, Self::Live, Self::Denied, Self::Lapsed, Self::Suspended];

    /// Its name in lower case, as metrics have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Proving => "proving",
            Self::Live => "live",
            Self::Denied => "denied",
            Self::Lapsed => "lapsed",
            Self::Suspended => "suspended",
        }
    }

    /// Of the leases of one binding, one for each version of its key, the state to speak of first: the greatest. The version
    /// that wraps speaks for the binding. While it has nothing to say a version that lives does, and before all others one
    /// that is denied.
    fn weight(self, wraps: bool) -> u8 {
        match self {
            Self::Idle => 0,
            Self::Proving => 1,
            Self::Live | Self::Lapsed | Self::Suspended | Self::Denied if wraps => 6,
            Self::Lapsed => 2,
            Self::Suspended => 3,
            Self::Denied => 4,
            Self::Live => 5,
        }
    }

    /// The state of a binding whose leases are in these states, each told with whether it is that of the version that
    /// wraps.
    pub(crate) fn together(states: impl IntoIterator<Item = (bool, Self)>) -> Self {
        let first = states.into_iter().max_by_key(|(wraps, state)| state.weight(*wraps));
        first.map_or(Self::Idle, |(_, state)| state)
    }
}

/// The lease of a binding at one moment. Where the key has versions there is a lease for each that is in use, and this is
/// what may be said of them at once: see each field.
#[derive(Debug, Clone)]
pub struct LeaseView {
    /// Where it is in its life. Of several versions: the state of the one that wraps; while that one is idle or in its
    /// first proof, Live if another version lives, or else Denied if another is denied. Versions that never proved live
    /// and do not wrap are not counted.
    pub state: LeaseState,
    /// How long the lease still lives if no further proof succeeds; zero unless Live. Of several live versions the
    /// shortest time, so that nothing is held for longer than its own lease allows.
    pub ttl: Duration,
    /// How long ago the newest complete proof began; `None` unless Live. Of several live versions the oldest.
    pub proof_age: Option<Duration>,
    /// Which life of the lease this is, while Live: a greater one than before means that the lease was over in between,
    /// and with it everything that was handed out. The end of *any* version's lease begins another epoch; that one more
    /// version became live does not. Unique within the process.
    pub epoch: Option<LeaseEpoch>,
    /// The newest denial, while Denied.
    pub denial: Option<Arc<ProviderError>>,
    /// Whether the newest proof was denied in a way that the sentinel shows to be our own fault; of several versions
    /// whether any was.
    pub masked: bool,
    /// Why the cloud did not say, when it was last asked, which version of the key wraps: a rotation is not followed until it
    /// does. Ends nothing.
    pub rotation_unknown: Option<Arc<ProviderError>>,
}

impl LeaseView {
    pub(crate) const IDLE: Self = Self {
        state: LeaseState::Idle,
        ttl: Duration::ZERO,
        proof_age: None,
        epoch: None,
        denial: None,
        masked: false,
        rotation_unknown: None,
    };

    /// Of a lease that is in `state` and not live, of which there is no more to say.
    #[must_use]
    pub fn over(state: LeaseState) -> Self {
        Self { state, ..Self::IDLE }
    }

    /// What may be said at once of the leases of one binding, each told with whether it is that of the version that wraps.
    /// The epoch, and whether rotations are followed, are not theirs, but the binding's.
    pub(crate) fn together(views: impl IntoIterator<Item = (bool, Self)>) -> Self {
        let views: Vec<_> = views.into_iter().collect();
        let state = LeaseState::together(views.iter().map(|(wraps, view)| (*wraps, view.state)));
        let mut alike: Vec<_> = views.iter().filter(|(_, view)| view.state == state).collect();
        alike.sort_by_key(|(wraps, _)| !wraps);
        Self {
            state,
            ttl: alike.iter().map(|(_, view)| view.ttl).min().unwrap_or_default(),
            proof_age: alike.iter().filter_map(|(_, view)| view.proof_age).max(),
            epoch: None,
            denial: alike.iter().find_map(|(_, view)| view.denial.clone()),
            masked: views.iter().any(|(_, view)| view.masked),
            rotation_unknown: None,
        }
    }
}

/// The lease of a binding changed its state. Of several versions' leases: every change of the one that wraps, and of each
/// other when it becomes live and when it ends. While the binding lives on without a version that ended, its end is
/// followed at once by an event that says Live: whoever drops everything at the first is told by the second, and by the
/// view's new epoch, what goes on. Nothing is told of versions that never proved live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseEvent {
    /// Whose lease.
    pub binding: BindingName,
    /// The state that it is in now.
    pub state: LeaseState,
    /// Whether this is the first that is told of a denial since the lease was last live or idle: the one to tell other
    /// replicas of. A denial of the principal ends the leases of all versions, and is the first for one of them.
    pub first_denial: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(ttl: u64, age: u64) -> LeaseView {
        LeaseView {
            state: LeaseState::Live,
            ttl: Duration::from_secs(ttl),
            proof_age: Some(Duration::from_secs(age)),
            ..LeaseView::IDLE
        }
    }

    fn in_state(state: LeaseState) -> LeaseView {
        LeaseView { state, ..LeaseView::IDLE }
    }

    #[test]
    fn p1_of_two_live_versions_the_shorter_lease_is_told() {
        for both in
            [[(true, live(10, 5)), (false, live(200, 100))], [(false, live(10, 5)), (true, live(200, 100))]]
        {
            let both = LeaseView::together(both);
            assert_eq!((both.ttl, both.proof_age), (Duration::from_secs(10), Some(Duration::from_secs(100))));
        }
    }

    #[test]
    fn the_version_that_wraps_speaks_for_the_binding() {
        use LeaseState::{Denied, Idle, Lapsed, Live, Proving};
        for (wrapping, other, told) in [
            (Live, Denied, Live),
            (Denied, Live, Denied),
            (Lapsed, Live, Lapsed),
            (Idle, Live, Live),
            (Proving, Live, Live),
            (Idle, Denied, Denied),
            (Proving, Denied, Denied),
            (Proving, Idle, Proving),
        ] {
            for views in [[(true, wrapping), (false, other)], [(false, other), (true, wrapping)]] {
                let view = LeaseView::together(views.map(|(wraps, state)| (wraps, in_state(state))));
                assert_eq!(view.state, told, "{wrapping:?} and {other:?}");
            }
        }
        assert_eq!(LeaseView::together([]).state, Idle);
    }
}
