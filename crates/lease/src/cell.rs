//! One lease at work: the machine behind its lock, the task that keeps its time, the proofs in flight.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leasehold_clock::Moment;
use leasehold_envelope::ContextCommitment;
use leasehold_ids::BindingVersion;
use leasehold_provider::{Fault, ProviderError};
use tokio::sync::Notify;

use crate::flights::{Landing, Start};
use crate::forbidden::Forbidden;
use crate::hub::Hub;
use crate::live::Live;
use crate::machine::{Machine, Means, Now, Outcome};
use crate::prover::Prover;
use crate::subject::LeaseId;
use crate::{LeaseError, LeaseEvent, LeaseState, Subject};

/// One lease.
pub(crate) struct Cell {
    id: LeaseId,
    hub: Arc<Hub>,
    prover: Prover,
    guarded: Mutex<Guarded>,
    /// Tells the keeper to look at the time again.
    wake: Notify,
}

struct Guarded {
    machine: Machine,
    forbidden: Forbidden,
    /// Whether a task keeps this lease's time.
    kept: bool,
    /// Whether the hub has forgotten this lease; nothing may begin here any more.
    gone: bool,
}

impl Cell {
    pub(crate) fn new(id: LeaseId, subject: Subject, prover: Prover, hub: Arc<Hub>) -> Self {
        let mut seed = DefaultHasher::new();
        (&id.binding, id.key_version.as_str()).hash(&mut seed);
        let machine = Machine::new(subject, hub.clock.now(), seed.finish());
        let guarded = Guarded { machine, forbidden: Forbidden::default(), kept: false, gone: false };
        Self { id, hub, prover, guarded: Mutex::new(guarded), wake: Notify::new() }
    }

    pub(crate) fn id(&self) -> &LeaseId {
        &self.id
    }

    pub(crate) fn prover(&self) -> &Prover {
        &self.prover
    }

    /// Lets somebody from outside at the machine; `None` if the lease was forgotten and must be looked up again.
    pub(crate) fn enter<T>(self: &Arc<Self>, act: impl FnOnce(&mut Machine, Now) -> T) -> Option<T> {
        let mut guarded = self.lock();
        if guarded.gone { None } else { Some(self.act(&mut guarded, act)) }
    }

    /// Lets a part of the lease itself at the machine.
    pub(crate) fn with<T>(self: &Arc<Self>, act: impl FnOnce(&mut Machine, Now) -> T) -> T {
        self.act(&mut self.lock(), act)
    }

    /// Carries out a proof that the machine asked for.
    pub(crate) fn launch(self: &Arc<Self>, start: Start) {
        let cell = Arc::clone(self);
        self.hub.runtime.spawn(async move {
            // Should the task be torn down, its waiters are told.
            let flight = InFlight { cell: &cell, id: Some(start.flight) };
            let pause = || cell.with(|machine, _| machine.await_verdict(start.flight));
            let outcome = cell.prover.prove(&start, &cell.id.key_version, pause).await;
            flight.land(outcome);
        });
    }

    /// Waits for a proof to land, until `deadline`.
    pub(crate) async fn landed(&self, mut landing: Landing, deadline: Moment) -> Result<(), LeaseError> {
        let late = || {
            let error = ProviderError::new(Fault::Unavailable, "no proof was complete in time")
                .with_code(Some("DEADLINE"));
            LeaseError::Unavailable(Arc::new(error))
        };
        tokio::select! {
            landed = landing.wait_for(Option::is_some) => match landed {
                Ok(result) => result.clone().unwrap_or_else(|| Err(late())),
                Err(_) => Err(LeaseError::LeaseOver),
            },
            () = self.hub.clock.sleep_until(deadline) => Err(late()),
        }
    }

    /// Where a load that begins now stands among the denials of this lease.
    pub(crate) fn mark(&self) -> u64 {
        self.lock().forbidden.mark()
    }

    /// Whether what a load at `mark` brought under `context` may be served.
    pub(crate) fn allows(&self, context: &ContextCommitment, mark: u64) -> bool {
        self.lock().forbidden.allows(context, mark)
    }

    /// Draws the conclusions from a failed call that a caller's request made, and says what the caller is told.
    pub(crate) fn conclude(
        self: &Arc<Self>,
        version: BindingVersion,
        context: &ContextCommitment,
        error: ProviderError,
    ) -> LeaseError {
        let error = Arc::new(error);
        match error.fault() {
            Fault::KeyUnusable(_) => {
                self.with(|machine, now| machine.deny_by_request(version, Arc::clone(&error), now));
            }
            Fault::Denied { .. } => {
                let interval = self.hub.settings.suspicion_interval;
                self.lock().forbidden.deny(*context);
                self.with(|machine, now| machine.suspect(now.at, interval));
            }
            _ => {}
        }
        LeaseError::from_request(error)
    }

    /// For [`Hub::retire`]: marks the lease as gone if nothing would be lost.
    pub(crate) fn retire_if_dormant(&self) -> bool {
        let mut guarded = self.lock();
        guarded.gone = !guarded.kept && guarded.machine.is_dormant();
        guarded.gone
    }

    fn act<T>(self: &Arc<Self>, guarded: &mut Guarded, act: impl FnOnce(&mut Machine, Now) -> T) -> T {
        let machine = &mut guarded.machine;
        let (state, epoch, wake) = (machine.state(), machine.epoch(), machine.next_wake());
        // The clock is read under the lock, so that what happens later is never told an earlier time.
        let result = act(machine, self.hub.now());
        let next = machine.next_wake();
        if let Some(ended) = epoch.filter(|epoch| machine.epoch() != Some(*epoch)) {
            guarded.forbidden = Forbidden::default();
            let cell = Arc::clone(self);
            self.hub
                .runtime
                .spawn(async move { cell.hub.cache.forget(cell.id.binding.tenant(), ended).await });
        }
        // That a run ended is told even if, in this very step, the next one was asked for or began.
        let ended = machine.take_ended().unwrap_or(state);
        self.publish(state, ended);
        self.publish(ended, machine.state());
        if next.is_some_and(|next| wake.is_none_or(|wake| next < wake)) || (next.is_some() && !guarded.kept) {
            self.wake_keeper(guarded);
        }
        result
    }

    fn publish(&self, before: LeaseState, after: LeaseState) {
        if before == after {
            return;
        }
        tracing::info!(binding = %self.id.binding, from = ?before, to = ?after, "lease changed state");
        let first_denial = after == LeaseState::Denied;
        // Nobody listening is no error.
        let _ =
            self.hub.events.send(LeaseEvent { binding: self.id.binding.clone(), state: after, first_denial });
    }

    fn wake_keeper(self: &Arc<Self>, guarded: &mut Guarded) {
        if std::mem::replace(&mut guarded.kept, true) {
            self.wake.notify_one();
        } else {
            self.hub.runtime.spawn(Arc::clone(self).keep());
        }
    }

    /// Does what time brings, until time brings nothing more.
    async fn keep(self: Arc<Self>) {
        loop {
            if let Some(start) = self.with(Machine::tick) {
                self.launch(start);
            }
            let next = {
                let mut guarded = self.lock();
                let next = guarded.machine.next_wake();
                guarded.kept = next.is_some();
                next
            };
            let Some(next) = next else { break };
            tokio::select! {
                () = self.hub.clock.sleep_until(next) => {}
                () = self.wake.notified() => {}
            }
        }
        self.hub.retire(&self);
    }

    fn lock(&self) -> MutexGuard<'_, Guarded> {
        self.guarded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A proof under way; lands exactly once, whatever becomes of its task.
struct InFlight<'a> {
    cell: &'a Arc<Cell>,
    id: Option<u64>,
}

impl InFlight<'_> {
    fn land(mut self, outcome: Outcome) {
        self.report(outcome);
    }

    fn report(&mut self, outcome: Outcome) {
        let Some(id) = self.id.take() else { return };
        let hub = &self.cell.hub;
        let means = Means {
            arena: &hub.arena,
            sealing_key_max_age: hub.settings.sealing_key_max_age,
            epoch: hub.next_epoch(),
        };
        self.cell.with(|machine, now| machine.land(id, outcome, now, &means));
        hub.retire(self.cell);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.report(Outcome::Failed(LeaseError::Internal("a proof was abandoned")));
    }
}

/// Keeps a live run from being confused with another: what an answer was made in.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) cell: Arc<Cell>,
    pub(crate) live: Arc<Live>,
}
