//! One lease at work: the machine behind its lock, the task that keeps its time, the proofs in flight.

mod in_flight;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leasehold_clock::Moment;
use leasehold_envelope::ContextCommitment;
use leasehold_ids::BindingVersion;
use leasehold_provider::{Fault, KeyState, ProviderError};
use metrics::counter;
use tokio::sync::Notify;

use self::in_flight::InFlight;
use crate::family::{Family, Turn};
use crate::flights::{Landing, Start};
use crate::forbidden::Forbidden;
use crate::hub::Hub;
use crate::lent::{Lent, Loan};
use crate::live::Live;
use crate::machine::{Machine, Now, Outcome, Reach};
use crate::prover::{Answered, Prover};
use crate::subject::LeaseId;
use crate::{LeaseError, LeaseEvent, LeaseState, Subject};

/// One lease.
pub(crate) struct Cell {
    id: LeaseId,
    hub: Arc<Hub>,
    family: Arc<Family>,
    prover: Prover,
    pub(crate) lent: Lent,
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
    pub(crate) fn new(
        id: LeaseId,
        subject: Subject,
        prover: Prover,
        (family, hub): (Arc<Family>, Arc<Hub>),
    ) -> Self {
        let mut seed = DefaultHasher::new();
        (&id.binding, id.key_version.as_str()).hash(&mut seed);
        let machine = Machine::new(subject, hub.clock.now(), seed.finish());
        let guarded = Guarded { machine, forbidden: Forbidden::default(), kept: false, gone: false };
        let (lent, guarded) = (Lent::default(), Mutex::new(guarded));
        Self { id, hub, family, prover, lent, guarded, wake: Notify::new() }
    }

    pub(crate) fn id(&self) -> &LeaseId {
        &self.id
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    pub(crate) fn family(&self) -> &Arc<Family> {
        &self.family
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

    /// Carries out a proof that the machine asked for, and what is due after it; by what callers lent to no proof of their
    /// own, if nothing else proves it.
    pub(crate) fn launch(self: &Arc<Self>, start: Start) {
        self.launch_with(start, None);
    }

    /// The same for a request, by what its caller lends.
    pub(crate) fn launch_with(self: &Arc<Self>, start: Start, loan: Option<Loan<'_>>) {
        let (cell, loan) = (Arc::clone(self), loan.map(|loan| loan.canary()));
        self.hub.runtime.spawn(async move {
            // Should the task be torn down, its waiters are told.
            let version = start.subject.binding.version;
            let mut flight = InFlight { cell: &cell, id: Some(start.flight), version, lent: None };
            let key_version = &cell.id.key_version;
            let place = cell.family.place(key_version).await;
            let loan = loan.or_else(|| cell.lent.newest());
            let exhibit = match cell.family.exhibit(&start.subject.binding, key_version, loan) {
                Ok(exhibit) => exhibit,
                Err(error) => return flight.land(Outcome::Failed(error), None),
            };
            flight.lent = exhibit.lent().cloned();
            let pause = || cell.pause(start.flight);
            let answered = cell.prover.prove(&start, key_version, exhibit, pause).await;
            drop(place);
            cell.conclude_proof(&start, flight, answered).await;
        });
    }

    async fn conclude_proof(self: &Arc<Self>, start: &Start, flight: InFlight<'_>, answered: Answered) {
        let Answered { outcome, session, opened } = answered;
        match (outcome, session) {
            (Outcome::Proven(proof), Some(session)) => {
                flight.land(Outcome::Proven(proof), opened);
                self.look(&start.subject, &session).await;
            }
            (Outcome::Denied { error, reach: reach @ (Reach::Version | Reach::Loan) }, Some(session)) => {
                // It counts from now on; who waits may be told of another version that wraps.
                let ended = self.with(|machine, now| machine.note_denial(start.flight, &error, now));
                if ended || reach == Reach::Loan {
                    self.suspect_others();
                }
                self.look_for_successor(&start.subject, &session).await;
                flight.land(Outcome::Denied { error, reach }, None);
            }
            (outcome, _) => flight.land(outcome, None),
        }
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
        asked: Asked,
        error: ProviderError,
    ) -> LeaseError {
        let error = Arc::new(error);
        match error.fault() {
            // It says nothing of unwraps, which are what is held for. A proof will tell.
            Fault::KeyUnusable(KeyState::Expired | KeyState::NotYetValid) if asked == Asked::Wrap => {
                self.be_proven();
                return LeaseError::OutOfDate(error);
            }
            Fault::KeyUnusable(_) => {
                // If there may be a version that wraps instead, it is looked for now; the proof is what does it.
                let wraps = !self.id.key_version.is_none() && self.family.wrapping() == self.id.key_version;
                if self.deny(version, &error) && wraps {
                    let start = self.with(Machine::prove_again);
                    start.into_iter().for_each(|start| self.launch(start));
                }
            }
            Fault::Denied { .. } => {
                self.lock().forbidden.deny(*context);
                self.be_proven();
            }
            _ => {}
        }
        LeaseError::from_request(error)
    }

    /// The key was denied: ends the lease if it is live, and has the other versions proven if it was. Whether it was.
    fn deny(self: &Arc<Self>, version: BindingVersion, error: &Arc<ProviderError>) -> bool {
        let ended = self.with(|machine, now| machine.deny_by_request(version, Arc::clone(error), now));
        if ended {
            self.suspect_others();
        }
        ended
    }

    /// Has the lease proven, if it is live, although its renewal is not due yet.
    pub(crate) fn be_proven(self: &Arc<Self>) {
        let interval = self.hub.settings.suspicion_interval;
        self.with(|machine, now| machine.suspect(now.at, interval));
    }

    /// A proof was denied the principal: nothing is served, under whatever version, until it is told whose fault it is.
    fn pause(self: &Arc<Self>, flight: u64) {
        if let Some(landing) = self.with(|machine, _| machine.await_verdict(flight)) {
            self.doubt_others(&landing);
        }
    }

    /// For [`Hub::retire`]: marks the lease as gone if nothing would be lost.
    pub(crate) fn retire_if_dormant(&self) -> bool {
        let mut guarded = self.lock();
        guarded.gone = !guarded.kept && guarded.machine.is_dormant();
        guarded.gone
    }

    fn act<T>(self: &Arc<Self>, guarded: &mut Guarded, act: impl FnOnce(&mut Machine, Now) -> T) -> T {
        // The clock is read under the lock, so that what happens later is never told an earlier time.
        let now = self.hub.now();
        let machine = &mut guarded.machine;
        let (state, epoch, wake) = (machine.state(), machine.epoch(), machine.next_wake());
        self.stand(machine, now);
        let result = act(machine, now);
        if let Some(ended) = epoch.filter(|epoch| machine.epoch() != Some(*epoch)) {
            guarded.forbidden = Forbidden::default();
            let cell = Arc::clone(self);
            self.hub
                .runtime
                .spawn(async move { cell.hub.cache.forget(cell.id.binding.tenant(), ended).await });
        }
        // That a run ended is told even if, in this very step, the next one was asked for or began.
        let ended = machine.take_ended().unwrap_or(state);
        self.publish(machine, state, ended);
        self.publish(machine, ended, machine.state());
        self.stand(machine, now);
        match (machine.next_wake(), wake) {
            (Some(next), Some(wake)) if next >= wake && guarded.kept => {}
            (Some(_), _) => self.wake_keeper(guarded),
            // It has nothing to keep the time of any more, and goes.
            (None, _) if guarded.kept => self.wake.notify_one(),
            (None, _) => {}
        }
        result
    }

    /// Tells the machine how its version stands among the others.
    fn stand(&self, machine: &mut Machine, now: Now) {
        let standing = self.family.standing(&self.id.key_version);
        // A version that does not wrap is held for what was given out under it, and so while it is live.
        let held = standing.held && (standing.wraps || machine.state() == LeaseState::Live);
        machine.stand(held, !standing.known, now.at);
    }

    fn publish(&self, machine: &Machine, from: LeaseState, to: LeaseState) {
        if from == to {
            return;
        }
        let version = &self.id.key_version;
        if to == LeaseState::Live || !machine.is_stranger() {
            tracing::info!(binding = %self.id.binding, key_version = %version, ?from, ?to, "lease changed state");
        }
        let (run, denial) = (machine.run(), machine.denial());
        let turn = Turn { version, from, to, run, denial };
        for event in self.family.note(&turn, || self.hub.next_epoch()) {
            self.tell(event);
        }
    }

    pub(crate) fn tell(&self, event: LeaseEvent) {
        let cloud = self.prover.provider.kind().to_string();
        counter!("leasehold_lease_changes_total", "cloud" => cloud, "state" => event.state.as_str())
            .increment(1);
        // Nobody listening is no error.
        let _ = self.hub.events.send(event);
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

/// What a request wanted of the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Wrap,
    Unwrap,
}

/// Keeps a live run from being confused with another: what an answer was made in.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) cell: Arc<Cell>,
    pub(crate) live: Arc<Live>,
}
