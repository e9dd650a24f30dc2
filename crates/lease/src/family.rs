//! What the leases of one binding have in common, one for each version of its key: which version wraps, which are known,
//! whether anybody holds, and what is told of them together.
//!
//! On a cloud without versions there is one lease, of the empty version, and all of this says what that lease says.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leasehold_clock::Moment;
use leasehold_envelope::KeyVersion;
use leasehold_ids::{BindingName, LeaseEpoch};
use leasehold_provider::ProviderError;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::canary::Canary;
use crate::hub::MAX_VERSIONS;
use crate::strangers::{AT_ONCE, Strangers};
use crate::{LeaseError, LeaseEvent, LeaseState, LeaseView, Subject};

/// The leases of one binding. Its lock is held for a few comparisons, and no other is taken under it.
#[derive(Debug)]
pub(crate) struct Family {
    binding: BindingName,
    bonds: Mutex<Bonds>,
    places: Semaphore,
}

/// How one version stands among those of its binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// It is the one that wraps.
    pub(crate) wraps: bool,
    /// It worked once, or the registry or the cloud itself named it; not only an envelope.
    pub(crate) known: bool,
    /// Somebody holds keys of the binding.
    pub(crate) held: bool,
}

/// What happened to the lease of one version.
pub(crate) struct Turn<'a> {
    pub(crate) version: &'a KeyVersion,
    pub(crate) from: LeaseState,
    pub(crate) to: LeaseState,
    /// The run that began, if it is live now.
    pub(crate) run: Option<LeaseEpoch>,
    /// Why it is denied, if it is.
    pub(crate) denial: Option<&'a Arc<ProviderError>>,
}

#[derive(Debug)]
struct Bonds {
    /// The revision that `stored` is of.
    revision: u64,
    /// The version of the canary that activation left.
    stored: KeyVersion,
    /// Versions that wrapped after it; the last one wraps.
    adopted: Vec<KeyVersion>,
    /// The version that wraps by the cloud's word.
    named: Option<KeyVersion>,
    /// When the cloud was last asked for that word.
    looked: Option<Moment>,
    /// Versions that were live once, the newest last.
    proven: Vec<KeyVersion>,
    /// The leases that are not idle.
    states: Vec<(KeyVersion, LeaseState)>,
    /// While any of them is live.
    epoch: Option<LeaseEpoch>,
    /// The denial that was told last.
    told: Option<Arc<ProviderError>>,
    holds: usize,
    strangers: Strangers,
}

impl Family {
    /// # Errors
    /// [`LeaseError::NotActivated`].
    pub(crate) fn new(subject: &Subject, now: Moment) -> Result<Self, LeaseError> {
        let bonds = Bonds {
            revision: subject.revision,
            stored: Canary::of(&subject.binding)?.key_version().clone(),
            adopted: Vec::new(),
            named: None,
            looked: None,
            proven: Vec::new(),
            states: Vec::new(),
            epoch: None,
            told: None,
            holds: 0,
            strangers: Strangers::new(now),
        };
        let binding = subject.name().clone();
        Ok(Self { binding, bonds: Mutex::new(bonds), places: Semaphore::new(AT_ONCE) })
    }

    /// Follows a newer record of the binding.
    pub(crate) fn follow(&self, subject: &Subject) -> Result<(), LeaseError> {
        let mut bonds = self.lock();
        if subject.revision > bonds.revision {
            let stored = Canary::of(&subject.binding)?.key_version().clone();
            if stored != bonds.stored {
                (bonds.named, bonds.looked) = (None, None);
                bonds.adopted.clear();
            }
            (bonds.revision, bonds.stored) = (subject.revision, stored);
        }
        Ok(())
    }

    /// The version that wraps: the newest one that the cloud named and that was proven, unless it was turned down since.
    pub(crate) fn wrapping(&self) -> KeyVersion {
        self.lock().wrapping().clone()
    }

    pub(crate) fn standing(&self, version: &KeyVersion) -> Standing {
        let bonds = self.lock();
        let wraps = bonds.wrapping() == version;
        Standing { wraps, known: wraps || bonds.knows(version), held: bonds.holds > 0 }
    }

    /// Whether the binding may have a lease of `version`, with leases of `others` already. A version that wraps, or is
    /// about to, always may: nothing that is only read may stand in its way.
    pub(crate) fn admit(
        &self,
        version: &KeyVersion,
        others: &[&KeyVersion],
        now: Moment,
    ) -> Result<(), LeaseError> {
        let mut bonds = self.lock();
        let known = bonds.knows(version);
        let places = others.iter().filter(|other| !known || bonds.knows(other)).count();
        if [Some(bonds.wrapping()), bonds.named.as_ref(), Some(&bonds.stored)].contains(&Some(version)) {
            return Ok(());
        }
        if places >= MAX_VERSIONS {
            return Err(LeaseError::TooManyVersions);
        }
        if known { Ok(()) } else { bonds.strangers.admit(version, now) }
    }

    /// Whether there is something to remember although no lease is in use.
    pub(crate) fn remembers(&self, now: Moment) -> bool {
        let mut bonds = self.lock();
        bonds.has_versions()
            && (!bonds.proven.is_empty() || bonds.looked.is_some() || bonds.strangers.remembers(now))
    }

    fn lock(&self) -> MutexGuard<'_, Bonds> {
        self.bonds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === Which version wraps ===

impl Family {
    /// Whether the proof of `version` that has just ended is followed by a look at which version wraps: at most one in
    /// `interval`, and none on a cloud without versions.
    pub(crate) fn begin_look(&self, version: &KeyVersion, interval: Duration, now: Moment) -> bool {
        let mut bonds = self.lock();
        let due = bonds.looked.is_none_or(|at| now.since(at) >= interval);
        let looks = due && bonds.has_versions() && bonds.wrapping() == version;
        if looks {
            bonds.looked = Some(now);
        }
        looks
    }

    /// The next proof is followed by a look, however long ago the last one was.
    pub(crate) fn look_again(&self) {
        self.lock().looked = None;
    }

    /// The cloud says that `version` wraps. It does so from the moment that its lease is live.
    pub(crate) fn named(&self, version: &KeyVersion) {
        let mut bonds = self.lock();
        bonds.named = Some(version.clone());
        if bonds.state_of(version) == LeaseState::Live {
            bonds.adopt(version);
        }
    }

    /// `version` was denied and the cloud names no other that works: the one before it wraps again. What to tell of that.
    pub(crate) fn step_down(&self, version: &KeyVersion) -> Option<LeaseEvent> {
        let mut bonds = self.lock();
        if bonds.adopted.last() != Some(version) {
            return None;
        }
        bonds.adopted.pop();
        (bonds.state() == LeaseState::Live).then(|| self.event(LeaseState::Live))
    }
}

// === What is told ===

impl Family {
    /// Takes note of what happened to the lease of one version, and says what to tell of the binding.
    pub(crate) fn note(&self, turn: &Turn<'_>, fresh: impl FnOnce() -> LeaseEpoch) -> Vec<LeaseEvent> {
        use LeaseState::{Denied, Live};
        let mut bonds = self.lock();
        let (from, to) = (turn.from, turn.to);
        if from == to || (to != Live && from != Live && !bonds.knows(turn.version)) {
            return Vec::new();
        }
        bonds.put(turn.version, to);
        match (from, to) {
            (_, Live) => bonds.began(turn.version, turn.run),
            (Live, _) => bonds.epoch = bonds.any_live().then(fresh),
            _ => {}
        }
        if bonds.wrapping() != turn.version && from != Live && to != Live {
            return Vec::new();
        }
        let first_denial = to == Denied && bonds.is_news(turn.denial);
        let mut events = vec![LeaseEvent { first_denial, ..self.event(to) }];
        if to != Live && bonds.state() == Live {
            // Whoever was told of the end is told that the binding lives on, in another epoch.
            events.push(self.event(Live));
        }
        events
    }

    /// What may be said of all leases of the binding at once.
    pub(crate) fn view(&self, views: Vec<(KeyVersion, LeaseView)>) -> LeaseView {
        let bonds = self.lock();
        let views: Vec<_> = views.into_iter().filter(|(version, _)| bonds.counts(version)).collect();
        let wrapping = bonds.wrapping();
        let mut view =
            LeaseView::together(views.into_iter().map(|(version, view)| (version == *wrapping, view)));
        view.epoch = bonds.epoch.filter(|_| view.state == LeaseState::Live);
        view
    }

    fn event(&self, state: LeaseState) -> LeaseEvent {
        LeaseEvent { binding: self.binding.clone(), state, first_denial: false }
    }
}

// === Holds and strangers ===

impl Family {
    pub(crate) fn hold(&self) {
        self.lock().holds += 1;
    }

    pub(crate) fn unhold(&self) {
        let mut bonds = self.lock();
        bonds.holds = bonds.holds.saturating_sub(1);
    }

    /// Waits for a place for the proof of `version`; those that are known need none.
    pub(crate) async fn place(&self, version: &KeyVersion) -> Option<SemaphorePermit<'_>> {
        if self.standing(version).known {
            return None;
        }
        self.places.acquire().await.ok()
    }

    /// A proof of `version` was refused in a way that the next one would be too.
    pub(crate) fn refused(&self, version: &KeyVersion, error: &LeaseError, now: Moment) {
        let mut bonds = self.lock();
        if !bonds.knows(version) {
            bonds.strangers.refuse(version.clone(), error.clone(), now);
        }
    }

    /// The cloud denied us the principal, whatever version it was asked for.
    pub(crate) fn barred(&self, error: &Arc<ProviderError>, now: Moment) {
        self.lock().strangers.bar(Arc::clone(error), now);
    }
}

// === impl Bonds ===

impl Bonds {
    fn wrapping(&self) -> &KeyVersion {
        self.adopted.last().unwrap_or(&self.stored)
    }

    fn has_versions(&self) -> bool {
        !self.stored.is_none()
    }

    fn knows(&self, version: &KeyVersion) -> bool {
        !self.has_versions()
            || *version == self.stored
            || self.named.as_ref() == Some(version)
            || self.adopted.contains(version)
            || self.proven.contains(version)
    }

    /// Whether the state of `version` says something of the binding. One that never lived and wraps nothing does not.
    fn counts(&self, version: &KeyVersion) -> bool {
        self.wrapping() == version || self.proven.contains(version)
    }

    fn state_of(&self, version: &KeyVersion) -> LeaseState {
        self.states.iter().find(|(other, _)| other == version).map_or(LeaseState::Idle, |(_, state)| *state)
    }

    /// The state of the binding.
    fn state(&self) -> LeaseState {
        let counting = self.states.iter().filter(|(version, _)| self.counts(version));
        LeaseState::together(counting.map(|(version, state)| (version == self.wrapping(), *state)))
    }

    fn any_live(&self) -> bool {
        self.states.iter().any(|(_, state)| *state == LeaseState::Live)
    }

    fn put(&mut self, version: &KeyVersion, state: LeaseState) {
        self.states.retain(|(other, _)| other != version);
        if state != LeaseState::Idle {
            self.states.push((version.clone(), state));
        }
    }

    fn began(&mut self, version: &KeyVersion, run: Option<LeaseEpoch>) {
        self.epoch = self.epoch.or(run);
        self.strangers.unbar();
        if !self.has_versions() {
            return;
        }
        self.proven.retain(|other| other != version);
        self.proven.push(version.clone());
        // As many as there may be leases of; those that are in use stay, and their number is bounded too.
        if self.proven.len() > MAX_VERSIONS {
            let unused = self.proven.iter().position(|other| self.state_of(other) == LeaseState::Idle);
            unused.map(|oldest| self.proven.remove(oldest));
        }
        if self.named.as_ref() == Some(version) {
            self.adopt(version);
        }
    }

    fn adopt(&mut self, version: &KeyVersion) {
        if self.wrapping() == version {
            return;
        }
        self.adopted.retain(|other| other != version);
        self.adopted.push(version.clone());
        if self.adopted.len() > MAX_VERSIONS {
            self.adopted.remove(0);
        }
    }

    /// Whether this denial was not told yet. One of the principal ends the leases of all versions, and is told once.
    fn is_news(&mut self, denial: Option<&Arc<ProviderError>>) -> bool {
        let known = match (&self.told, denial) {
            (Some(told), Some(denial)) => Arc::ptr_eq(told, denial),
            _ => false,
        };
        self.told = denial.cloned();
        !known
    }
}
