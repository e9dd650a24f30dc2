//! `WatchLeases` without its transport.

mod message;
mod watched;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::{BoxFuture, join_all};
use leasehold_authz::{Identity, Operation};
use leasehold_clock::Moment;
use leasehold_ids::TenantId;
use leasehold_lease::LeaseEvent;
use leasehold_tenant::Change;
use tokio::sync::broadcast::{self, error::RecvError};

pub use self::message::{
    Acknowledgement, LeaseStatus, MAX_WATCHED, WatchAction, WatchMessage, WatchMode, WatchUpdate,
};
use self::watched::Watched;
use crate::directory::Known;
use crate::room::Place;
use crate::{Caller, Service, ServiceError};

/// Decisions of one message that are recorded at once. A write of the journal has room for as many, and its queue for those of
/// 16 watchers.
const AT_ONCE: usize = 256;

/// One watcher. The transport hands every message to [`receive`](Self::receive), sends what that returns, and in between
/// waits for [`changed`](Self::changed), whose future it may drop at any time. Dropping the watch ends its holds, and so
/// does an error.
///
/// A watch relies on records no longer than a request does: while the registry does not answer, TTLs are renewed and
/// leases held for `registry_staleness`, and then the watch ends with [`ServiceError::RegistryUnavailable`].
pub struct Watch {
    service: Service,
    caller: Caller,
    watched: BTreeMap<TenantId, Watched>,
    events: broadcast::Receiver<LeaseEvent>,
    adopted: broadcast::Receiver<Change>,
    /// Tenants whose record may have changed and was not looked at yet.
    unsettled: BTreeSet<TenantId>,
    /// The record that is being looked at. Kept here so that whatever else happens meanwhile does not begin it anew.
    looking: Option<BoxFuture<'static, (TenantId, Result<Known, ServiceError>)>>,
    /// When all records are looked at again.
    recheck_at: Moment,
    sequence: u64,
    /// Why the watch is over, if it is.
    ended: Option<ServiceError>,
    _place: Place<Identity>,
}

impl Service {
    /// Begins a watch of no tenants.
    ///
    /// # Errors
    /// [`ServiceError::PermissionDenied`] if the caller may watch nobody; [`ServiceError::OverLimit`] if there are too many
    /// watches.
    pub async fn watch(&self, caller: &Caller) -> Result<Watch, ServiceError> {
        let decision = self.admit(caller, Operation::WatchLeases, None).await?;
        let place = self.inner.watches.take(&caller.identity);
        let place = place.ok_or(ServiceError::OverLimit("streams of WatchLeases"));
        let place = decision.conclude(place).await?;
        Ok(Watch {
            service: self.clone(),
            caller: caller.clone(),
            watched: BTreeMap::new(),
            events: self.inner.leases.events(),
            adopted: self.inner.directory.adopted(),
            unsettled: BTreeSet::new(),
            looking: None,
            recheck_at: self.inner.directory.next_recheck(),
            sequence: 0,
            ended: None,
            _place: place,
        })
    }
}

impl Watch {
    /// Takes a message, and answers with every lease of every tenant watched. After an error the watch is over.
    ///
    /// # Errors
    /// [`ServiceError::PermissionDenied`] for a tenant outside of the caller's rules, existing or not;
    /// [`ServiceError::UnknownTenant`]; [`ServiceError::InvalidArgument`]; [`ServiceError::OverLimit`];
    /// [`ServiceError::RegistryUnavailable`]; [`ServiceError::AuditUnavailable`].
    pub async fn receive(&mut self, message: WatchMessage) -> Result<WatchUpdate, ServiceError> {
        self.go_on()?;
        if let Err(error) = self.check(&message) {
            return Err(self.refuse(error, None).await);
        }
        let sequence = message.sequence;
        // What is refused here is recorded where it is decided.
        self.obey(message).await.map_err(|error| self.end(error))?;
        if let Err((id, error)) = self.refresh().await {
            return Err(self.refuse(error, Some(&id)).await);
        }
        self.sequence = sequence;
        Ok(WatchUpdate { sequence, leases: self.statuses() })
    }

    /// Waits for a change that the watcher is to be told of. Dropping the future loses nothing. After an error the watch is
    /// over.
    ///
    /// # Errors
    /// [`ServiceError::RegistryUnavailable`] if a tenant's record is too old and cannot be had;
    /// [`ServiceError::UnknownTenant`].
    pub async fn changed(&mut self) -> Result<WatchUpdate, ServiceError> {
        self.go_on()?;
        loop {
            self.look();
            // What ends a lease goes before everything else: no reading of a record may hold it up.
            let leases = tokio::select! {
                biased;
                event = self.events.recv() => self.told(event),
                change = self.adopted.recv() => self.unsettle(change),
                (id, known) = looked(&mut self.looking) => {
                    self.looking = None;
                    match known {
                        Ok(known) => self.follow(&id, known),
                        // It was forgotten meanwhile.
                        Err(_) if !self.watched.contains_key(&id) => Vec::new(),
                        Err(error) => return Err(self.refuse(error, Some(&id)).await),
                    }
                }
                () = self.service.inner.clock.sleep_until(self.recheck_at) => self.unsettle(Ok(Change::Unknown)),
            };
            if !leases.is_empty() {
                return Ok(WatchUpdate { sequence: self.sequence, leases });
            }
        }
    }
}

// === Messages ===

impl Watch {
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

    /// Does what the message says. The watcher is told of nothing meanwhile, so that what is to be recorded of it is recorded
    /// together, and shares the journal's writes.
    async fn obey(&mut self, message: WatchMessage) -> Result<(), ServiceError> {
        let wanted = self.wanted(message.subscriptions);
        for wanted in wanted.chunks(AT_ONCE) {
            let (service, caller) = (&self.service, &self.caller);
            let decided = join_all(wanted.iter().map(|wanted| subscribe(service, caller, wanted))).await;
            for (wanted, known) in wanted.iter().zip(decided) {
                self.adopt(&wanted.tenant, wanted.mode, known?);
            }
        }
        for acknowledgements in message.acknowledgements.chunks(AT_ONCE) {
            let (service, caller, watched) = (&self.service, &self.caller, &self.watched);
            let done = acknowledgements.iter().map(|word| acknowledge(service, caller, watched, word));
            join_all(done).await.into_iter().collect::<Result<(), _>>()?;
        }
        Ok(())
    }

    /// What is to be decided about: of several subscriptions for one tenant the last one, unless it changes nothing.
    fn wanted(&mut self, subscriptions: Vec<(TenantId, WatchMode)>) -> Vec<Wanted> {
        let mut last: BTreeMap<_, _> = subscriptions.into_iter().collect();
        last.retain(|tenant, mode| match mode {
            WatchMode::Forget => {
                self.watched.remove(tenant);
                self.unsettled.remove(tenant);
                false
            }
            mode => self.watched.get(tenant).is_none_or(|watched| watched.mode != *mode),
        });
        let mut room = MAX_WATCHED.saturating_sub(self.watched.len());
        let wanted = last.into_iter().map(|(tenant, mode)| {
            let has_room = self.watched.contains_key(&tenant) || room > 0;
            room = room.saturating_sub(usize::from(!self.watched.contains_key(&tenant)));
            Wanted { tenant, mode, has_room }
        });
        wanted.collect()
    }

    fn adopt(&mut self, id: &TenantId, mode: WatchMode, known: Known) {
        match self.watched.get_mut(id) {
            Some(watched) => watched.change_to(known, mode),
            None => {
                let leases = self.service.inner.leases.clone();
                self.watched.insert(id.clone(), Watched::new(known, mode, leases));
            }
        }
    }

    /// Reads again what is too old for TTLs to be renewed by it. Whoever waits for changes in between has none of it.
    async fn refresh(&mut self) -> Result<(), (TenantId, ServiceError)> {
        let directory = Arc::clone(&self.service.inner.directory);
        for (id, watched) in &mut self.watched {
            if directory.is_too_old(&watched.known) {
                watched.known = directory.known(id).await.map_err(|error| (id.clone(), error))?;
            }
            // A hold that could not be had, because the record had just changed, may be had now.
            watched.hold();
        }
        Ok(())
    }
}

/// A subscription to be decided about.
struct Wanted {
    tenant: TenantId,
    mode: WatchMode,
    has_room: bool,
}

async fn subscribe(service: &Service, caller: &Caller, wanted: &Wanted) -> Result<Known, ServiceError> {
    let decision = service.admit(caller, Operation::WatchLeases, Some(&wanted.tenant)).await?;
    let known = match wanted.has_room {
        true => service.inner.directory.known(&wanted.tenant).await,
        false => Err(ServiceError::OverLimit("tenants of one stream of WatchLeases")),
    };
    decision.conclude(known).await
}

async fn acknowledge(
    service: &Service,
    caller: &Caller,
    watched: &BTreeMap<TenantId, Watched>,
    acknowledgement: &Acknowledgement,
) -> Result<(), ServiceError> {
    let Acknowledgement { binding, epoch, action } = acknowledgement;
    let mut decision = service.admit(caller, Operation::WatchLeases, Some(binding.tenant())).await?;
    let action = match action {
        WatchAction::Wiped => "wiped",
        WatchAction::ComputeStopped => "compute_stopped",
    };
    decision.acknowledging(binding.binding(), *epoch, action);
    let invalid = |what| Err(ServiceError::invalid("acknowledgements", what));
    match watched.get(binding.tenant()) {
        None => decision.conclude(invalid("must be about tenants that are watched")).await,
        Some(watched) if !watched.was_told(binding.binding(), *epoch) => {
            decision.refuse(ServiceError::invalid("acknowledgements", "name an epoch never told")).await;
            Ok(())
        }
        Some(_) => decision.conclude(Ok(())).await,
    }
}

// === Changes ===

impl Watch {
    /// What an event of the leases means to this watcher.
    fn told(&mut self, event: Result<LeaseEvent, RecvError>) -> Vec<LeaseStatus> {
        match event {
            Ok(event) => {
                let watched = self.watched.get_mut(event.binding.tenant());
                watched.and_then(|watched| watched.learn(event)).into_iter().collect()
            }
            // Nobody knows what was missed. The epochs tell which lives are over.
            Err(RecvError::Lagged(_)) => self.statuses(),
            Err(RecvError::Closed) => Vec::new(),
        }
    }

    fn statuses(&mut self) -> Vec<LeaseStatus> {
        self.watched.values_mut().flat_map(Watched::statuses).collect()
    }

    /// Notes whose record must be looked at; tells nothing yet.
    fn unsettle(&mut self, change: Result<Change, RecvError>) -> Vec<LeaseStatus> {
        match change {
            Ok(Change::Tenant(id)) if self.watched.contains_key(&id) => drop(self.unsettled.insert(id)),
            Ok(Change::Tenant(_)) => {}
            Ok(Change::Unknown) | Err(_) => {
                self.unsettled.extend(self.watched.keys().cloned());
                self.recheck_at = self.service.inner.directory.next_recheck();
            }
        }
        Vec::new()
    }

    /// Begins to look at the next record, unless one is being looked at.
    fn look(&mut self) {
        if self.looking.is_some() {
            return;
        }
        if let Some(id) = self.unsettled.pop_first() {
            let directory = Arc::clone(&self.service.inner.directory);
            self.looking = Some(Box::pin(async move {
                let known = directory.known(&id).await;
                (id, known)
            }));
        }
    }

    fn follow(&mut self, id: &TenantId, known: Known) -> Vec<LeaseStatus> {
        self.watched.get_mut(id).map(|watched| watched.follow(known)).unwrap_or_default()
    }
}

// === The end ===

impl Watch {
    fn go_on(&self) -> Result<(), ServiceError> {
        self.ended.clone().map_or(Ok(()), Err)
    }

    /// Ends the watch, and its holds with it.
    fn end(&mut self, error: ServiceError) -> ServiceError {
        self.watched.clear();
        self.ended.insert(error).clone()
    }

    /// Ends the watch, and records why.
    async fn refuse(&mut self, error: ServiceError, about: Option<&TenantId>) -> ServiceError {
        let error = self.end(error);
        match self.service.admit(&self.caller, Operation::WatchLeases, about).await {
            Ok(decision) => decision.refuse(error).await,
            // No rule allows the watch any more, and that is recorded.
            Err(denied) => denied,
        }
    }
}

/// The record that is being looked at, once it is there.
async fn looked(
    looking: &mut Option<BoxFuture<'static, (TenantId, Result<Known, ServiceError>)>>,
) -> (TenantId, Result<Known, ServiceError>) {
    match looking {
        Some(looking) => looking.await,
        None => std::future::pending().await,
    }
}
