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

use crate::plan::{Need, Plan};
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
    plan: Plan,
}

struct Snapshot {
    known: Known,
    /// From when on the registry is asked before this is used.
    ask_at: Moment,
    /// Whether a change was announced since it was read.
    outdated: bool,
}

/// A tenant's record, and when it was read.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) tenant: Arc<Tenant>,
    /// When its reading began: it says nothing of what came later.
    pub(crate) read_at: Moment,
}

/// What is held of a tenant.
enum Lookup {
    Fresh(Known),
    Stale(Known),
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
            plan: Plan::default(),
        }
    }

    pub(crate) fn registry(&self) -> &dyn Registry {
        &*self.registry
    }

    pub(crate) fn leases(&self) -> &Leases {
        &self.leases
    }

    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Whether the leases of all tenants still fit into the budget of proofs, if tenant `id` needs `after` instead of
    /// `before`.
    pub(crate) async fn check_plan(
        &self,
        id: &TenantId,
        before: &Need,
        after: &Need,
    ) -> Result<(), ServiceError> {
        self.plan.check(self, id, before, after).await
    }

    /// What was adopted from now on. Unlike the registry's own announcements these come when [`tenant`](Self::tenant) has
    /// the news, and the leases follow it.
    pub(crate) fn adopted(&self) -> broadcast::Receiver<Change> {
        self.adopted.subscribe()
    }

    /// The tenant as it is now; while the registry does not answer, as it was at most `registry_staleness` ago.
    pub(crate) async fn tenant(&self, id: &TenantId) -> Result<Arc<Tenant>, ServiceError> {
        self.known(id).await.map(|known| known.tenant)
    }

    /// As [`tenant`](Self::tenant), for those who go on relying on it: they must ask again before
    /// [`is_too_old`](Self::is_too_old).
    pub(crate) async fn known(&self, id: &TenantId) -> Result<Known, ServiceError> {
        let stale = match self.look_up(id) {
            Lookup::Fresh(known) => return Ok(known),
            Lookup::Stale(known) => Some(known),
            Lookup::Absent => None,
        };
        match (self.ask(id).await, stale) {
            (Err(ServiceError::RegistryUnavailable), Some(known)) if !self.is_too_old(&known) => Ok(known),
            (result, _) => result,
        }
    }

    /// Whether a record was read longer ago than anything may be decided by it.
    pub(crate) fn is_too_old(&self, known: &Known) -> bool {
        self.clock.now().since(known.read_at) > self.settings.registry_staleness
    }

    /// When those who rely on records look again, although no change was announced.
    pub(crate) fn next_recheck(&self) -> Moment {
        self.clock.now() + self.settings.registry_recheck
    }

    /// The tenant as the registry has it now.
    pub(crate) async fn read(&self, id: &TenantId) -> Result<Arc<Tenant>, ServiceError> {
        self.ask(id).await.map(|known| known.tenant)
    }

    async fn ask(&self, id: &TenantId) -> Result<Known, ServiceError> {
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
                    self.plan.doubt();
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
        let usable = !self.is_too_old(&snapshot.known);
        if usable && now < snapshot.ask_at {
            return Lookup::Fresh(snapshot.known.clone());
        }
        if usable && !snapshot.outdated {
            // A routine recheck: one request asks, and the others go on with what is held.
            snapshot.ask_at = now + ASK_AGAIN;
        }
        Lookup::Stale(snapshot.known.clone())
    }

    /// Holds `tenant`, read from `started` on when `changes` had been announced, unless something newer is held; returns
    /// what is held then.
    fn adopt(&self, tenant: &Arc<Tenant>, started: Moment, changes: u64) -> Known {
        let read = Known { tenant: Arc::clone(tenant), read_at: started };
        let news = {
            let mut held = self.held();
            let known = held.get(&tenant.id).map(|snapshot| &snapshot.known);
            if let Some(newer) = known.filter(|known| known.tenant.revision > tenant.revision) {
                return newer.clone();
            }
            let known = known.map(|known| known.tenant.revision);
            if known.is_none() && held.len() >= self.settings.tenants_held {
                // Any one will do: a hash map's order is as good as random, and nothing but a read is lost.
                let evicted = held.keys().next().cloned();
                evicted.map(|id| held.remove(&id));
            }
            let outdated = self.changes.load(Ordering::SeqCst) != changes;
            let ask_at = if outdated { Moment::START } else { started + self.settings.registry_recheck };
            held.insert(tenant.id.clone(), Snapshot { known: read.clone(), ask_at, outdated });
            known != Some(tenant.revision)
        };
        if news {
            self.apply(tenant);
        }
        read
    }

    /// Lets live leases follow the record. Whatever is to be wiped is wiped when this returns.
    fn apply(&self, tenant: &Tenant) {
        self.leases.tenant_changed(tenant);
        self.plan.note(tenant);
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
        self.apply(&Tenant { deleted: Some(self.clock.wall()), ..Tenant::clone(&snapshot.known.tenant) });
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
