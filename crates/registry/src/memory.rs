//! Tenants in memory.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use leasehold_ids::TenantId;
use leasehold_tenant::{Change, Page, PageRequest, Registry, RegistryError, Tenant};
use tokio::sync::broadcast;

/// Announcements that a receiver may fall behind before it has to read everything again.
const ANNOUNCEMENTS: usize = 1024;

type Tenants = BTreeMap<TenantId, Arc<Tenant>>;

/// Keeps tenants in memory: for development, demonstrations and tests. Clones share the records.
#[derive(Debug, Clone)]
pub struct MemoryRegistry(Arc<State>);

#[derive(Debug)]
struct State {
    tenants: RwLock<Tenants>,
    changes: broadcast::Sender<Change>,
}

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
            tenants.insert(id.clone(), Arc::new(tenant));
        }
        self.announce(id);
        Ok(())
    }

    async fn tenant(&self, id: &TenantId) -> Result<Arc<Tenant>, RegistryError> {
        self.read().get(id).cloned().ok_or_else(|| RegistryError::NotFound(id.clone()))
    }

    async fn replace(&self, tenant: Tenant, expected: u64) -> Result<(), RegistryError> {
        let id = tenant.id.clone();
        {
            let mut tenants = self.write();
            let record = tenants.get_mut(&id).ok_or_else(|| RegistryError::NotFound(id.clone()))?;
            if record.revision != expected {
                return Err(RegistryError::Conflict(id));
            }
            *record = Arc::new(tenant);
        }
        self.announce(id);
        Ok(())
    }

    async fn list(&self, page: PageRequest) -> Result<Page, RegistryError> {
        let tenants = self.read();
        let start = page.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut listed = tenants
            .range::<TenantId, _>((start, Bound::Unbounded))
            .map(|(_, tenant)| tenant)
            .filter(|tenant| page.show_deleted || tenant.deleted.is_none())
            .cloned();
        let size = page.size.clamp(1, PageRequest::MAX_SIZE);
        let tenants = listed.by_ref().take(size).collect();
        Ok(Page { tenants, more: listed.next().is_some() })
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.0.changes.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use leasehold_tenant::LeaseTerms;

    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn tenant(id: &str) -> Tenant {
        Tenant::new(id.parse().unwrap(), id.to_owned(), LeaseTerms::default(), NOW)
    }

    async fn registry_of(ids: &[&str]) -> MemoryRegistry {
        let registry = MemoryRegistry::new();
        for id in ids {
            registry.create(tenant(id)).await.unwrap();
        }
        registry
    }

    async fn page(registry: &MemoryRegistry, size: usize, after: Option<&str>) -> (Vec<String>, bool) {
        let after = after.map(|id| id.parse().unwrap());
        let page = registry.list(PageRequest { size, after, show_deleted: false }).await.unwrap();
        (page.tenants.iter().map(|t| t.id.to_string()).collect(), page.more)
    }

    #[tokio::test]
    async fn ids_are_never_given_out_twice() {
        let registry = registry_of(&["a"]).await;
        assert!(matches!(registry.create(tenant("a")).await, Err(RegistryError::Exists(_))));
        let deleted = tenant("a").deleted(NOW).unwrap();
        registry.replace(deleted, 1).await.unwrap();
        assert!(matches!(registry.create(tenant("a")).await, Err(RegistryError::Exists(_))));
    }

    #[tokio::test]
    async fn a_record_that_changed_in_between_is_not_overwritten() {
        let registry = registry_of(&["a"]).await;
        let mine = tenant("a").suspended(NOW).unwrap();
        let theirs = tenant("a").updated_to("theirs".into(), LeaseTerms::default(), NOW).unwrap();
        registry.replace(theirs, 1).await.unwrap();
        assert!(matches!(registry.replace(mine, 1).await, Err(RegistryError::Conflict(_))));
        assert_eq!(registry.tenant(&"a".parse().unwrap()).await.unwrap().display_name, "theirs");
        let absent = registry.replace(tenant("b"), 1).await;
        assert!(matches!(absent, Err(RegistryError::NotFound(_))));
    }

    #[tokio::test]
    async fn a_change_can_be_read_by_the_time_that_it_is_announced() {
        let registry = registry_of(&["a"]).await;
        let mut changes = registry.changes();
        registry.replace(tenant("a").suspended(NOW).unwrap(), 1).await.unwrap();
        let id: TenantId = "a".parse().unwrap();
        assert_eq!(changes.recv().await, Ok(Change::Tenant(id.clone())));
        assert_eq!(registry.tenant(&id).await.unwrap().revision, 2);
    }

    #[tokio::test]
    async fn pages_follow_one_another_without_gaps() {
        let registry = registry_of(&["d", "b", "a", "c"]).await;
        let ids = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(page(&registry, 2, None).await, (ids(&["a", "b"]), true));
        assert_eq!(page(&registry, 2, Some("b")).await, (ids(&["c", "d"]), false));
        assert_eq!(page(&registry, 2, Some("bb")).await, (ids(&["c", "d"]), false));
        assert_eq!(page(&registry, 2, Some("d")).await, (ids(&[]), false));
        registry.replace(tenant("c").deleted(NOW).unwrap(), 1).await.unwrap();
        assert_eq!(
            page(&registry, 3, Some("a")).await,
            (ids(&["b", "d"]), false),
            "deleted ones are not listed"
        );
    }
}
