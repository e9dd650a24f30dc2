//! What a binding's leases have in common, as plain data.

use std::sync::Arc;
use std::time::Duration;

use leasehold_clock::Moment;
use leasehold_envelope::{KeyId, KeyVersion};
use leasehold_ids::LeaseEpoch;
use leasehold_provider::ProviderError;
use tokio::sync::watch;

use crate::LeaseState;
use crate::canary::Canary;
use crate::hub::MAX_VERSIONS;
use crate::lent::Fingerprint;
use crate::strangers::Strangers;
use crate::tokens::Tokens;

/// How often versions that are read may take each other's places after a quiet time: all of them once.
const TURNS: u32 = 16;

/// How long until they may once more. A store that reads more versions in turn than there are places costs the tenant a
/// proof of 3 calls a second, and no more.
const TURN: Duration = Duration::from_secs(1);

/// What the leases of one binding have in common.
#[derive(Debug)]
pub(super) struct Bonds {
    /// The revision that `key` and `stored` are of.
    pub(super) revision: u64,
    key: KeyId,
    /// The version of the canary that activation left.
    pub(super) stored: KeyVersion,
    /// Versions that wrapped after it; the last one wraps.
    pub(super) adopted: Vec<KeyVersion>,
    /// The version that wraps by the cloud's word.
    pub(super) named: Option<KeyVersion>,
    /// Why the cloud did not say so when it was last asked.
    pub(super) unnamed: Option<Arc<ProviderError>>,
    /// When the cloud was last asked for that word.
    pub(super) looked: Option<Moment>,
    /// When it was last asked because a wrap was refused for its date.
    pub(super) outdated: Option<Moment>,
    /// Ends when that question, and what followed from it, does.
    pub(super) looking: watch::Receiver<()>,
    /// Versions that were live once, the newest last.
    pub(super) proven: Vec<Proven>,
    /// The leases that are not idle.
    pub(super) states: Vec<(KeyVersion, LeaseState)>,
    /// While any of them is live.
    pub(super) epoch: Option<LeaseEpoch>,
    /// The denial that was told last.
    pub(super) told: Option<Arc<ProviderError>>,
    pub(super) holds: usize,
    /// Nothing is unwrapped under the binding any more.
    pub(super) over: bool,
    pub(super) strangers: Strangers,
    /// How often one version may take the place of another.
    pub(super) turns: Tokens,
}

/// A version that was live once.
#[derive(Debug)]
pub(super) struct Proven {
    pub(super) version: KeyVersion,
    /// What proved it, if that is not the canary that activation left. Opened again by the next proofs, they need no more
    /// calls, nor any other permission, than those of the version that activation saw.
    canary: Option<Canary>,
}

impl Bonds {
    pub(super) fn new(revision: u64, key: KeyId, stored: KeyVersion, now: Moment) -> Self {
        Self {
            revision,
            key,
            stored,
            adopted: Vec::new(),
            named: None,
            unnamed: None,
            looked: None,
            outdated: None,
            looking: watch::channel(()).1,
            proven: Vec::new(),
            states: Vec::new(),
            epoch: None,
            told: None,
            holds: 0,
            over: false,
            strangers: Strangers::new(now),
            turns: Tokens::new(TURNS, TURN, now),
        }
    }

    /// Follows a newer record of the binding.
    pub(super) fn follow(&mut self, revision: u64, key: &KeyId, stored: KeyVersion) {
        if *key != self.key {
            self.proven.clear();
        }
        if stored != self.stored || *key != self.key {
            (self.named, self.unnamed, self.looked) = (None, None, None);
            self.adopted.clear();
        }
        (self.revision, self.key, self.stored) = (revision, key.clone(), stored);
        self.over = false;
    }

    pub(super) fn wrapping(&self) -> &KeyVersion {
        self.adopted.last().unwrap_or(&self.stored)
    }

    pub(super) fn has_versions(&self) -> bool {
        !self.stored.is_none()
    }

    pub(super) fn knows(&self, version: &KeyVersion) -> bool {
        !self.has_versions()
            || *version == self.stored
            || self.named.as_ref() == Some(version)
            || self.adopted.contains(version)
            || self.was_proven(version)
    }

    fn was_proven(&self, version: &KeyVersion) -> bool {
        self.proven.iter().any(|proven| proven.version == *version)
    }

    /// What proved `version` the last time, if that is not the canary that activation left.
    pub(super) fn canary(&self, version: &KeyVersion) -> Option<&Canary> {
        self.proven.iter().find(|proven| proven.version == *version)?.canary.as_ref()
    }

    /// Keeps what proved `version`. What a caller lent never replaces a canary of our own.
    pub(super) fn keep(&mut self, version: &KeyVersion, canary: Canary) {
        if let Some(proven) = self.proven.iter_mut().find(|proven| proven.version == *version)
            && (!canary.is_lent() || proven.canary.is_none())
        {
            proven.canary = Some(canary);
        }
        self.adopt_named(version);
    }

    /// Whether what a caller lends is all that a proof of `version` may have to open.
    pub(super) fn needs_loan(&self, version: &KeyVersion) -> bool {
        *version != self.stored && self.canary(version).is_none()
    }

    /// What a caller lent, and proved `version` before, was refused: others may lend something better.
    pub(super) fn drop_lent(&mut self, version: &KeyVersion, loan: &Fingerprint) {
        if let Some(proven) = self.proven.iter_mut().find(|proven| proven.version == *version) {
            proven.canary.take_if(|kept| kept.is_lent() && kept.fingerprint() == *loan);
        }
    }

    /// Whether something was wrapped under `version` and opened again.
    pub(super) fn can_wrap(&self, version: &KeyVersion) -> bool {
        *version == self.stored || self.canary(version).is_some_and(|canary| !canary.is_lent())
    }

    /// Has `version` wrap from now on, if the cloud named it, and it lives and can.
    pub(super) fn adopt_named(&mut self, version: &KeyVersion) {
        let named = self.named.as_ref() == Some(version);
        if named && self.state_of(version) == LeaseState::Live && self.can_wrap(version) {
            self.adopt(version);
        }
    }

    /// Whether the state of `version` says something of the binding. One that never lived and wraps nothing does not.
    pub(super) fn counts(&self, version: &KeyVersion) -> bool {
        self.wrapping() == version || self.was_proven(version)
    }

    pub(super) fn state_of(&self, version: &KeyVersion) -> LeaseState {
        self.states.iter().find(|(other, _)| other == version).map_or(LeaseState::Idle, |(_, state)| *state)
    }

    /// The state of the binding.
    pub(super) fn state(&self) -> LeaseState {
        let counting = self.states.iter().filter(|(version, _)| self.counts(version));
        LeaseState::together(counting.map(|(version, state)| (version == self.wrapping(), *state)))
    }

    /// How many leases hold something, or go on asking for it.
    pub(super) fn in_use(&self) -> usize {
        let counts = |state| matches!(state, LeaseState::Live | LeaseState::Denied | LeaseState::Lapsed);
        self.states.iter().filter(|(_, state)| counts(*state)).count()
    }

    pub(super) fn any_live(&self) -> bool {
        self.states.iter().any(|(_, state)| *state == LeaseState::Live)
    }

    pub(super) fn put(&mut self, version: &KeyVersion, state: LeaseState) {
        self.states.retain(|(other, _)| other != version);
        if state != LeaseState::Idle {
            self.states.push((version.clone(), state));
        }
    }

    pub(super) fn began(&mut self, version: &KeyVersion, run: Option<LeaseEpoch>) {
        self.epoch = self.epoch.or(run);
        self.strangers.unbar();
        if !self.has_versions() {
            return;
        }
        let known = self.proven.iter().position(|proven| proven.version == *version);
        let canary = known.and_then(|at| self.proven.remove(at).canary);
        self.proven.push(Proven { version: version.clone(), canary });
        // As many as there may be leases of; those that are in use stay, and their number is bounded too.
        if self.proven.len() > MAX_VERSIONS {
            let idle = |proven: &Proven| self.state_of(&proven.version) == LeaseState::Idle;
            let unused = self.proven.iter().position(idle);
            unused.map(|oldest| self.proven.remove(oldest));
        }
        self.adopt_named(version);
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
    pub(super) fn is_news(&mut self, denial: Option<&Arc<ProviderError>>) -> bool {
        let known = match (&self.told, denial) {
            (Some(told), Some(denial)) => Arc::ptr_eq(told, denial),
            _ => false,
        };
        self.told = denial.cloned();
        !known
    }
}
