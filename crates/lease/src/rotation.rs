//! Which version of a key wraps, and what the leases of a binding's versions owe each other.
//!
//! Where keys have versions, a proof of the version that wraps is followed, every now and then, by a question to the cloud:
//! which version wraps now? Another one is proven by itself, wrap and unwrap of a canary of its own, and wraps from the
//! moment that its lease is live (see `family`). Until then, and if it never is, the old one does.

use std::sync::Arc;
use std::time::Duration;

use leasehold_envelope::KeyVersion;
use leasehold_ids::BindingVersion;
use leasehold_provider::{ProviderError, Session};
use leasehold_tenant::Binding;

use crate::Subject;
use crate::canary::Canary;
use crate::cell::Cell;
use crate::flights::Landing;
use crate::hub::MAX_VERSIONS;
use crate::machine::Step;
use crate::subject::LeaseId;

/// How long the cloud may take to say which version wraps. As long as one call may take with all its retries.
const LOOK: Duration = Duration::from_secs(5);

/// How many leases of `binding` proofs are planned for: where keys have versions two, the one that wraps and one that is still
/// read, otherwise one. Bindings that read more at a time live off the part of the budget that no plan may use.
#[must_use]
pub fn planned_leases(binding: &Binding) -> usize {
    let has_versions = Canary::of(binding).is_ok_and(|canary| !canary.key_version().is_none());
    if has_versions { 2 } else { 1 }
}

// === Which version wraps ===

impl Cell {
    /// After a proof of this version succeeded with `session`.
    pub(crate) async fn look(self: &Arc<Self>, subject: &Subject, session: &Session) {
        let (hub, version) = (self.hub(), &self.id().key_version);
        if self.family().begin_look(version, hub.settings.rotation_check, hub.clock.now())
            && let Some(named) = self.ask_which_wraps(session).await
        {
            self.prove_wrapping(subject, &named);
        }
    }

    /// A request was told that this version, which wraps, is out of its dates: whether another one wraps. All who are told so
    /// at once wait for the same answer, which belongs to none of them. What is held goes on; the version may be read as
    /// before.
    pub(crate) async fn look_for_newer(self: &Arc<Self>, subject: &Subject, session: &Session) {
        let (hub, version) = (self.hub(), &self.id().key_version);
        let interval = hub.settings.suspicion_interval;
        let (mut over, begun) = self.family().begin_look_for_newer(version, interval, hub.clock.now());
        if let Some(looking) = begun {
            let (cell, subject, session) = (Arc::clone(self), subject.clone(), session.clone());
            hub.runtime.spawn(async move {
                cell.find_newer(&subject, &session).await;
                drop(looking);
            });
        }
        // Nothing is ever sent: this ends with the look, and so within the time that the cloud has to answer it and to prove.
        let _ = over.changed().await;
    }

    async fn find_newer(self: &Arc<Self>, subject: &Subject, session: &Session) {
        let hub = self.hub();
        let deadline = hub.clock.now() + hub.settings.proof_deadline;
        if let Some(named) = self.ask_which_wraps(session).await
            && let Some(landing) = self.prove_wrapping(subject, &named)
        {
            let _ = self.landed(landing, deadline).await;
        }
    }

    /// After this version was denied: whether another one wraps, which is found out before those who wait are told. It ends
    /// when the other one is proven, and takes no longer than a proof.
    pub(crate) async fn look_for_successor(self: &Arc<Self>, subject: &Subject, session: &Session) {
        let (hub, version) = (self.hub(), &self.id().key_version);
        if !self.family().begin_look(version, Duration::ZERO, hub.clock.now()) {
            return;
        }
        let deadline = hub.clock.now() + hub.settings.proof_deadline;
        // That it is not said is no news: the denial is.
        if let Ok(named) = self.prover().current_version(session, LOOK).await {
            self.family().named(&named);
            if let Some(landing) = self.prove_wrapping(subject, &named) {
                // Whatever came of it: if it was proven, it wraps.
                let _ = self.landed(landing, deadline).await;
            }
        }
        if self.family().wrapping() == *version
            && let Some(event) = self.family().step_down(version)
        {
            self.tell(event);
        }
        // Somebody may hold, so that the one before is proven without a request.
        self.prove_wrapping(subject, &self.family().wrapping());
    }

    /// Which version wraps by the cloud's word. While it does not say, a rotation is not followed, and that is told.
    async fn ask_which_wraps(&self, session: &Session) -> Option<KeyVersion> {
        let binding = &self.id().binding;
        match self.prover().current_version(session, LOOK).await {
            Ok(named) => {
                self.family().named(&named);
                Some(named)
            }
            Err(error) => {
                let error = Arc::new(error);
                if self.family().not_named(&error) {
                    tracing::warn!(%binding, %error, "which version of the key wraps is not known: a rotation is not followed");
                }
                None
            }
        }
    }

    /// Has another version of the key proven, unless it is live or was denied; what to wait for if it is.
    fn prove_wrapping(&self, subject: &Subject, version: &KeyVersion) -> Option<Landing> {
        if *version == self.id().key_version {
            return None;
        }
        let id = LeaseId { binding: self.id().binding.clone(), key_version: version.clone() };
        // A record that is outdated by now, or a lease that was forgotten just now: the next look sees to it.
        let cell = self.hub().cell(&id, subject).ok()?;
        let step = cell.enter(|machine, now| {
            machine.follow(subject, now);
            match machine.step(subject.binding.version, now) {
                // It lives, as a version that is read. To wrap, it takes a proof that wraps.
                Step::Serve(_) if !self.family().can_wrap(version) => machine.reprove(now),
                step => step,
            }
        })?;
        let Step::Wait(landing, start) = step else { return None };
        if let Some(start) = start {
            cell.launch(start);
        }
        Some(landing)
    }
}

// === What one version's proof means to the others ===

impl Cell {
    /// The cloud denied us the principal, or the principal the key. Clouds grant both for a key as a whole, and whatever
    /// version is held is held by both, so that everything held under the binding ends now. That a key cannot be used is
    /// said of its version alone.
    pub(crate) fn deny_others(&self, version: BindingVersion, error: &Arc<ProviderError>) {
        self.family().barred(error, self.hub().clock.now());
        for other in self.others() {
            other.with(|machine, now| machine.deny_by_sibling(version, error, now));
        }
    }

    /// A version was denied that had been live. It may be the whole key that was: the others are proven now, and not only
    /// when their renewal is due.
    pub(crate) fn suspect_others(&self) {
        self.others().iter().for_each(Self::be_proven);
    }

    /// Whose fault a denial of the principal is will be known when `landing` has landed.
    pub(crate) fn doubt_others(&self, landing: &Landing) {
        for other in self.others() {
            other.with(|machine, _| machine.doubt(landing.clone()));
        }
    }

    /// This version lives. If more do, or go on asking, than a binding may have leases of, the least recently used of those
    /// that are only read ends; whoever holds what was given out under it is told so.
    pub(crate) fn make_room(&self) {
        let wrapping = self.family().wrapping();
        let uses = |cell: &Arc<Self>| cell.with(|machine, _| machine.used());
        let mut used: Vec<_> =
            self.others().into_iter().filter_map(|cell| Some((uses(&cell)?, cell))).collect();
        used.sort_by_key(|(at, _)| *at);
        let over = (used.len() + 1).saturating_sub(MAX_VERSIONS);
        let read = used.into_iter().filter(|(_, cell)| cell.id().key_version != wrapping);
        for (_, cell) in read.take(over) {
            cell.with(|machine, _| machine.release());
            self.hub().retire(&cell);
        }
    }

    fn others(&self) -> Vec<Arc<Self>> {
        let mut cells = self.hub().existing(&self.id().binding);
        cells.retain(|cell| cell.id() != self.id());
        cells
    }
}
