//! Carries out proofs: a fresh assume, then one unwrap with that very session, of the canary as a rule (see `lent`).

use std::sync::Arc;
use std::time::Duration;

use leasehold_clock::{Moment, TimeSource};
use leasehold_envelope::KeyVersion;
use leasehold_provider::{Edge, Fault, KeyProvider, ProviderError, Session};
use leasehold_secret::Arena;
use leasehold_tenant::Binding;
use metrics::{counter, histogram};

use crate::LeaseError;
use crate::budget::Budget;
use crate::canary::Canary;
use crate::flights::Start;
use crate::lent::Exhibit;
use crate::live::Proof;
use crate::machine::{Outcome, Reach};
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
    /// What opened, if it proved.
    pub(crate) opened: Option<Canary>,
}

/// Why a proof failed, and what it says of more than its own version if that is a denial.
struct Failure {
    error: LeaseError,
    reach: Reach,
}

impl Prover {
    /// Waits for a turn in the budget, then proves. `on_suspicion` is called when serving must pause for the sentinel.
    pub(crate) async fn prove(
        &self,
        start: &Start,
        key_version: &KeyVersion,
        exhibit: Exhibit,
        on_suspicion: impl FnOnce(),
    ) -> Answered {
        let wanted = self.clock.now();
        self.budget.turn(start.urgency, start.subject.tenant()).await;
        let began = self.clock.now();
        let mut session = None;
        let answered = tokio::select! {
            answered = self.attempt(start, key_version, exhibit, &mut session) => answered,
            () = self.clock.sleep(self.deadline) => Err(late().into()),
        };
        let (outcome, opened) = match answered {
            Ok((proof, opened)) => (Outcome::Proven(proof), Some(opened)),
            Err(Failure { error: LeaseError::Denied(error), reach }) => {
                (self.judge(error, reach, on_suspicion).await, None)
            }
            Err(Failure { error, reach: Reach::Loan }) => (Outcome::Refused(error), None),
            Err(Failure { error, .. }) => (Outcome::Failed(error), None),
        };
        self.count(wanted, began, &outcome);
        Answered { outcome, session, opened }
    }

    fn count(&self, wanted: Moment, began: Moment, outcome: &Outcome) {
        let cloud = self.provider.kind().to_string();
        let outcome = match outcome {
            Outcome::Proven(_) => "proven",
            Outcome::Denied { .. } => "denied",
            Outcome::Masked(_) => "masked",
            Outcome::Refused(_) => "refused",
            Outcome::Failed(_) => "failed",
        };
        counter!("leasehold_proofs_total", "cloud" => cloud.clone(), "outcome" => outcome).increment(1);
        histogram!("leasehold_proof_queue_seconds", "cloud" => cloud.clone()).record(began.since(wanted));
        histogram!("leasehold_proof_duration_seconds", "cloud" => cloud)
            .record(self.clock.now().since(began));
    }

    /// The proof itself. It counts from before the first byte of the assume is sent.
    async fn attempt(
        &self,
        start: &Start,
        key_version: &KeyVersion,
        exhibit: Exhibit,
        assumed: &mut Option<Session>,
    ) -> Result<(Proof, Canary), Failure> {
        let (binding, provider) = (&start.subject.binding, self.provider.as_ref());
        let (started, wall, generation) = (self.clock.now(), self.clock.wall(), self.clock.generation());
        let failed = |error| Failure::of_binding(LeaseError::from_proof(Arc::new(error)));
        let session = provider.assume(binding).await.map_err(failed)?.value;
        *assumed = Some(session.clone());
        let opened = self.open(exhibit, &session.for_a_proof(), binding, key_version).await?;
        let session_life = session.expires_at().duration_since(wall).unwrap_or(Duration::ZERO);
        Ok((Proof { started, generation, session, session_life }, opened))
    }

    /// Opens what is to be opened. Its value is no secret if it is a canary's, and nobody needs it: that it opened is the
    /// proof.
    async fn open(
        &self,
        exhibit: Exhibit,
        session: &Session,
        binding: &Binding,
        key_version: &KeyVersion,
    ) -> Result<Canary, Failure> {
        let provider = self.provider.as_ref();
        let kept = match exhibit {
            Exhibit::Open(kept) => kept,
            Exhibit::Make { or } => {
                let made = Canary::proven(provider, session, binding, key_version, &self.arena).await;
                match (made, or) {
                    (Ok((made, _)), _) => return Ok(made),
                    (Err(LeaseError::Denied(_)), Some(lent)) => lent,
                    (Err(error), _) => return Err(error.into()),
                }
            }
        };
        match kept.open(provider, session).await {
            Ok(value) => drop(value),
            Err(error) if kept.is_lent() => return Err(Failure::of_loan(error)),
            // It opened before, and nobody but the tenant's cloud has a say in it.
            Err(error) => return Err(Failure::of_binding(error)),
        }
        Ok(kept)
    }

    /// Which version of the binding's key wraps, by the cloud's word. Whatever it answers instead within `pause` is neither a
    /// denial nor a proof.
    pub(crate) async fn current_version(
        &self,
        session: &Session,
        pause: Duration,
    ) -> Result<KeyVersion, ProviderError> {
        let answer = tokio::select! {
            answer = self.provider.describe(session) => answer?,
            () = self.clock.sleep(pause) => {
                let late = ProviderError::new(Fault::Unavailable, "the cloud did not describe the key in time");
                return Err(late.with_code(Some("DEADLINE")));
            }
        };
        let version = answer.value.current_version;
        match version.is_none() {
            true => Err(ProviderError::new(Fault::Unavailable, "the cloud's answer names no version")),
            false => Ok(version),
        }
    }

    /// Tells a tenant's denial from a failure of our own identity, which only a refusal of the first hop can be.
    async fn judge(&self, error: Arc<ProviderError>, reach: Reach, on_suspicion: impl FnOnce()) -> Outcome {
        let first_hop = matches!(error.fault(), Fault::Denied { edge: Edge::Trust { hop: 0 } });
        let Some(sentinel) = self.sentinel.as_ref().filter(|_| first_hop) else {
            return Outcome::Denied { error, reach };
        };
        on_suspicion();
        match sentinel.ask().await {
            Verdict::OurFault => Outcome::Masked(error),
            Verdict::TenantsWord => Outcome::Denied { error, reach },
        }
    }
}

impl From<LeaseError> for Failure {
    fn from(error: LeaseError) -> Self {
        Self { error, reach: Reach::Version }
    }
}

impl Failure {
    /// That the principal may not be had, or may not use the key, is so for every version. That the key cannot be used is
    /// said of one.
    fn of_binding(error: LeaseError) -> Self {
        let of_principal = matches!(&error, LeaseError::Denied(error) if is_of_principal(error));
        Self { error, reach: if of_principal { Reach::Binding } else { Reach::Version } }
    }

    /// A caller chose what was to be opened. That it is no good, or that the principal may not use the key for it, because a
    /// policy could forbid its context, is said of that alone.
    fn of_loan(error: LeaseError) -> Self {
        let of_loan = match &error {
            LeaseError::Denied(error) => is_of_principal(error),
            error => matches!(error, LeaseError::Rejected(_)),
        };
        Self { error, reach: if of_loan { Reach::Loan } else { Reach::Version } }
    }
}

/// Whether the denial is of the principal, who may not be had or may not use the key, and not of one version of the key.
pub(crate) fn is_of_principal(error: &ProviderError) -> bool {
    matches!(error.fault(), Fault::Denied { edge: Edge::Trust { .. } | Edge::Key })
}

fn late() -> LeaseError {
    let late = ProviderError::new(Fault::Unavailable, "the proof was not complete within its deadline");
    LeaseError::Unavailable(Arc::new(late.with_code(Some("DEADLINE"))))
}
