//! Carries out proofs: a fresh assume, then one unwrap of the canary with that very session.

use std::sync::Arc;
use std::time::Duration;

use leasehold_clock::TimeSource;
use leasehold_envelope::KeyVersion;
use leasehold_provider::{Edge, Fault, KeyProvider, ProviderError};
use leasehold_secret::Arena;

use crate::LeaseError;
use crate::budget::Budget;
use crate::canary::Canary;
use crate::flights::Start;
use crate::live::Proof;
use crate::machine::Outcome;
use crate::sentinel::{Sentinel, Verdict};

/// What proofs of one provider's bindings need.
#[derive(Clone)]
pub(crate) struct Prover {
    pub(crate) provider: Arc<dyn KeyProvider>,
    pub(crate) clock: Arc<dyn TimeSource>,
    pub(crate) budget: Budget,
    pub(crate) arena: Arena,
    pub(crate) sentinel: Option<Sentinel>,
    pub(crate) deadline: Duration,
}

impl Prover {
    /// Waits for a turn in the budget, then proves. `on_suspicion` is called when serving must pause for the sentinel.
    pub(crate) async fn prove(
        &self,
        start: &Start,
        key_version: &KeyVersion,
        on_suspicion: impl FnOnce(),
    ) -> Outcome {
        self.budget.turn(start.urgency).await;
        let proof = self.attempt(start, key_version);
        let answered = tokio::select! {
            answered = proof => answered,
            () = self.clock.sleep(self.deadline) => Err(LeaseError::Unavailable(Arc::new(
                ProviderError::new(Fault::Unavailable, "the proof was not complete within its deadline")
                    .with_code(Some("DEADLINE")),
            ))),
        };
        match answered {
            Ok(proof) => Outcome::Proven(proof),
            Err(LeaseError::Denied(error)) => self.judge(error, on_suspicion).await,
            Err(other) => Outcome::Failed(other),
        }
    }

    /// The proof itself. It counts from before the first byte of the assume is sent.
    async fn attempt(&self, start: &Start, key_version: &KeyVersion) -> Result<Proof, LeaseError> {
        let binding = &start.subject.binding;
        let kept = Canary::of(binding)?;
        let (started, wall, generation) = (self.clock.now(), self.clock.wall(), self.clock.generation());
        let failed = |error| LeaseError::from_proof(Arc::new(error));
        let session = self.provider.assume(binding).await.map_err(failed)?.value;
        // A version of the key other than the one that activation saw has no canary yet: it gets one of its own.
        let canary = if kept.key_version() == key_version {
            kept
        } else {
            let provider = self.provider.as_ref();
            Canary::make(provider, &session, binding, key_version, &self.arena).await?.0
        };
        let opened = self.provider.unwrap(&session, canary.ciphertext(), canary.context(binding)).await;
        // The canary's value is no secret and nobody needs it: that it opened is the proof.
        drop(opened.map_err(failed)?);
        let session_life = session.expires_at().duration_since(wall).unwrap_or(Duration::ZERO);
        Ok(Proof { started, generation, session, session_life })
    }

    /// Tells a tenant's denial from a failure of our own identity, which only a refusal of the first hop can be.
    async fn judge(&self, error: Arc<ProviderError>, on_suspicion: impl FnOnce()) -> Outcome {
        let first_hop = matches!(error.fault(), Fault::Denied { edge: Edge::Trust { hop: 0 } });
        let Some(sentinel) = self.sentinel.as_ref().filter(|_| first_hop) else {
            return Outcome::Denied(error);
        };
        on_suspicion();
        match sentinel.ask().await {
            Verdict::OurFault => Outcome::Masked(error),
            Verdict::TenantsWord => Outcome::Denied(error),
        }
    }
}
