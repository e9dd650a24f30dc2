//! The one list of clouds.

use std::sync::Arc;
use std::time::SystemTime;

use leasehold_clock::TimeSource;
use leasehold_envelope::{EncryptionContext, Hierarchy};
use leasehold_ids::{BindingName, DeploymentId, IdError, ProviderKind};
use leasehold_lease::Providers;
use leasehold_provider::{Guarded, KeyProvider, Limits};
use leasehold_provider_aws::{AwsConfigError, AwsProvider};
use leasehold_secret::Arena;
use leasehold_tenant::{Binding, ExternalId, NewBinding, RESERVED_PREFIX};

use crate::config;

/// A cloud's settings cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvidersError {
    /// AWS's.
    #[error("the settings of providers.aws cannot work")]
    Aws(#[source] AwsConfigError),
    /// A sentinel's settings cannot work.
    #[error("the sentinel for {provider} cannot work")]
    Sentinel {
        /// Which cloud.
        provider: ProviderKind,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No cloud is configured, so no binding could ever work.
    #[error("no cloud is enabled: configure providers.aws")]
    None,
}

/// The clouds that are configured, each with the same deadlines, retries and budgets around it.
pub(crate) async fn build(
    config: config::Providers,
    arena: &Arena,
    clock: &Arc<dyn TimeSource>,
) -> Result<Providers, ProvidersError> {
    let mut clouds: Vec<Arc<dyn KeyProvider>> = Vec::new();
    if let Some(aws) = config.aws {
        clouds.push(Arc::new(AwsProvider::build(aws, arena.clone()).await.map_err(ProvidersError::Aws)?));
    }
    if clouds.is_empty() {
        return Err(ProvidersError::None);
    }
    let guarded =
        |cloud| Arc::new(Guarded::new(cloud, Arc::clone(clock), Limits::default())) as Arc<dyn KeyProvider>;
    Ok(Providers::new(clouds.into_iter().map(guarded)))
}

/// `providers` with the operator's sentinels.
pub(crate) fn with_sentinels(
    providers: Providers,
    sentinels: Vec<config::Sentinel>,
    deployment: &DeploymentId,
    clock: &Arc<dyn TimeSource>,
) -> Result<Providers, ProvidersError> {
    sentinels.into_iter().try_fold(providers, |providers, sentinel| {
        let provider = sentinel.provider.clone();
        let cannot = |source| ProvidersError::Sentinel { provider: provider.clone(), source };
        let binding = binding(sentinel, deployment, clock.wall()).map_err(|error| cannot(error.into()))?;
        let cloud = providers.get(&binding.provider).map_err(|error| cannot(error.into()))?;
        cloud.check(&binding).map_err(|error| cannot(error.into()))?;
        tracing::info!(provider = %binding.provider, external_id = %binding.external_id, "sentinel");
        Ok(providers.with_sentinel(binding))
    })
}

/// The binding that a sentinel is; it is in no registry.
fn binding(
    sentinel: config::Sentinel,
    deployment: &DeploymentId,
    now: SystemTime,
) -> Result<Binding, IdError> {
    let name: BindingName =
        format!("tenants/{RESERVED_PREFIX}sentinel/bindings/{}", sentinel.provider).parse()?;
    let new = NewBinding {
        provider: sentinel.provider,
        key: sentinel.key,
        settings: sentinel.settings,
        canary_context: EncryptionContext::empty(),
        hierarchy: Hierarchy::Direct,
    };
    let external_id = ExternalId::derive(deployment, &name);
    Ok(Binding::pending(name, new, external_id, now))
}
