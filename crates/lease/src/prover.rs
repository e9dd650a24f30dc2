//! Carries out proofs: a fresh assume, then one unwrap of the canary with that very session.

use std::sync::Arc;
use std::time::Duration;

use leasehold_clock::TimeSource;
use leasehold_envelope::KeyVersion;
use leasehold_provider::{Edge, Fault, KeyProvider, ProviderError, Session};
use leasehold_secret::Arena;

use crate::LeaseError;
use crate::budget::Budget;
use crate::canary::{Canary, Foster};
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

/// What a proof came to.
pub(crate) struct Answered {
    pub(crate) outcome: Outcome,
    /// The session of its assume, if that succeeded.
    pub(crate) session: Option<Session>,
}

impl Prover {
    /// Waits for a turn in the budget, then proves. `on_suspicion` is called when serving must pause for the sentinel.
    pub(crate) async fn prove(
        &self,
        start: &Start,
        key_version: &KeyVersion,
        foster: &Foster,
        on_suspicion: impl FnOnce(),
    ) -> Answered {
        self.budget.turn(start.urgency).await;
        let mut session = None;
        let answered = tokio::select! {
            answered = self.attempt(start, key_version, foster, &mut session) => answered,
            () = self.clock.sleep(self.deadline) => Err(LeaseError::Unavailable(Arc::new(
                ProviderError::new(Fault::Unavailable, "the proof was not complete within its deadline")
                    .with_code(Some("DEADLINE")),
            ))),
        };
        let outcome = match answered {
            Ok(proof) => Outcome::Proven(proof),
            Err(LeaseError::Denied(error)) => self.judge(error, on_suspicion).await,
            Err(other) => Outcome::Failed(other),
        };
        Answered { outcome, session }
    }

    /// The proof itself. It counts from before the first byte of the assume is sent.
    async fn attempt(
        &self,
        start: &Start,
        key_version: &KeyVersion,
        foster: &Foster,
        assumed: &mut Option<Session>,
    ) -> Result<Proof, LeaseError> {
        let (binding, provider) = (&start.subject.binding, self.provider.as_ref());
        let kept = Canary::of(binding)?;
        let (started, wall, generation) = (self.clock.now(), self.clock.wall(), self.clock.generation());
        let failed = |error| LeaseError::from_proof(Arc::new(error));
        let session = provider.assume(binding).await.map_err(failed)?.value;
        *assumed = Some(session.clone());
        // A version of the key other than the one that activation saw has no canary in the registry.
        let own = Some(kept).filter(|kept| kept.key_version() == key_version);
        match own.or_else(|| foster.of(binding)) {
            // The canary's value is no secret and nobody needs it: that it opened is the proof.
            Some(canary) => drop(canary.open(provider, &session, binding).await?),
            None => {
                let made = Canary::proven(provider, &session, binding, key_version, &self.arena).await?;
                foster.keep(binding, made.0);
            }
        }
        let session_life = session.expires_at().duration_since(wall).unwrap_or(Duration::ZERO);
        Ok(Proof { started, generation, session, session_life })
    }

    /// Which version of the binding's key wraps, by the cloud's word; `None` if it does not say so within `pause`. Whatever
    /// it answers instead is neither a denial nor a proof.
    pub(crate) async fn current_version(&self, session: &Session, pause: Duration) -> Option<KeyVersion> {
        let answer = tokio::select! {
            answer = self.provider.describe(session) => answer,
            () = self.clock.sleep(pause) => return None,
        };
        match answer {
            Ok(answer) => Some(answer.value.current_version).filter(|version| !version.is_none()),
            Err(error) => {
                tracing::debug!(%error, "the cloud does not say which version of a key wraps");
                None
            }
        }
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
