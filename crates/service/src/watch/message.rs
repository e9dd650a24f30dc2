//! What a watcher and the service say to each other.

use leasehold_ids::{BindingName, TenantId};
use leasehold_lease::LeaseView;

/// Most tenants of one watch, and most subscriptions and acknowledgements of one message: an answer names every lease of
/// every tenant, and 1,000 of them stay below 200 KiB.
pub const MAX_WATCHED: usize = 1000;

/// What a watcher wants of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchMode {
    /// To be told. Keeps no lease proving.
    Observe,
    /// To be told, and to keep the tenant's leases proving, because it holds keys itself.
    Hold,
    /// To be told no longer.
    Forget,
}

/// What a watcher did when it was told that a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchAction {
    /// Wiped every copy of every key of the binding.
    Wiped,
    /// Stopped the compute that used the keys.
    ComputeStopped,
}

/// A watcher's word that it acted; recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The binding whose lease ended. Its tenant must be watched.
    pub binding: BindingName,
    /// The newest epoch of the binding's lease that the watcher was told on this stream; zero if it was told none. With an
    /// epoch that it was not told, the word is worth nothing: recorded as refused, and otherwise ignored, because ending
    /// the watch would end holds for it.
    pub epoch: u64,
    /// What it did.
    pub action: WatchAction,
}

/// One message of a watcher.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchMessage {
    /// Grows with each message, from 1.
    pub sequence: u64,
    /// What it wants from now on; of several for one tenant the last counts.
    pub subscriptions: Vec<(TenantId, WatchMode)>,
    /// What it did.
    pub acknowledgements: Vec<Acknowledgement>,
}

/// One lease as it is now.
#[derive(Debug, Clone)]
pub struct LeaseStatus {
    /// Whose lease.
    pub binding: BindingName,
    /// How it stands. Another epoch than the one told before means that the lease was over in between, and with it all
    /// that was handed out, also if nothing else says so: a watch that fell behind is told how things are, not how they
    /// came to be so.
    pub view: LeaseView,
}

/// One message to a watcher.
#[derive(Debug, Clone)]
pub struct WatchUpdate {
    /// The newest sequence number received. TTLs count from when the watcher *sent* that message, which is never later
    /// than now, so that the time on the way never lengthens a lease.
    pub sequence: u64,
    /// In an answer every lease of every tenant watched; unasked those that changed.
    pub leases: Vec<LeaseStatus>,
}
