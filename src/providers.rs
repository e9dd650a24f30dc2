//! The one list of clouds.

use std::sync::Arc;

use leasehold_clock::TimeSource;
use leasehold_lease::Providers;
use leasehold_provider::{Guarded, KeyProvider, Limits};
use leasehold_provider_aws::{AwsConfigError, AwsProvider};
use leasehold_secret::Arena;

use crate::config;

/// A cloud's settings cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvidersError {
    /// AWS's.
    #[error("the settings of providers.aws cannot work")]
    Aws(#[source] AwsConfigError),
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
