//! What all leases of a process share.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use leasehold_clock::TimeSource;
use leasehold_ids::{BindingName, LeaseEpoch, ProviderKind, TenantId};
use leasehold_secret::Arena;
use tokio::runtime::Handle;
use tokio::sync::broadcast;

use crate::budget::Budget;
use crate::cache::SealedCache;
use crate::cell::Cell;
use crate::family::Family;
use crate::machine::Now;
use crate::prover::Prover;
use crate::sentinel::Sentinel;
use crate::subject::LeaseId;
use crate::{EndReason, LeaseError, LeaseEvent, Providers, Settings, Subject};

/// Most versions of one binding's key that are held at once. Rotating yearly, a store that reads data of 15 years ago.
pub(crate) const MAX_VERSIONS: usize = 16;

/// State changes that a slow reader may fall behind by before it must look for itself.
const EVENTS: usize = 1024;

/// The leases of one binding. What they have in common may outlast them: which versions wrapped and worked, and what proved
/// them. Some 2 KiB for each binding whose key has versions, and for each of these 1 to 5 KiB, until it unwraps no more;
/// nothing for the others.
struct Versions {
    family: Arc<Family>,
    cells: Vec<Arc<Cell>>,
}

/// What all leases of a process share.
pub(crate) struct Hub {
    pub(crate) clock: Arc<dyn TimeSource>,
    pub(crate) arena: Arena,
    pub(crate) settings: Settings,
    pub(crate) cache: SealedCache,
    pub(crate) events: broadcast::Sender<LeaseEvent>,
    pub(crate) runtime: Handle,
    provers: HashMap<ProviderKind, Prover>,
    leases: RwLock<HashMap<BindingName, Versions>>,
    /// The newest revision of each tenant that was announced: a request with an older snapshot is turned away, or it
    /// could bring back to life what a suspension has just ended.
    announced: Mutex<HashMap<TenantId, u64>>,
    epochs: AtomicU64,
}

impl Hub {
    pub(crate) fn new(
        providers: &Providers,
        clock: Arc<dyn TimeSource>,
        arena: Arena,
        settings: Settings,
    ) -> Self {
        let prover = |kind: &ProviderKind| {
            let provider = Arc::clone(providers.get(kind).ok()?);
            let sentinel = providers.sentinel(kind).map(|binding| {
                let (provider, clock) = (Arc::clone(&provider), Arc::clone(&clock));
                Sentinel::new(provider, clock, Arc::clone(binding), settings.sentinel_wait)
            });
            let budget = Budget::new(settings.proofs_per_second, Arc::clone(&clock));
            let (clock, arena, deadline) = (Arc::clone(&clock), arena.clone(), settings.proof_deadline);
            Some((kind.clone(), Prover { provider, clock, budget, arena, sentinel, deadline }))
        };
        Self {
            provers: providers.kinds().into_iter().filter_map(prover).collect(),
            cache: SealedCache::new(&settings),
            events: broadcast::Sender::new(EVENTS),
            runtime: Handle::current(),
            leases: RwLock::default(),
            announced: Mutex::default(),
            epochs: AtomicU64::new(1),
            clock,
            arena,
            settings,
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now { at: self.clock.now(), generation: self.clock.generation() }
    }

    /// An epoch that nothing was sealed under yet.
    pub(crate) fn next_epoch(&self) -> LeaseEpoch {
        LeaseEpoch::new(self.epochs.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn prover(&self, kind: &ProviderKind) -> Result<&Prover, LeaseError> {
        self.provers.get(kind).ok_or_else(|| LeaseError::UnknownProvider(kind.clone()))
    }

    /// What the leases of a binding have in common; if it has none, what those would that it gets.
    pub(crate) fn family(&self, subject: &Subject) -> Result<Arc<Family>, LeaseError> {
        self.check(subject)?;
        match self.known(subject.name()) {
            Some((family, _)) => family.follow(subject).map(|()| family),
            None => Family::new(subject, self.clock.now()).map(Arc::new),
        }
    }

    /// The lease `id`, made if there is none.
    pub(crate) fn cell(self: &Arc<Self>, id: &LeaseId, subject: &Subject) -> Result<Arc<Cell>, LeaseError> {
        self.check(subject)?;
        if let Some(cell) = self.existing(&id.binding).into_iter().find(|cell| cell.id() == id) {
            cell.family().follow(subject)?;
            return Ok(cell);
        }
        let prover = self.prover(&subject.binding.provider)?.clone();
        let mut leases = self.leases.write().unwrap_or_else(PoisonError::into_inner);
        // Once more under the lock: a change is announced before the leases that it concerns are looked up, so either it
        // finds the lease that is made here, or its announcement is seen here and none is made.
        self.check(subject)?;
        let Versions { family, cells } = self.versions(&mut leases, subject)?;
        if let Some(cell) = cells.iter().find(|cell| cell.id() == id) {
            return Ok(Arc::clone(cell));
        }
        let others: Vec<_> = cells.iter().map(|cell| &cell.id().key_version).collect();
        family.admit(&id.key_version, &others, self.clock.now())?;
        let shared = (Arc::clone(family), Arc::clone(self));
        let cell = Arc::new(Cell::new(id.clone(), subject.clone(), prover, shared));
        cells.push(Arc::clone(&cell));
        Ok(cell)
    }

    fn versions<'l>(
        &self,
        leases: &'l mut HashMap<BindingName, Versions>,
        subject: &Subject,
    ) -> Result<&'l mut Versions, LeaseError> {
        match leases.entry(subject.name().clone()) {
            Entry::Occupied(known) => {
                known.get().family.follow(subject)?;
                Ok(known.into_mut())
            }
            Entry::Vacant(free) => {
                let family = Arc::new(Family::new(subject, self.clock.now())?);
                Ok(free.insert(Versions { family, cells: Vec::new() }))
            }
        }
    }

    /// The leases of a binding, one for each version of its key in use.
    pub(crate) fn existing(&self, binding: &BindingName) -> Vec<Arc<Cell>> {
        self.known(binding).map(|(_, cells)| cells).unwrap_or_default()
    }

    /// The same with what they have in common; `None` if nothing is known of the binding.
    pub(crate) fn known(&self, binding: &BindingName) -> Option<(Arc<Family>, Vec<Arc<Cell>>)> {
        let leases = self.leases.read().unwrap_or_else(PoisonError::into_inner);
        leases.get(binding).map(|versions| (Arc::clone(&versions.family), versions.cells.clone()))
    }

    /// The leases of a tenant.
    pub(crate) fn of_tenant(&self, tenant: &TenantId) -> Vec<Arc<Cell>> {
        let leases = self.leases.read().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = leases.iter().filter(|(name, _)| name.tenant() == tenant);
        of_tenant.flat_map(|(_, versions)| versions.cells.clone()).collect()
    }

    /// Every lease.
    pub(crate) fn all(&self) -> Vec<Arc<Cell>> {
        let leases = self.leases.read().unwrap_or_else(PoisonError::into_inner);
        leases.values().flat_map(|versions| versions.cells.clone()).collect()
    }

    /// Forgets a lease that holds, asks and wants nothing. Whoever still has it is told to look it up again.
    pub(crate) fn retire(&self, cell: &Arc<Cell>) {
        let now = self.clock.now();
        let mut leases = self.leases.write().unwrap_or_else(PoisonError::into_inner);
        if !cell.retire_if_dormant() {
            return;
        }
        if let Some(Versions { family, cells }) = leases.get_mut(&cell.id().binding) {
            cells.retain(|other| !Arc::ptr_eq(other, cell));
            if cells.is_empty() && !family.remembers(now) {
                leases.remove(&cell.id().binding);
            }
        }
    }

    /// Forgets what is remembered of the bindings of `tenant` that have no lease and, by its record, get none any more.
    pub(crate) fn forget(&self, tenant: &TenantId, unwraps: impl Fn(&BindingName) -> bool) {
        let mut leases = self.leases.write().unwrap_or_else(PoisonError::into_inner);
        leases
            .retain(|name, versions| name.tenant() != tenant || !versions.cells.is_empty() || unwraps(name));
    }

    /// From now on, snapshots of `tenant` older than `revision` are turned away.
    pub(crate) fn announce(&self, tenant: &TenantId, revision: u64) {
        let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = announced.entry(tenant.clone()).or_default();
        *newest = revision.max(*newest);
    }

    /// Whether there may be leases of `subject`: it is as new as what was announced, and something may be unwrapped under it.
    fn check(&self, subject: &Subject) -> Result<(), LeaseError> {
        let announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        let outdated = announced.get(subject.tenant()).is_some_and(|newest| subject.revision < *newest);
        match outdated || !subject.binding.state.unwraps() {
            true => Err(LeaseError::Ended(EndReason::Changed)),
            false => Ok(()),
        }
    }
}
