//! What a live lease holds.

use std::sync::Arc;
use std::time::Duration;

use leasehold_clock::{Generation, Moment};
use leasehold_ids::LeaseEpoch;
use leasehold_provider::Session;
use leasehold_secret::{Arena, SealingKey, SecretError};

/// What one proof, and the ones that renewed it, gave us. Replaced as a whole by each renewal.
pub(crate) struct Live {
    /// The epoch in which the lease went from not live to live. What was made in one run is never served in another.
    pub(crate) run: LeaseEpoch,
    /// Names the sealing key; part of every cache key.
    pub(crate) epoch: LeaseEpoch,
    /// Wiping this one key makes everything cached under the lease unreadable.
    pub(crate) key: Arc<SealingKey>,
    key_made: Moment,
    /// The newest session; it is the one that the newest proof used.
    pub(crate) session: Session,
    /// When the newest complete proof began. The lease counts from here.
    pub(crate) proof_started: Moment,
    pub(crate) generation: Generation,
}

/// What a proof that succeeded brings home.
pub(crate) struct Proof {
    pub(crate) started: Moment,
    pub(crate) generation: Generation,
    pub(crate) session: Session,
    /// How long the cloud honours the session, from the start of the proof.
    pub(crate) session_life: Duration,
}

impl Live {
    /// The first proof of a run, with a sealing key of its own.
    pub(crate) fn begin(proof: Proof, epoch: LeaseEpoch, arena: &Arena) -> Result<Self, SecretError> {
        Ok(Self {
            run: epoch,
            epoch,
            key: Arc::new(SealingKey::generate(arena)?),
            key_made: proof.started,
            session: proof.session,
            proof_started: proof.started,
            generation: proof.generation,
        })
    }

    /// This run, renewed by `proof`. A proof that began before the newest one adds nothing.
    pub(crate) fn renewed(&self, proof: Proof) -> Option<Self> {
        (proof.started >= self.proof_started).then(|| Self {
            run: self.run,
            epoch: self.epoch,
            key: Arc::clone(&self.key),
            key_made: self.key_made,
            session: proof.session,
            proof_started: proof.started,
            generation: proof.generation,
        })
    }

    /// This run under a new sealing key, if the present one is older than `most`; the old one is wiped.
    pub(crate) fn rekeyed(
        mut self,
        most: Duration,
        epoch: LeaseEpoch,
        arena: &Arena,
    ) -> Result<Self, SecretError> {
        if self.proof_started.since(self.key_made) > most {
            let fresh = Arc::new(SealingKey::generate(arena)?);
            std::mem::replace(&mut self.key, fresh).wipe();
            self.key_made = self.proof_started;
            self.epoch = epoch;
        }
        Ok(self)
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live")
            .field("run", &self.run)
            .field("epoch", &self.epoch)
            .field("proof_started", &self.proof_started)
            .finish_non_exhaustive()
    }
}
