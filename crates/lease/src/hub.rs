//! What all leases of a process share.

use std::collections::HashMap;
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
use crate::machine::Now;
use crate::prover::Prover;
use crate::sentinel::Sentinel;
use crate::subject::LeaseId;
use crate::{EndReason, LeaseError, LeaseEvent, Providers, Settings, Subject};

/// Most versions of one binding's key that are held at once. Rotating yearly, a store that reads data of 15 years ago.
const MAX_VERSIONS: usize = 16;

/// State changes that a slow reader may fall behind by before it must look for itself.
const EVENTS: usize = 1024;

/// What all leases of a process share.
pub(crate) struct Hub {
    pub(crate) clock: Arc<dyn TimeSource>,
    pub(crate) arena: Arena,
    pub(crate) settings: Settings,
    pub(crate) cache: SealedCache,
    pub(crate) events: broadcast::Sender<LeaseEvent>,
    pub(crate) runtime: Handle,
    provers: HashMap<ProviderKind, Prover>,
    cells: RwLock<HashMap<BindingName, Vec<Arc<Cell>>>>,
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
            cells: RwLock::default(),
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

    /// The lease `id`, made if there is none.
    pub(crate) fn cell(self: &Arc<Self>, id: &LeaseId, subject: &Subject) -> Result<Arc<Cell>, LeaseError> {
        self.check_revision(subject)?;
        if let Some(cell) = self.existing(&id.binding).into_iter().find(|cell| cell.id() == id) {
            return Ok(cell);
        }
        let prover = self.prover(&subject.binding.provider)?.clone();
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        // Once more under the lock: a change is announced before the leases that it concerns are looked up, so either it
        // finds the lease that is made here, or its announcement is seen here and none is made.
        self.check_revision(subject)?;
        let versions = cells.entry(id.binding.clone()).or_default();
        if let Some(cell) = versions.iter().find(|cell| cell.id() == id) {
            return Ok(Arc::clone(cell));
        }
        if versions.len() >= MAX_VERSIONS {
            return Err(LeaseError::TooManyVersions);
        }
        let cell = Arc::new(Cell::new(id.clone(), subject.clone(), prover, Arc::clone(self)));
        versions.push(Arc::clone(&cell));
        Ok(cell)
    }

    /// The leases of a binding, one for each version of its key in use.
    pub(crate) fn existing(&self, binding: &BindingName) -> Vec<Arc<Cell>> {
        let cells = self.cells.read().unwrap_or_else(PoisonError::into_inner);
        cells.get(binding).cloned().unwrap_or_default()
    }

    /// The leases of a tenant.
    pub(crate) fn of_tenant(&self, tenant: &TenantId) -> Vec<Arc<Cell>> {
        let cells = self.cells.read().unwrap_or_else(PoisonError::into_inner);
        cells
            .iter()
            .filter(|(name, _)| name.tenant() == tenant)
            .flat_map(|(_, cells)| cells.clone())
            .collect()
    }

    /// Every lease.
    pub(crate) fn all(&self) -> Vec<Arc<Cell>> {
        self.cells.read().unwrap_or_else(PoisonError::into_inner).values().flatten().cloned().collect()
    }

    /// Forgets a lease that holds, asks and wants nothing. Whoever still has it is told to look it up again.
    pub(crate) fn retire(&self, cell: &Arc<Cell>) {
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        if !cell.retire_if_dormant() {
            return;
        }
        if let Some(versions) = cells.get_mut(&cell.id().binding) {
            versions.retain(|other| !Arc::ptr_eq(other, cell));
            if versions.is_empty() {
                cells.remove(&cell.id().binding);
            }
        }
    }

    /// From now on, snapshots of `tenant` older than `revision` are turned away.
    pub(crate) fn announce(&self, tenant: &TenantId, revision: u64) {
        let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = announced.entry(tenant.clone()).or_default();
        *newest = revision.max(*newest);
    }

    fn check_revision(&self, subject: &Subject) -> Result<(), LeaseError> {
        let announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        if announced.get(subject.tenant()).is_some_and(|newest| subject.revision < *newest) {
            return Err(LeaseError::Ended(EndReason::Changed));
        }
        Ok(())
    }
}
