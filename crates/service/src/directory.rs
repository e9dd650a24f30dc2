//! Records of tenants in memory, kept fresh, and the leases with them.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leasehold_clock::{Moment, TimeSource};
use leasehold_ids::TenantId;
use leasehold_lease::{Leases, Subject};
use leasehold_tenant::{Change, Registry, Tenant};
use tokio::sync::broadcast;

use crate::{ServiceError, Settings};

/// How long after a failed read the registry is asked again for the same tenant.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// How long after a failed read the follower asks again: polling alone is to meet one second.
const FOLLOW_AGAIN: Duration = Duration::from_secs(1);

/// Announcements that a watch may fall behind before it reads all its tenants again.
const ANNOUNCEMENTS: usize = 1024;

/// Reads tenants through the registry and holds what it read. What is newer than what was held applies to live leases
/// before anybody is told.
pub(crate) struct Directory {
    registry: Arc<dyn Registry>,
    leases: Leases,
    clock: Arc<dyn TimeSource>,
    settings: Settings,
    held: Mutex<HashMap<TenantId, Snapshot>>,
    /// Counts announced changes. A record whose reading began before the newest one may be old already.
    changes: AtomicU64,
    adopted: broadcast::Sender<Change>,
}

struct Snapshot {
    tenant: Arc<Tenant>,
    read_at: Moment,
    /// From when on the registry is asked before this is used.
    ask_at: Moment,
    /// Whether a change was announced since it was read.
    outdated: bool,
}

/// What is held of a tenant.
enum Lookup {
    Fresh(Arc<Tenant>),
    Stale(Arc<Tenant>, Moment),
    Absent,
}

impl Directory {
    pub(crate) fn new(
        registry: Arc<dyn Registry>,
        leases: Leases,
        clock: Arc<dyn TimeSource>,
        settings: Settings,
    ) -> Self {
        Self {
            registry,
            leases,
            clock,
            settings,
            held: Mutex::default(),
            changes: AtomicU64::new(0),
            adopted: broadcast::Sender::new(ANNOUNCEMENTS),
        }
    }

    pub(crate) fn registry(&self) -> &dyn Registry {
        &*self.registry
    }

    /// What was adopted from now on. Unlike the registry's own announcements these come when [`tenant`](Self::tenant) has
    /// the news, and the leases follow it.
    pub(crate) fn adopted(&self) -> broadcast::Receiver<Change> {
        self.adopted.subscribe()
    }

    /// The tenant as it is now; while the registry does not answer, as it was at most `registry_staleness` ago.
    pub(crate) async fn tenant(&self, id: &TenantId) -> Result<Arc<Tenant>, ServiceError> {
        let (stale, read_at) = match self.look_up(id) {
            Lookup::Fresh(tenant) => return Ok(tenant),
            Lookup::Stale(tenant, read_at) => (Some(tenant), read_at),
            Lookup::Absent => (None, Moment::START),
        };
        match (self.read(id).await, stale) {
            (Err(ServiceError::RegistryUnavailable), Some(tenant))
                if self.clock.now().since(read_at) <= self.settings.registry_staleness =>
            {
                Ok(tenant)
            }
            (result, _) => result,
        }
    }

    /// The tenant as the registry has it now.
    pub(crate) async fn read(&self, id: &TenantId) -> Result<Arc<Tenant>, ServiceError> {
        let changes = self.changes.load(Ordering::SeqCst);
        let started = self.clock.now();
        match self.within_deadline(self.registry.tenant(id)).await {
            Ok(tenant) => Ok(self.adopt(&tenant, started, changes)),
            Err(error) => {
                match error {
                    ServiceError::UnknownTenant(_) => self.forget(id),
                    _ => self.postpone(id),
                }
                Err(error)
            }
        }
    }

    /// Holds a record that this process just wrote, and applies it to live leases before it returns.
    pub(crate) fn wrote(&self, tenant: &Arc<Tenant>) {
        self.adopt(tenant, self.clock.now(), self.changes.load(Ordering::SeqCst));
    }

    /// A call to the registry, for as long as one may take.
    pub(crate) async fn within_deadline<T>(
        &self,
        call: impl Future<Output = Result<T, leasehold_tenant::RegistryError>>,
    ) -> Result<T, ServiceError> {
        tokio::select! {
            biased;
            result = call => result.map_err(ServiceError::from),
            () = self.clock.sleep(self.settings.registry_deadline) => Err(ServiceError::RegistryUnavailable),
        }
    }

    /// Applies announced changes until nobody announces any more.
    pub(crate) async fn follow(self: Arc<Self>, mut announced: broadcast::Receiver<Change>) {
        let mut pending = BTreeSet::new();
        loop {
            let retry = async {
                if pending.is_empty() {
                    std::future::pending().await
                } else {
                    self.clock.sleep(FOLLOW_AGAIN).await
                }
            };
            let change = tokio::select! {
                biased;
                change = announced.recv() => Some(change),
                () = retry => None,
            };
            match change {
                Some(Ok(Change::Tenant(id))) => pending.extend(self.outdate(Some(id))),
                Some(Ok(Change::Unknown) | Err(broadcast::error::RecvError::Lagged(_))) => {
                    pending.extend(self.outdate(None));
                    // Those that are watched but no longer held here must be read again too.
                    let _ = self.adopted.send(Change::Unknown);
                }
                Some(Err(broadcast::error::RecvError::Closed)) => return,
                None => {}
            }
            pending = self.refresh(pending).await;
        }
    }

    /// Reads these tenants again; returns those for which there was no answer.
    async fn refresh(&self, ids: BTreeSet<TenantId>) -> BTreeSet<TenantId> {
        let mut unanswered = BTreeSet::new();
        for id in ids {
            // Once the registry is found not to answer, the rest need not find out one by one.
            if !unanswered.is_empty()
                || matches!(self.read(&id).await, Err(ServiceError::RegistryUnavailable))
            {
                unanswered.insert(id);
            }
        }
        unanswered
    }

    fn look_up(&self, id: &TenantId) -> Lookup {
        let now = self.clock.now();
        let mut held = self.held();
        let Some(snapshot) = held.get_mut(id) else { return Lookup::Absent };
        let usable = now.since(snapshot.read_at) <= self.settings.registry_staleness;
        if usable && now < snapshot.ask_at {
            return Lookup::Fresh(Arc::clone(&snapshot.tenant));
        }
        if usable && !snapshot.outdated {
            // A routine recheck: one request asks, and the others go on with what is held.
            snapshot.ask_at = now + ASK_AGAIN;
        }
        Lookup::Stale(Arc::clone(&snapshot.tenant), snapshot.read_at)
    }

    /// Holds `tenant`, read from `started` on when `changes` had been announced, unless something newer is held; returns
    /// what is held then.
    fn adopt(&self, tenant: &Arc<Tenant>, started: Moment, changes: u64) -> Arc<Tenant> {
        let news = {
            let mut held = self.held();
            let known = held.get(&tenant.id).map(|snapshot| &snapshot.tenant);
            if let Some(newer) = known.filter(|known| known.revision > tenant.revision) {
                return Arc::clone(newer);
            }
            let known = known.map(|known| known.revision);
            if known.is_none() && held.len() >= self.settings.tenants_held {
                // Any one will do: a hash map's order is as good as random, and nothing but a read is lost.
                let evicted = held.keys().next().cloned();
                evicted.map(|id| held.remove(&id));
            }
            let outdated = self.changes.load(Ordering::SeqCst) != changes;
            let ask_at = if outdated { Moment::START } else { started + self.settings.registry_recheck };
            let snapshot = Snapshot { tenant: Arc::clone(tenant), read_at: started, ask_at, outdated };
            held.insert(tenant.id.clone(), snapshot);
            known != Some(tenant.revision)
        };
        if news {
            self.apply(tenant);
        }
        Arc::clone(tenant)
    }

    /// Lets live leases follow the record. Whatever is to be wiped is wiped when this returns.
    fn apply(&self, tenant: &Tenant) {
        self.leases.tenant_changed(tenant);
        // Nobody watching is no error.
        let _ = self.adopted.send(Change::Tenant(tenant.id.clone()));
    }

    /// Marks what is held of one tenant, or of all, as perhaps no longer true; returns which those are.
    fn outdate(&self, id: Option<TenantId>) -> BTreeSet<TenantId> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        let mut held = self.held();
        let affected = match id {
            Some(id) => BTreeSet::from([id]),
            None => held.keys().cloned().collect(),
        };
        for id in &affected {
            if let Some(snapshot) = held.get_mut(id) {
                (snapshot.outdated, snapshot.ask_at) = (true, Moment::START);
            }
        }
        affected
    }

    fn postpone(&self, id: &TenantId) {
        let ask_at = self.clock.now() + ASK_AGAIN;
        if let Some(snapshot) = self.held().get_mut(id) {
            snapshot.ask_at = ask_at;
        }
    }

    /// The registry has no such tenant, although tenants are never removed: it must have been replaced. Nothing of it is
    /// held on.
    fn forget(&self, id: &TenantId) {
        let Some(snapshot) = self.held().remove(id) else { return };
        tracing::warn!(tenant = %id, "the registry no longer has a tenant that it had");
        self.apply(&Tenant { deleted: Some(self.clock.wall()), ..Tenant::clone(&snapshot.tenant) });
    }

    fn held(&self) -> MutexGuard<'_, HashMap<TenantId, Snapshot>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bindings of `tenant` that may have leases; none if it is not served.
pub(crate) fn subjects(tenant: &Tenant) -> Vec<Subject> {
    let unwrapping = tenant.bindings.values().filter(|b| tenant.is_served() && b.state.unwraps());
    unwrapping.map(|binding| Subject::of(tenant, binding)).collect()
}
