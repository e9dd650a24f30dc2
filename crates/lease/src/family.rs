//! What the leases of one binding have in common, one for each version of its key: which version wraps, which are known,
//! whether anybody holds, and what is told of them together.
//!
//! On a cloud without versions there is one lease, of the empty version, and all of this says what that lease says.

mod bonds;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leasehold_clock::Moment;
use leasehold_envelope::KeyVersion;
use leasehold_ids::{BindingName, LeaseEpoch};
use leasehold_provider::ProviderError;
use leasehold_tenant::Binding;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use self::bonds::Bonds;
use crate::canary::Canary;
use crate::hub::MAX_VERSIONS;
use crate::lent::{Exhibit, Loan};
use crate::strangers::AT_ONCE;
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

impl Family {
    /// # Errors
    /// [`LeaseError::NotActivated`].
    pub(crate) fn new(subject: &Subject, now: Moment) -> Result<Self, LeaseError> {
        let stored = Canary::of(&subject.binding)?.key_version().clone();
        let bonds = Bonds::new(subject.revision, subject.binding.key.clone(), stored, now);
        let binding = subject.name().clone();
        Ok(Self { binding, bonds: Mutex::new(bonds), places: Semaphore::new(AT_ONCE) })
    }

    /// Follows a newer record of the binding.
    pub(crate) fn follow(&self, subject: &Subject) -> Result<(), LeaseError> {
        let mut bonds = self.lock();
        if subject.revision > bonds.revision {
            let stored = Canary::of(&subject.binding)?.key_version().clone();
            bonds.follow(subject.revision, &subject.binding.key, stored);
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

    /// Whether the binding may have a lease of `version`, with leases of `others` already. One that is known may: of those
    /// that are only read the least recently used makes room. A stranger takes no room from anybody before it proved live.
    pub(crate) fn admit(
        &self,
        version: &KeyVersion,
        others: &[&KeyVersion],
        now: Moment,
    ) -> Result<(), LeaseError> {
        let mut bonds = self.lock();
        if bonds.knows(version) {
            return Ok(());
        }
        match others.iter().filter(|other| !bonds.knows(other)).count() < MAX_VERSIONS {
            true => bonds.strangers.admit(version, now),
            false => Err(LeaseError::TooManyVersions),
        }
    }

    /// Whether a request for `version` may begin a proof, should it have to. It may take the place of another version, but
    /// not at will, or requests for more versions in turn than there are places would each cost a proof. Nor is there a
    /// proof at will where it opens what the caller lent, who may lend something that is no good each time.
    ///
    /// # Errors
    /// [`LeaseError::TooManyVersions`], or that we throttle.
    pub(crate) fn may_begin(&self, version: &KeyVersion, lends: bool, now: Moment) -> Result<(), LeaseError> {
        let mut bonds = self.lock();
        // Strangers were charged when they were let in.
        if !bonds.knows(version) || bonds.wrapping() == version {
            return Ok(());
        }
        if lends && bonds.needs_loan(version) {
            bonds.strangers.admit_loan(now)?;
        }
        match bonds.state_of(version) == LeaseState::Idle && bonds.in_use() >= MAX_VERSIONS {
            true => bonds.turns.take(now).map_err(|_| LeaseError::TooManyVersions),
            false => Ok(()),
        }
    }

    /// Whether there is something to remember although no lease is in use.
    pub(crate) fn remembers(&self, now: Moment) -> bool {
        let mut bonds = self.lock();
        let versions = bonds.has_versions()
            && (!bonds.proven.is_empty() || bonds.looked.is_some() || bonds.strangers.remembers(now));
        bonds.holds > 0 || (versions && !bonds.over)
    }

    /// By the newest record nothing is unwrapped under the binding any more, so that there is nothing to remember.
    pub(crate) fn end(&self) {
        self.lock().over = true;
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

    /// The same after a wrap under `version` that its dates forbid: at once, and then at most one in `interval`. What ends
    /// when the look does, and, if it is to begin now, what to drop then.
    pub(crate) fn begin_look_for_newer(
        &self,
        version: &KeyVersion,
        interval: Duration,
        now: Moment,
    ) -> (watch::Receiver<()>, Option<watch::Sender<()>>) {
        let mut bonds = self.lock();
        let due = bonds.outdated.is_none_or(|at| now.since(at) >= interval);
        if due && bonds.has_versions() && bonds.wrapping() == version {
            let (looking, over) = watch::channel(());
            (bonds.looked, bonds.outdated) = (Some(now), Some(now));
            bonds.looking = over.clone();
            return (over, Some(looking));
        }
        (bonds.looking.clone(), None)
    }

    /// The next proof is followed by a look, however long ago the last one was.
    pub(crate) fn look_again(&self) {
        self.lock().looked = None;
    }

    /// The cloud says that `version` wraps. It does so from the moment that its lease is live by a proof that wrapped.
    pub(crate) fn named(&self, version: &KeyVersion) {
        let mut bonds = self.lock();
        bonds.named = Some(version.clone());
        bonds.unnamed = None;
        bonds.adopt_named(version);
    }

    /// The cloud did not say which version wraps. Whether that is news.
    pub(crate) fn not_named(&self, error: &Arc<ProviderError>) -> bool {
        self.lock().unnamed.replace(Arc::clone(error)).is_none()
    }

    /// Why it is not known which version wraps, if it is not.
    pub(crate) fn unnamed(&self) -> Option<Arc<ProviderError>> {
        self.lock().unnamed.clone()
    }

    /// Whether `version` is the one that wraps, or may be as soon as it lives.
    pub(crate) fn can_wrap(&self, version: &KeyVersion) -> bool {
        self.lock().can_wrap(version)
    }

    /// What the proof of `version` is to open, if a caller lent `lent` for it.
    ///
    /// # Errors
    /// [`LeaseError::NotActivated`].
    pub(crate) fn exhibit(
        &self,
        binding: &Binding,
        version: &KeyVersion,
        lent: Option<Canary>,
    ) -> Result<Exhibit, LeaseError> {
        let stored = Canary::of(binding)?;
        if stored.key_version() == version {
            return Ok(Exhibit::Open(stored));
        }
        let bonds = self.lock();
        let kept = bonds.canary(version).cloned();
        if let Some(own) = kept.clone().filter(|kept| !kept.is_lent()) {
            return Ok(Exhibit::Open(own));
        }
        let is_to_wrap = bonds.named.as_ref() == Some(version);
        Ok(match kept.or(lent) {
            Some(lent) if !is_to_wrap => Exhibit::Open(lent),
            lent => Exhibit::Make { or: lent },
        })
    }

    /// Keeps what proved `version`, for the next proofs; if that shows that it can wrap, and the cloud named it, it does.
    pub(crate) fn keep(&self, version: &KeyVersion, opened: Canary) {
        self.lock().keep(version, opened);
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
        view.rotation_unknown.clone_from(&bonds.unnamed);
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

    /// A proof of `version` came to nothing, because of what was lent for it if that was `refused`.
    pub(crate) fn failed(
        &self,
        version: &KeyVersion,
        error: &LeaseError,
        refused: Option<&Canary>,
        now: Moment,
    ) {
        let mut bonds = self.lock();
        let loan = refused.map(Canary::fingerprint);
        match (&loan, bonds.knows(version)) {
            (Some(loan), true) => {
                bonds.drop_lent(version, loan);
                bonds.strangers.spend_on_loan(now);
            }
            (None, true) => return,
            (_, false) => {}
        }
        bonds.strangers.failed(version, loan, error, now);
    }

    /// Whether this very wrapped key was refused just now as what was to prove its version.
    ///
    /// # Errors
    /// What it was refused with.
    pub(crate) fn recall(&self, version: &KeyVersion, lent: Loan<'_>, now: Moment) -> Result<(), LeaseError> {
        let mut bonds = self.lock();
        if bonds.state_of(version) == LeaseState::Live || !bonds.strangers.remembers(now) {
            return Ok(());
        }
        bonds.strangers.recall(version, Some(lent.fingerprint()))
    }

    /// The cloud denied us the principal, whatever version it was asked for.
    pub(crate) fn barred(&self, error: &Arc<ProviderError>, now: Moment) {
        self.lock().strangers.bar(Arc::clone(error), now);
    }
}
