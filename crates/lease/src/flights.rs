//! The proofs of one lease that are under way.

use leasehold_clock::Moment;
use leasehold_ids::BindingVersion;
use tokio::sync::watch;

use crate::{LeaseError, Subject};

/// Most proofs of one lease under way at once: the one that runs, and one that a Reprove began after it. Further
/// Reproves share one that waits for a place, and so begins after each of them.
const MAX_IN_AIR: usize = 2;

/// What the waiters of a flight are told, once.
pub(crate) type Landing = watch::Receiver<Option<Result<(), LeaseError>>>;

/// How soon a proof is needed, which decides whose turn it is in the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Somebody waits for it, or a live lease must be renewed: by this moment, if it is to help.
    Needed { by: Moment },
    /// The binding is denied, and it is time to ask again.
    Retry,
}

/// A proof that somebody must now carry out and report to [`crate::machine::Machine::land`].
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) flight: u64,
    pub(crate) subject: Subject,
    pub(crate) urgency: Urgency,
}

/// What had happened to a lease when a flight began. A success counts only if nothing of it has happened since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Basis {
    pub(crate) version: BindingVersion,
    /// Denials that had arrived.
    pub(crate) denials: u64,
    /// Times that we had ended the lease ourselves.
    pub(crate) ends: u64,
}

/// A proof under way.
#[derive(Debug)]
pub(crate) struct Flight {
    id: u64,
    pub(crate) basis: Basis,
    /// It was denied and the sentinel's verdict is awaited; nothing is served meanwhile.
    verdict_pending: bool,
    /// It was denied, and that counts already; what this left. It lands once it is known what wraps instead.
    pub(crate) denied: Option<Basis>,
    landing: watch::Sender<Option<Result<(), LeaseError>>>,
}

impl Flight {
    pub(crate) fn land(self, result: Result<(), LeaseError>) {
        self.landing.send_replace(Some(result));
    }

    pub(crate) fn landing(&self) -> Landing {
        self.landing.subscribe()
    }
}

/// The flights of one lease.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    in_air: Vec<Flight>,
    next_id: u64,
    queued: Option<watch::Sender<Option<Result<(), LeaseError>>>>,
}

impl Flights {
    pub(crate) fn is_empty(&self) -> bool {
        self.in_air.is_empty()
    }

    /// How many flights ever began.
    pub(crate) fn begun(&self) -> u64 {
        self.next_id
    }

    pub(crate) fn has_place(&self) -> bool {
        self.in_air.len() < MAX_IN_AIR
    }

    /// Begins a flight. The caller has made sure that there is a place.
    pub(crate) fn begin(&mut self, basis: Basis) -> (u64, Landing) {
        let landing = self.queued.take().unwrap_or_else(|| watch::Sender::new(None));
        let (id, waiter) = (self.next_id, landing.subscribe());
        self.next_id += 1;
        self.in_air.push(Flight { id, basis, verdict_pending: false, denied: None, landing });
        (id, waiter)
    }

    /// Waits for the flight that begins next.
    pub(crate) fn queue(&mut self) -> Landing {
        self.queued.get_or_insert_with(|| watch::Sender::new(None)).subscribe()
    }

    /// Whether a flight that somebody waits for can begin now.
    pub(crate) fn can_dequeue(&self) -> bool {
        self.queued.is_some() && self.has_place()
    }

    /// Tells those who wait for a flight that has not begun that none will.
    pub(crate) fn refuse_queued(&mut self, error: LeaseError) {
        if let Some(queued) = self.queued.take() {
            queued.send_replace(Some(Err(error)));
        }
    }

    /// A flight whose success would still count.
    pub(crate) fn valid(&self, basis: Basis) -> Option<&Flight> {
        self.in_air.iter().find(|flight| flight.basis == basis)
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<Flight> {
        let at = self.in_air.iter().position(|flight| flight.id == id)?;
        Some(self.in_air.remove(at))
    }

    /// A flight that was denied last of all, and has not landed.
    pub(crate) fn denied(&self, basis: Basis) -> Option<&Flight> {
        self.in_air.iter().find(|flight| flight.denied == Some(basis))
    }

    pub(crate) fn by_id(&mut self, id: u64) -> Option<&mut Flight> {
        self.in_air.iter_mut().find(|flight| flight.id == id)
    }

    pub(crate) fn await_verdict(&mut self, id: u64) -> Option<Landing> {
        let flight = self.by_id(id)?;
        flight.verdict_pending = true;
        Some(flight.landing())
    }

    /// The flight that began last.
    pub(crate) fn newest(&self) -> Option<&Flight> {
        self.in_air.last()
    }

    /// A flight whose denial is being told apart from a failure of our own.
    pub(crate) fn under_verdict(&self) -> Option<&Flight> {
        self.in_air.iter().find(|flight| flight.verdict_pending)
    }
}
