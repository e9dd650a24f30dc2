//! A registry that can be counted, silenced, stopped and overtaken.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use leasehold_ids::TenantId;
use leasehold_registry::MemoryRegistry;
use leasehold_tenant::{Change, Page, PageRequest, Registry, RegistryError, Tenant};
use tokio::sync::{Notify, broadcast};

#[derive(Clone)]
pub(crate) struct FakeRegistry(Arc<State>);

struct State {
    records: MemoryRegistry,
    /// Announcements from here on; a silenced registry passes none on.
    announced: broadcast::Sender<Change>,
    calls: AtomicUsize,
    listings: AtomicUsize,
    down: AtomicBool,
    hanging: AtomicBool,
    /// How many of the next replacements somebody else is faster than.
    overtaken: AtomicUsize,
    /// Tenants whose records cannot be read.
    bad: Mutex<BTreeSet<TenantId>>,
    /// Whether the next reading is to wait, after it has read, for `go_on`.
    slow: AtomicBool,
    go_on: Notify,
    /// Whether the next replacement is to wait, before it replaces, for `replace`.
    slow_to_replace: AtomicBool,
    replace: Notify,
}

impl FakeRegistry {
    pub(crate) fn new() -> Self {
        Self(Arc::new(State {
            records: MemoryRegistry::new(),
            announced: broadcast::Sender::new(16),
            calls: AtomicUsize::new(0),
            listings: AtomicUsize::new(0),
            down: AtomicBool::new(false),
            hanging: AtomicBool::new(false),
            overtaken: AtomicUsize::new(0),
            bad: Mutex::default(),
            slow: AtomicBool::new(false),
            go_on: Notify::new(),
            slow_to_replace: AtomicBool::new(false),
            replace: Notify::new(),
        }))
    }

    pub(crate) fn calls(&self) -> usize {
        self.0.calls.load(SeqCst)
    }

    pub(crate) fn listings(&self) -> usize {
        self.0.listings.load(SeqCst)
    }

    pub(crate) fn go_down(&self, down: bool) {
        self.0.down.store(down, SeqCst);
    }

    /// Somebody alters the record of `id` by hand.
    pub(crate) fn spoil(&self, id: &str) {
        self.0.bad.lock().unwrap().insert(id.parse().unwrap());
    }

    fn is_bad(&self, id: &TenantId) -> bool {
        self.0.bad.lock().unwrap().contains(id)
    }

    pub(crate) fn hang(&self) {
        self.0.hanging.store(true, SeqCst);
    }

    pub(crate) fn overtake(&self, times: usize) {
        self.0.overtaken.store(times, SeqCst);
    }

    pub(crate) fn slow_down_next_read(&self) {
        self.0.slow.store(true, SeqCst);
    }

    pub(crate) fn let_slow_read_go_on(&self) {
        self.0.go_on.notify_one();
    }

    pub(crate) fn slow_down_next_replacement(&self) {
        self.0.slow_to_replace.store(true, SeqCst);
    }

    pub(crate) fn let_slow_replacement_go_on(&self) {
        self.0.replace.notify_one();
    }

    /// The record as it is, whatever the registry pretends.
    pub(crate) async fn record(&self, id: &str) -> Arc<Tenant> {
        self.0.records.tenant(&id.parse().unwrap()).await.unwrap()
    }

    /// Changes a record as another replica would; announced only if told so.
    pub(crate) async fn change_elsewhere(
        &self,
        id: &str,
        announce: bool,
        change: impl FnOnce(Tenant) -> Tenant,
    ) {
        let before = self.record(id).await;
        self.0.records.replace(change(Tenant::clone(&before)), before.revision).await.unwrap();
        if announce {
            let _ = self.0.announced.send(Change::Tenant(id.parse().unwrap()));
        }
    }

    async fn asked(&self) -> Result<(), RegistryError> {
        self.0.calls.fetch_add(1, SeqCst);
        if self.0.hanging.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        match self.0.down.load(SeqCst) {
            true => Err(RegistryError::Unavailable("no route to host".into())),
            false => Ok(()),
        }
    }
}

fn bad(id: &TenantId) -> RegistryError {
    RegistryError::BadRecord { tenant: id.to_string(), source: "provider: no such thing".into() }
}

#[async_trait]
impl Registry for FakeRegistry {
    async fn create(&self, tenant: Tenant) -> Result<(), RegistryError> {
        self.asked().await?;
        self.0.records.create(tenant).await
    }

    async fn tenant(&self, id: &TenantId) -> Result<Arc<Tenant>, RegistryError> {
        self.asked().await?;
        if self.is_bad(id) {
            return Err(bad(id));
        }
        let tenant = self.0.records.tenant(id).await;
        if self.0.slow.swap(false, SeqCst) {
            self.0.go_on.notified().await;
        }
        tenant
    }

    async fn replace(&self, tenant: Tenant, expected: u64) -> Result<(), RegistryError> {
        self.asked().await?;
        if self.0.slow_to_replace.swap(false, SeqCst) {
            self.0.replace.notified().await;
        }
        let id = tenant.id.clone();
        let faster = |n: usize| n.checked_sub(1);
        if self.0.overtaken.fetch_update(SeqCst, SeqCst, faster).is_ok() {
            self.change_elsewhere(id.as_str(), false, |t| {
                let (terms, at) = (t.terms, t.updated);
                t.updated_to("theirs".into(), terms, at).unwrap()
            })
            .await;
        }
        self.0.records.replace(tenant, expected).await?;
        let _ = self.0.announced.send(Change::Tenant(id));
        Ok(())
    }

    async fn list(&self, page: PageRequest) -> Result<Page, RegistryError> {
        self.asked().await?;
        self.0.listings.fetch_add(1, SeqCst);
        let mut page = self.0.records.list(page).await?;
        page.bad.extend(
            page.tenants.extract_if(.., |tenant| self.is_bad(&tenant.id)).map(|tenant| bad(&tenant.id)),
        );
        Ok(page)
    }

    async fn history(&self, id: &TenantId, after: u64) -> Result<Vec<Arc<Tenant>>, RegistryError> {
        self.asked().await?;
        self.0.records.history(id, after).await
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.0.announced.subscribe()
    }
}
