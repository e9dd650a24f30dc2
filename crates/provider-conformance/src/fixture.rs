//! The levers that a provider's tests give to the suite.

use async_trait::async_trait;
use leasehold_envelope::KeyVersion;
use leasehold_secret::Arena;
use leasehold_tenant::Binding;

/// What can be wrong with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyCondition {
    /// Its owner disabled it.
    Disabled,
    /// It is scheduled for deletion.
    PendingDeletion,
    /// Its material has not been imported, or has expired.
    PendingImport,
    /// It is past the expiry that its owner set.
    Expired,
    /// What holds its material does not answer; it will come back.
    StoreDown,
}

/// How a cloud can fail to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// Connections are reset.
    Reset,
    /// The service answers that it is broken (a 5xx of its own).
    ServerError,
    /// The answer ends in the middle.
    Truncated,
    /// The answer is not what the protocol says.
    Garbled,
    /// A refusal with a code that nobody has seen before.
    UnknownRefusal,
}

impl Outage {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Reset, Self::ServerError, Self::Truncated, Self::Garbled, Self::UnknownRefusal];
}

/// How often the cloud was asked, by its own log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Calls {
    /// Requests to become a principal; each hop of a chain counts.
    pub assumes: usize,
    /// Requests that use a key.
    pub key_uses: usize,
}

/// A cloud under test, with a tenant who has let us in. Levers take effect before they return; what one broke,
/// [`heal`](Self::heal) mends.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// The arena that the provider was built with.
    fn arena(&self) -> &Arena;

    /// The tenant's binding, which works.
    fn binding(&self) -> Binding;

    /// Another tenant's binding, which works too: another principal, another key.
    fn other_binding(&self) -> Binding;

    /// How many times one assume of [`binding`](Self::binding) must ask the cloud.
    fn hops(&self) -> usize;

    /// A binding whose principal lets anybody in through us.
    fn unprotected_binding(&self) -> Binding;

    /// A binding whose principal is in our own account, and protected as it should be otherwise; `None` on clouds without
    /// such a notion.
    fn own_account_binding(&self) -> Option<Binding>;

    /// Bindings whose key exists but is of a kind that cannot wrap for us.
    fn unfit_bindings(&self) -> Vec<Binding>;

    /// A binding whose key does not exist any more.
    fn missing_key_binding(&self) -> Binding;

    /// Bindings that cannot work, as anybody can see without asking the cloud.
    fn malformed_bindings(&self) -> Vec<Binding>;

    /// The tenant takes us out of the trust that they gave.
    async fn revoke_trust(&self);

    /// The tenant forbids their principal the use of the key.
    async fn deny_key(&self);

    /// The tenant's key gets into this condition. False if this cloud knows no such thing.
    async fn set_key(&self, condition: KeyCondition) -> bool;

    /// The tenant's key gets a new version, which wraps from now on; [`heal`](Self::heal) does not take it back. False on
    /// clouds whose versions nobody sees.
    async fn rotate(&self) -> bool;

    /// The tenant disables one version of their key and leaves the others as they are. Not called where
    /// [`rotate`](Self::rotate) says false.
    async fn disable_version(&self, version: &KeyVersion);

    /// The cloud throttles every call.
    async fn throttle(&self);

    /// The cloud fails every call in this way.
    async fn outage(&self, outage: Outage);

    /// Every session that exists expires.
    async fn expire_sessions(&self);

    /// Our own credentials, with which we ask to become anybody, stop being good.
    async fn break_own_identity(&self);

    /// Everything is as at the start again, but for sessions that expired and versions that were made.
    async fn heal(&self);

    /// How often the cloud was asked so far.
    async fn calls(&self) -> Calls;
}
