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
