//! The cloud's part of activating a binding: prove that it works, and that it works for nobody else.

use std::sync::Arc;

use leasehold_envelope::{KeyVersion, WrappedKey};
use leasehold_provider::{ProviderError, Warning};

use crate::canary::Canary;
use crate::flights::Urgency;
use crate::{LeaseError, Leases, Subject};

/// What a binding needs to become ACTIVE.
#[derive(Debug, Clone)]
pub struct Activation {
    /// The canary that every later proof unwraps.
    pub canary: WrappedKey,
    /// The version of the key that the canary was wrapped under; empty where the cloud has none.
    pub key_version: KeyVersion,
    /// What the tenant should know about the key.
    pub warnings: Vec<Warning>,
}

impl Leases {
    /// Becomes the binding's principal, makes sure that nobody else can through us, looks at the key, and wraps and
    /// unwraps a canary. Changes nothing and holds nothing.
    ///
    /// # Errors
    /// What stands in the way.
    pub async fn check_activation(&self, subject: &Subject) -> Result<Activation, LeaseError> {
        let (hub, binding) = (self.hub(), &subject.binding);
        let prover = hub.prover(&binding.provider)?;
        let provider = prover.provider.as_ref();
        let failed = |error: ProviderError| LeaseError::from_proof(Arc::new(error));
        provider.check(binding).map_err(failed)?;
        prover.budget.turn(Urgency::Needed { by: hub.clock.now() }, subject.tenant()).await;
        let session = provider.assume(binding).await.map_err(failed)?.value;
        provider.check_deputy(binding, &session).await.map_err(failed)?;
        let key = provider.describe(&session).await.map_err(failed)?.value;
        let (_, wrapped) =
            Canary::proven(provider, &session, binding, &key.current_version, &hub.arena).await?;
        Ok(Activation { canary: wrapped, key_version: key.current_version, warnings: key.warnings })
    }
}
