//! Tenants in memory.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use leasehold_ids::TenantId;
use leasehold_tenant::{Change, HISTORY_PAGE, Page, PageRequest, Registry, RegistryError, Tenant};
use tokio::sync::broadcast;

use crate::ANNOUNCEMENTS;

/// Keeps tenants in memory: for development, demonstrations and tests. Clones share the records.
#[derive(Debug, Clone)]
pub struct MemoryRegistry(Arc<State>);

#[derive(Debug)]
struct State {
    tenants: RwLock<Tenants>,
    changes: broadcast::Sender<Change>,
}

/// By id, every revision of the record that there ever was; the last one is in force. None is empty.
type Tenants = BTreeMap<TenantId, Vec<Arc<Tenant>>>;

impl MemoryRegistry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(State { tenants: RwLock::default(), changes: broadcast::Sender::new(ANNOUNCEMENTS) }))
    }

    fn read(&self) -> RwLockReadGuard<'_, Tenants> {
        self.0.tenants.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tenants> {
        self.0.tenants.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self, id: TenantId) {
        // Nobody listening is no error.
        let _ = self.0.changes.send(Change::Tenant(id));
    }
}

impl Default for MemoryRegistry {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Registry for MemoryRegistry {
    async fn create(&self, tenant: Tenant) -> Result<(), RegistryError> {
        let id = tenant.id.clone();
        {
            let mut tenants = self.write();
            if tenants.contains_key(&id) {
                return Err(RegistryError::Exists(id));
            }
            tenants.insert(id.clone(), vec![Arc::new(tenant)]);
        }
        self.announce(id);
        Ok(())
    }

    async fn tenant(&self, id: &TenantId) -> Result<Arc<Tenant>, RegistryError> {
        let tenants = self.read();
        let record = tenants.get(id).and_then(|revisions| revisions.last());
        record.cloned().ok_or_else(|| RegistryError::NotFound(id.clone()))
    }

    async fn replace(&self, tenant: Tenant, expected: u64) -> Result<(), RegistryError> {
        let id = tenant.id.clone();
        {
            let mut tenants = self.write();
            let revisions = tenants.get_mut(&id).ok_or_else(|| RegistryError::NotFound(id.clone()))?;
            let record = revisions.last().ok_or_else(|| RegistryError::NotFound(id.clone()))?;
            if record.revision != expected {
                return Err(RegistryError::Conflict(id));
            }
            tenant.check_follows(record).map_err(|why| RegistryError::Unfollowing(id.clone(), why))?;
            revisions.push(Arc::new(tenant));
        }
        self.announce(id);
        Ok(())
    }

    async fn list(&self, page: PageRequest) -> Result<Page, RegistryError> {
        let tenants = self.read();
        let start = page.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut listed = tenants
            .range::<TenantId, _>((start, Bound::Unbounded))
            .filter_map(|(_, revisions)| revisions.last())
            .filter(|tenant| page.show_deleted || tenant.deleted.is_none())
            .cloned();
        let tenants: Vec<_> = listed.by_ref().take(page.limit()).collect();
        let next = listed.next().and(tenants.last()).map(|tenant| tenant.id.clone());
        Ok(Page { tenants, bad: Vec::new(), next })
    }

    async fn history(&self, id: &TenantId, after: u64) -> Result<Vec<Arc<Tenant>>, RegistryError> {
        let tenants = self.read();
        let revisions = tenants.get(id).into_iter().flatten();
        Ok(revisions.filter(|tenant| tenant.revision > after).take(HISTORY_PAGE).cloned().collect())
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.0.changes.subscribe()
    }
}
