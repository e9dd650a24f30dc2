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
    /// At most this many, 1 to 1000.
    pub size: usize,
    /// Where the last page ended; empty for the first.
    pub token: String,
    /// Whether deleted tenants are listed too.
    pub show_deleted: bool,
}

/// One page of a listing, in order of id.
#[derive(Debug, Clone)]
pub struct Page {
    /// The tenants.
    pub tenants: Vec<Arc<Tenant>>,
    /// Where the next page begins; empty if this was the last.
    pub next_token: String,
}

/// Keeps tenants. The only state of Leasehold.
///
/// To write your own: `create` and `replace` are atomic and durable when they return; a record is replaced only if its
/// revision is the one expected; every change is announced to [`changes`](Self::changes) *after* it can be read.
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
    /// [`RegistryError::Conflict`] unless the record's revision is `expected`; [`RegistryError::NotFound`].
    async fn replace(&self, tenant: Tenant, expected: u64) -> Result<(), RegistryError>;

    /// One page of tenants in order of id.
    ///
    /// # Errors
    /// [`RegistryError::BadPageToken`].
    async fn list(&self, page: PageRequest) -> Result<Page, RegistryError>;

    /// Announces changes from now on. A receiver that lags must read everything again.
    fn changes(&self) -> broadcast::Receiver<Change>;
}
