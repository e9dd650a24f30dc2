//! `WatchLeases` without its transport.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use leasehold_authz::Operation;
use leasehold_ids::{BindingId, BindingName, TenantId};
use leasehold_lease::{HoldGuard, LeaseEvent, LeaseState, LeaseView};
use leasehold_tenant::{Change, Tenant};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::directory::subjects;
use crate::{Caller, Service, ServiceError};

/// Most tenants of one watch, and most subscriptions and acknowledgements of one message: an answer names every lease of
/// every tenant, and 1,000 of them stay below 200 KiB.
pub const MAX_WATCHED: usize = 1000;

/// What a watcher wants of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchMode {
    /// To be told. Keeps no lease proving.
    Observe,
    /// To be told, and to keep the tenant's leases proving, because it holds keys itself.
    Hold,
    /// To be told no longer.
    Forget,
}

/// What a watcher did when it was told that a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchAction {
    /// Wiped every copy of every key of the binding.
    Wiped,
    /// Stopped the compute that used the keys.
    ComputeStopped,
}

/// A watcher's word that it acted; recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The binding whose lease ended. Its tenant must be watched.
    pub binding: BindingName,
    /// Which life of the lease, as the watcher was told.
    pub epoch: u64,
    /// What it did.
    pub action: WatchAction,
}

/// One message of a watcher.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchMessage {
    /// Grows with each message, from 1.
    pub sequence: u64,
    /// What it wants from now on; of several for one tenant the last counts.
    pub subscriptions: Vec<(TenantId, WatchMode)>,
    /// What it did.
    pub acknowledgements: Vec<Acknowledgement>,
}

/// One lease as it is now.
#[derive(Debug, Clone)]
pub struct LeaseStatus {
    /// Whose lease.
    pub binding: BindingName,
    /// How it stands.
    pub view: LeaseView,
}

/// One message to a watcher.
#[derive(Debug, Clone)]
pub struct WatchUpdate {
    /// The newest sequence number received. TTLs count from when the watcher *sent* that message, which is never later
    /// than now, so that the time on the way never lengthens a lease.
    pub sequence: u64,
    /// In an answer every lease of every tenant watched; unasked those that changed.
    pub leases: Vec<LeaseStatus>,
}

/// One watcher. The transport hands every message to [`receive`](Self::receive), sends what that returns, and in between
/// waits for [`changed`](Self::changed), whose future it may drop at any time. Dropping the watch ends its holds.
pub struct Watch {
    service: Service,
    caller: Caller,
    watched: BTreeMap<TenantId, Watched>,
    events: broadcast::Receiver<LeaseEvent>,
    adopted: broadcast::Receiver<Change>,
    /// Tenants whose record may have changed and was not looked at yet.
    unsettled: BTreeSet<TenantId>,
    sequence: u64,
    _permit: OwnedSemaphorePermit,
}

struct Watched {
    tenant: Arc<Tenant>,
    mode: WatchMode,
    holds: BTreeMap<BindingId, HoldGuard>,
}

impl Service {
    /// Begins a watch of no tenants.
    ///
    /// # Errors
    /// [`ServiceError::PermissionDenied`] if the caller may watch nobody; [`ServiceError::OverLimit`] if there are too many
    /// watches.
    pub async fn watch(&self, caller: &Caller) -> Result<Watch, ServiceError> {
        let decision = self.admit(caller, Operation::WatchLeases, None).await?;
        let permit = Arc::clone(&self.inner.watches).try_acquire_owned();
        let permit = permit.map_err(|_| ServiceError::OverLimit("streams of WatchLeases"));
        let permit = decision.conclude(permit).await?;
        Ok(Watch {
            service: self.clone(),
            caller: caller.clone(),
            watched: BTreeMap::new(),
            events: self.inner.leases.events(),
            adopted: self.inner.directory.adopted(),
            unsettled: BTreeSet::new(),
            sequence: 0,
            _permit: permit,
        })
    }
}

impl Watch {
    /// Takes a message, and answers with every lease of every tenant watched. After an error the watch is over.
    ///
    /// # Errors
    /// [`ServiceError::PermissionDenied`] for a tenant outside of the caller's rules, existing or not;
    /// [`ServiceError::UnknownTenant`]; [`ServiceError::InvalidArgument`]; [`ServiceError::OverLimit`];
    /// [`ServiceError::AuditUnavailable`].
    pub async fn receive(&mut self, message: WatchMessage) -> Result<WatchUpdate, ServiceError> {
        self.check(&message)?;
        for (tenant, mode) in message.subscriptions {
            match mode {
                WatchMode::Forget => drop(self.watched.remove(&tenant)),
                WatchMode::Observe | WatchMode::Hold => self.subscribe(tenant, mode).await?,
            }
        }
        for acknowledgement in &message.acknowledgements {
            self.acknowledge(acknowledgement).await?;
        }
        self.sequence = message.sequence;
        // A hold that could not be had, because the record had just changed, may be had now.
        self.watched.values_mut().for_each(|watched| watched.hold(&self.service));
        let leases = self.watched.values().flat_map(|watched| watched.statuses(&self.service));
        Ok(WatchUpdate { sequence: self.sequence, leases: leases.collect() })
    }

    /// Waits for a change that the watcher is to be told of. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`ServiceError::RegistryUnavailable`] if a tenant's record changed and cannot be had;
    /// [`ServiceError::UnknownTenant`].
    pub async fn changed(&mut self) -> Result<WatchUpdate, ServiceError> {
        loop {
            let mut leases = self.settle().await?;
            if leases.is_empty() {
                leases = tokio::select! {
                    biased;
                    event = self.events.recv() => self.told(event),
                    change = self.adopted.recv() => {
                        self.unsettle(change);
                        Vec::new()
                    }
                };
            }
            if !leases.is_empty() {
                return Ok(WatchUpdate { sequence: self.sequence, leases });
            }
        }
    }

    fn check(&self, message: &WatchMessage) -> Result<(), ServiceError> {
        let over = |field, count| {
            (count > MAX_WATCHED).then(|| ServiceError::invalid(field, "has more than 1,000 items"))
        };
        if message.sequence <= self.sequence {
            return Err(ServiceError::invalid("sequence", "must grow with each message, from 1"));
        }
        let error = over("subscriptions", message.subscriptions.len())
            .or_else(|| over("acknowledgements", message.acknowledgements.len()));
        error.map_or(Ok(()), Err)
    }

    async fn subscribe(&mut self, id: TenantId, mode: WatchMode) -> Result<(), ServiceError> {
        if self.watched.get(&id).is_some_and(|watched| watched.mode == mode) {
            return Ok(());
        }
        let decision = self.service.admit(&self.caller, Operation::WatchLeases, Some(&id)).await?;
        let full = self.watched.len() >= MAX_WATCHED && !self.watched.contains_key(&id);
        let tenant = match full {
            true => Err(ServiceError::OverLimit("tenants of one stream of WatchLeases")),
            false => self.service.inner.directory.tenant(&id).await,
        };
        let tenant = decision.conclude(tenant).await?;
        let mut watched = Watched { tenant, mode, holds: BTreeMap::new() };
        watched.hold(&self.service);
        self.watched.insert(id, watched);
        Ok(())
    }

    async fn acknowledge(&self, acknowledgement: &Acknowledgement) -> Result<(), ServiceError> {
        let Acknowledgement { binding, epoch, action } = acknowledgement;
        let mut decision =
            self.service.admit(&self.caller, Operation::WatchLeases, Some(binding.tenant())).await?;
        let action = match action {
            WatchAction::Wiped => "wiped",
            WatchAction::ComputeStopped => "compute_stopped",
        };
        decision.acknowledging(binding.binding(), *epoch, action);
        let known = self.watched.contains_key(binding.tenant());
        let invalid = || ServiceError::invalid("acknowledgements", "must be about tenants that are watched");
        decision.conclude(known.then_some(()).ok_or_else(invalid)).await
    }

    /// What an event of the leases means to this watcher.
    fn told(&self, event: Result<LeaseEvent, RecvError>) -> Vec<LeaseStatus> {
        let leases = &self.service.inner.leases;
        match event {
            Ok(event) if event.state == LeaseState::Proving => Vec::new(),
            Ok(event) if !self.watched.contains_key(event.binding.tenant()) => Vec::new(),
            Ok(event) => {
                let view = leases.view(&event.binding);
                // What has ended must be told even if a new life has begun since.
                let view = if view.state == event.state { view } else { ended(event.state) };
                vec![LeaseStatus { binding: event.binding, view }]
            }
            Err(RecvError::Lagged(_)) => {
                self.watched.values().flat_map(|watched| watched.statuses(&self.service)).collect()
            }
            Err(RecvError::Closed) => Vec::new(),
        }
    }

    fn unsettle(&mut self, change: Result<Change, RecvError>) {
        match change {
            Ok(Change::Tenant(id)) if self.watched.contains_key(&id) => drop(self.unsettled.insert(id)),
            Ok(Change::Tenant(_)) => {}
            Ok(Change::Unknown) | Err(_) => self.unsettled.extend(self.watched.keys().cloned()),
        }
    }

    /// Follows one changed record at a time, and says what to tell of it.
    async fn settle(&mut self) -> Result<Vec<LeaseStatus>, ServiceError> {
        while let Some(id) = self.unsettled.first().cloned() {
            let tenant = self.service.inner.directory.tenant(&id).await?;
            self.unsettled.remove(&id);
            let Some(watched) = self.watched.get_mut(&id) else { continue };
            let before = std::mem::replace(&mut watched.tenant, tenant);
            watched.hold(&self.service);
            let mut leases = watched.statuses(&self.service);
            leases.extend(gone(&before, &watched.tenant));
            if !leases.is_empty() {
                return Ok(leases);
            }
        }
        Ok(Vec::new())
    }
}

// === impl Watched ===

impl Watched {
    /// Holds what is to be held: every binding that unwraps, in HOLD mode.
    fn hold(&mut self, service: &Service) {
        self.holds.retain(|id, _| self.tenant.bindings.get(id).is_some_and(|b| b.state.unwraps()));
        if self.mode != WatchMode::Hold {
            return;
        }
        for subject in subjects(&self.tenant) {
            let id = subject.name().binding();
            if self.holds.contains_key(id) {
                continue;
            }
            match service.inner.leases.hold(&subject) {
                Ok(guard) => drop(self.holds.insert(id.clone(), guard)),
                // The record that we have is outdated; the newer one is on its way, or the next message tries again.
                Err(error) => tracing::debug!(binding = %subject.name(), %error, "not held yet"),
            }
        }
    }

    fn statuses(&self, service: &Service) -> Vec<LeaseStatus> {
        let unwrapping = self.tenant.bindings.values().filter(|binding| binding.state.unwraps());
        let status = |name: &BindingName| LeaseStatus {
            binding: name.clone(),
            view: if self.tenant.is_served() {
                service.inner.leases.view(name)
            } else {
                ended(LeaseState::Suspended)
            },
        };
        unwrapping.map(|binding| status(&binding.name)).collect()
    }
}

/// Bindings that no longer unwrap.
fn gone(before: &Tenant, after: &Tenant) -> Vec<LeaseStatus> {
    let unwraps =
        |tenant: &Tenant, id: &BindingId| tenant.bindings.get(id).is_some_and(|b| b.state.unwraps());
    let gone = before.bindings.iter().filter(|(id, _)| unwraps(before, id) && !unwraps(after, id));
    gone.map(|(_, binding)| LeaseStatus { binding: binding.name.clone(), view: ended(LeaseState::Suspended) })
        .collect()
}

/// A lease that is not live, of which there is no more to say.
fn ended(state: LeaseState) -> LeaseView {
    LeaseView { state, ttl: Duration::ZERO, proof_age: None, epoch: None, denial: None, masked: false }
}
