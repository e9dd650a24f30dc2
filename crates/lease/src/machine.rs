//! The state machine of one lease: plain data and rules, no waiting, no cloud.
//!
//! Time comes in as a parameter and what is to be done goes out as a return value, so that every rule can be tested
//! without a clock or a task. Whatever leaves Live wipes before it returns. What proofs report is in `landing`, what is
//! answered after one that failed in `quiet`, what time brings in `timer`, what others say in `told`, what may
//! be seen in `seen`.

mod landing;
mod quiet;
mod seen;
mod timer;
mod told;

pub(crate) use self::landing::Landed;

use std::sync::Arc;
use std::time::Duration;

use leasehold_clock::{Generation, Moment};
use leasehold_ids::{BindingVersion, LeaseEpoch};
use leasehold_provider::ProviderError;
use leasehold_secret::Arena;

use self::quiet::Quiet;
use crate::flights::{Basis, Flight, Flights, Landing, Start, Urgency};
use crate::live::{Live, Proof};
use crate::{EndReason, LeaseError, LeaseState, Subject};

/// A reading of the clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) at: Moment,
    pub(crate) generation: Generation,
}

/// How a proof ended.
pub(crate) enum Outcome {
    Proven(Proof),
    /// The cloud said no, and it is the tenant's no.
    Denied {
        error: Arc<ProviderError>,
        reach: Reach,
    },
    /// The cloud said no to us as ourselves: the sentinel was denied as well.
    Masked(Arc<ProviderError>),
    /// The cloud rejected what a caller lent, which says nothing of the binding.
    Refused(LeaseError),
    /// No answer that says anything about the binding.
    Failed(LeaseError),
}

/// What a denied proof says of the other versions of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The same: the principal may not be had, or may not use the key.
    Binding,
    /// Nothing.
    Version,
    /// Nothing, nor of its own: the principal may not use the key for what a caller lent.
    Loan,
}

/// What a request is to do.
#[derive(Debug)]
pub(crate) enum Step {
    Serve(Arc<Live>),
    /// A proof decides; it must be started if it is given.
    Wait(Landing, Option<Start>),
    /// The lease is live, but the sentinel's verdict on a denial is awaited. Ask again after it.
    Pause(Landing),
    Fail(LeaseError),
}

/// What the machine needs from its surroundings to take a proof home.
pub(crate) struct Means<'a> {
    pub(crate) arena: &'a Arena,
    pub(crate) sealing_key_max_age: Duration,
    /// An epoch that nothing was sealed under yet.
    pub(crate) epoch: LeaseEpoch,
}

enum Phase {
    Idle,
    Live(Arc<Live>),
    Denied { error: Arc<ProviderError>, since: Moment },
    Lapsed,
    Suspended(EndReason),
}

/// One lease.
pub(crate) struct Machine {
    subject: Subject,
    phase: Phase,
    flights: Flights,
    denials: u64,
    ends: u64,
    masked: bool,
    /// How the last run ended, until somebody is told.
    ended: Option<LeaseState>,
    /// When a live lease is to be renewed.
    renew_at: Moment,
    /// When to prove again after a denial or a failure.
    retry_at: Option<Moment>,
    /// When to prove because a request was denied, and when that was last done.
    suspect_at: Option<Moment>,
    suspected: Option<Moment>,
    failures: u32,
    last_failure: Option<Arc<ProviderError>>,
    last_use: Moment,
    /// Somebody holds keys of it.
    held: bool,
    /// Only an envelope names its version, which never worked: see `strangers`.
    stranger: bool,
    /// What came of the one proof of a stranger, if it did not prove live.
    refusal: Option<LeaseError>,
    /// What a first proof that got no answer leaves.
    quiet: Option<Quiet>,
    /// Proofs of other versions of the key that were denied us, and whose verdicts are awaited.
    doubts: Vec<Landing>,
    seed: u64,
}

// === What requests ask ===

impl Machine {
    pub(crate) fn new(subject: Subject, now: Moment, seed: u64) -> Self {
        Self {
            subject,
            phase: Phase::Idle,
            flights: Flights::default(),
            denials: 0,
            ends: 0,
            masked: false,
            ended: None,
            renew_at: now,
            retry_at: None,
            suspect_at: None,
            suspected: None,
            failures: 0,
            last_failure: None,
            last_use: now,
            held: false,
            stranger: false,
            refusal: None,
            quiet: None,
            doubts: Vec::new(),
            seed,
        }
    }

    /// Somebody wants to be served under `version` of the binding.
    pub(crate) fn step(&mut self, version: BindingVersion, now: Now) -> Step {
        self.step_if(version, now, || Ok(()))
    }

    /// The same for a request, which `may_begin` lets begin a proof if one must.
    pub(crate) fn step_if(
        &mut self,
        version: BindingVersion,
        now: Now,
        may_begin: impl FnOnce() -> Result<(), LeaseError>,
    ) -> Step {
        self.last_use = self.last_use.max(now.at);
        self.expire(now);
        if version != self.subject.binding.version {
            return Step::Fail(LeaseError::Ended(EndReason::Changed));
        }
        let verdict = self.under_verdict();
        match (&self.phase, verdict) {
            (Phase::Suspended(reason), _) => Step::Fail(LeaseError::Ended(*reason)),
            (Phase::Denied { error, .. }, _) => Step::Fail(LeaseError::Denied(Arc::clone(error))),
            (Phase::Lapsed, _) => Step::Fail(self.lapsed()),
            (Phase::Live(_), Some(landing)) => Step::Pause(landing),
            (Phase::Live(live), None) => Step::Serve(Arc::clone(live)),
            (Phase::Idle, _) => match &self.refusal {
                Some(error) if self.stranger => Step::Fail(error.clone()),
                _ => self.join_or_start(now, may_begin),
            },
        }
    }

    /// A request found the session of `used` expired and wants the next proof's.
    pub(crate) fn renew_now(&mut self, used: &Arc<Live>, version: BindingVersion, now: Now) -> Step {
        match self.step(version, now) {
            Step::Serve(live) if Arc::ptr_eq(&live, used) => self.join_or_start(now, || Ok(())),
            other => other,
        }
    }

    /// Somebody wants a proof that begins now. Never joins one that began earlier.
    pub(crate) fn reprove(&mut self, now: Now) -> Step {
        self.last_use = self.last_use.max(now.at);
        self.expire(now);
        if let Phase::Suspended(reason) = &self.phase {
            return Step::Fail(LeaseError::Ended(*reason));
        }
        if !self.flights.has_place() {
            return Step::Wait(self.flights.queue(), None);
        }
        let (start, landing) = self.begin(self.wanted(now));
        Step::Wait(landing, Some(start))
    }

    /// Somebody wants it proven from now on, and nothing is held: a first proof that began earlier does not count, and whoever
    /// waits for it begins another.
    pub(crate) fn outdate_first_proofs(&mut self) {
        if matches!(self.phase, Phase::Idle) {
            self.ends += 1;
        }
    }

    /// The last check before an answer is encoded: the run that the answer was made in is still live. Gives the time
    /// that is left.
    pub(crate) fn confirm(&mut self, run: LeaseEpoch, now: Now) -> Result<Duration, LeaseError> {
        self.expire(now);
        let verdict = self.under_verdict();
        match &self.phase {
            Phase::Live(live) if live.run == run && verdict.is_none() => Ok(self.expires(live).since(now.at)),
            Phase::Live(_) | Phase::Idle => Err(LeaseError::LeaseOver),
            Phase::Denied { error, .. } => Err(LeaseError::Denied(Arc::clone(error))),
            Phase::Lapsed => Err(self.lapsed()),
            Phase::Suspended(reason) => Err(LeaseError::Ended(*reason)),
        }
    }

    /// A caller's request was denied by the cloud. That alone denies nothing, but a proof is due that begins after it:
    /// now, or `interval` after the last one that a request caused.
    pub(crate) fn suspect(&mut self, now: Moment, interval: Duration) {
        if matches!(self.phase, Phase::Live(_)) && self.suspect_at.is_none() {
            self.suspect_at = Some(self.suspected.map_or(now, |last| now.max(last + interval)));
        }
    }

    /// The cloud said no to a request in a way that no single request can cause: the key itself cannot be used. Whether that
    /// ended the lease.
    pub(crate) fn deny_by_request(
        &mut self,
        version: BindingVersion,
        error: Arc<ProviderError>,
        now: Now,
    ) -> bool {
        if version != self.subject.binding.version || self.is_suspended() {
            return false;
        }
        let ends = matches!(self.phase, Phase::Live(_));
        if ends {
            self.deny(error, now);
        } else {
            // A success that began before it does not count.
            self.denials += 1;
        }
        ends
    }

    /// A proof that began after the denial that has just ended the lease, for those who wait for what comes of it.
    pub(crate) fn prove_again(&mut self, now: Now) -> Option<Start> {
        match self.join_or_start(now, || Ok(())) {
            Step::Wait(_, start) => start,
            _ => None,
        }
    }

    /// The newest proof under way, whatever it may still count for.
    pub(crate) fn under_way(&self) -> Option<Landing> {
        self.flights.newest().map(Flight::landing)
    }
}

// === impl details ===

impl Machine {
    /// The one way from one phase to another that is not a renewal. Leaving Live wipes.
    fn leave(&mut self, to: Phase) {
        if let Phase::Live(live) = std::mem::replace(&mut self.phase, to) {
            live.key.wipe();
            self.ended = Some(self.state());
        }
        (self.suspect_at, self.suspected) = (None, None);
        if matches!(self.phase, Phase::Idle | Phase::Suspended(_)) {
            self.forget_failures();
        }
    }

    fn forget_failures(&mut self) {
        self.retry_at = None;
        self.failures = 0;
        self.last_failure = None;
        self.masked = false;
        self.quiet = None;
    }

    fn join_or_start(&mut self, now: Now, may_begin: impl FnOnce() -> Result<(), LeaseError>) -> Step {
        if let Some(flight) = self.flights.valid(self.basis()) {
            return Step::Wait(flight.landing(), None);
        }
        // What comes of the newest denial is about to be told.
        if let (Phase::Idle, Some(flight)) = (&self.phase, self.flights.denied(self.basis())) {
            return Step::Wait(flight.landing(), None);
        }
        if let Some(error) = self.answer_for_a_proof(now.at) {
            return Step::Fail(error);
        }
        if let Err(error) = may_begin() {
            return Step::Fail(error);
        }
        if !self.flights.has_place() {
            return Step::Wait(self.flights.queue(), None);
        }
        // A stranger's, and one after another that failed, goes behind the renewals of whatever lives.
        let behind = self.stranger || self.failures > 0;
        let by = if behind { now.at + self.bound() } else { now.at };
        let (start, landing) = self.begin(Urgency::Needed { by });
        Step::Wait(landing, Some(start))
    }

    fn begin(&mut self, urgency: Urgency) -> (Start, Landing) {
        let (flight, landing) = self.flights.begin(self.basis());
        (self.retry_at, self.refusal) = (None, None);
        // Whatever made us suspect a denial came before this proof begins.
        self.suspected = self.suspect_at.take().or(self.suspected);
        (Start { flight, subject: self.subject.clone(), urgency }, landing)
    }

    fn basis(&self) -> Basis {
        Basis { version: self.subject.binding.version, denials: self.denials, ends: self.ends }
    }

    fn bound(&self) -> Duration {
        self.subject.terms.revocation_bound().get()
    }

    fn expires(&self, live: &Live) -> Moment {
        live.proof_started + self.bound()
    }

    fn lapsed(&self) -> LeaseError {
        match &self.last_failure {
            Some(error) if self.masked => LeaseError::Masked(Arc::clone(error)),
            failure => LeaseError::Lapsed(failure.clone()),
        }
    }

    /// A proof whose denial is being told apart from a failure of our own: one of this lease's, or of another version's.
    fn under_verdict(&mut self) -> Option<Landing> {
        self.doubts.retain(is_in_air);
        self.flights.under_verdict().map(Flight::landing).or_else(|| self.doubts.first().cloned())
    }

    fn is_suspended(&self) -> bool {
        matches!(self.phase, Phase::Suspended(_))
    }

    /// Differs from proof to proof and from lease to lease.
    pub(crate) fn jitter(&self) -> u64 {
        self.seed.wrapping_add(self.flights.begun())
    }
}

/// Whether a flight has not landed yet, and still may.
fn is_in_air(landing: &Landing) -> bool {
    landing.borrow().is_none() && landing.has_changed().is_ok()
}

#[cfg(test)]
mod tests;
