//! The trait of whatever keeps tenants.

use std::sync::Arc;

use async_trait::async_trait;
use leasehold_ids::TenantId;
use tokio::sync::broadcast;

use crate::{RegistryError, Tenant};

/// Something about a tenant is not as it was. Says which, not what: read the record again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The record changed.
    Tenant(TenantId),
    /// Changes may have been missed; read everything again that is held.
    Unknown,
}

/// Which part of a listing is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// At most this many, 1 to [`PageRequest::MAX_SIZE`].
    pub size: usize,
    /// Only tenants whose id comes after this one; none for the first page. It need not exist.
    pub after: Option<TenantId>,
    /// Whether deleted tenants are listed too.
    pub show_deleted: bool,
}

impl PageRequest {
    /// 1000: a page of records of up to 64 bindings stays below what one answer should take.
    pub const MAX_SIZE: usize = 1000;

    /// The size within its bounds.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.size.clamp(1, Self::MAX_SIZE)
    }
}

/// Most revisions that [`Registry::history`] gives at once: 100 records of up to 64 bindings are some 13 MB at worst.
pub const HISTORY_PAGE: usize = 100;

/// One page of a listing, in order of id.
#[derive(Debug)]
pub struct Page {
    /// The tenants.
    pub tenants: Vec<Arc<Tenant>>,
    /// What is wrong with records that belong among them and cannot be read: [`RegistryError::BadRecord`]. One bad record says
    /// nothing about the others.
    pub bad: Vec<RegistryError>,
    /// After which id the next page begins; none if this was the last.
    pub next: Option<TenantId>,
}

/// Keeps tenants, and what they ever were. The only state of Leasehold.
///
/// To write your own: `create` and `replace` are atomic, and durable when they return; a caller who is gone before that does
/// not know which of the two records is kept, but it is one of them, whole. A record is replaced only if its revision is the
/// one expected, and only by one that [follows](Tenant::check_follows) it. Nothing that was kept is ever altered or removed:
/// [`history`](Self::history) has it. Every change is announced to [`changes`](Self::changes) *after* it can be read, and
/// also those that other processes made to the same store. `leasehold-registry` has a test-suite for implementations.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// Keeps a new tenant.
    ///
    /// # Errors
    /// [`RegistryError::Exists`] if the id is, or ever was, taken.
    async fn create(&self, tenant: Tenant) -> Result<(), RegistryError>;

    /// The tenant of this id, deleted or not.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`].
    async fn tenant(&self, id: &TenantId) -> Result<Arc<Tenant>, RegistryError>;

    /// Keeps `tenant` in place of the record of the same id.
    ///
    /// # Errors
    /// [`RegistryError::Conflict`] unless the record's revision is `expected`; [`RegistryError::NotFound`];
    /// [`RegistryError::Unfollowing`] unless `tenant` follows what it is to replace.
    async fn replace(&self, tenant: Tenant, expected: u64) -> Result<(), RegistryError>;

    /// One page of tenants in order of id.
    ///
    /// # Errors
    /// [`RegistryError::Unavailable`].
    async fn list(&self, page: PageRequest) -> Result<Page, RegistryError>;

    /// What the record of this tenant was, revision by revision, from the first one later than `after` on: at most
    /// [`HISTORY_PAGE`] of them, oldest first, the present one included. None for a tenant that never was.
    ///
    /// # Errors
    /// [`RegistryError::Unavailable`].
    async fn history(&self, id: &TenantId, after: u64) -> Result<Vec<Arc<Tenant>>, RegistryError>;

    /// Announces changes from now on. A receiver that lags must read everything again.
    fn changes(&self) -> broadcast::Receiver<Change>;
}
