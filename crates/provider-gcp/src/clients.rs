//! The clients: connections of its own for every session, nothing cached, nothing repeated, no deadline.

use google_cloud_kms_v1::client::KeyManagementService;
use leasehold_provider::{Fault, ProviderError};

use crate::base::Base;
use crate::config::{GcpConfig, GcpConfigError};
use crate::endpoint;
use crate::kms::Direct;
use crate::transport::Pools;

/// Clients for all that we ask of GCP.
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) base: Base,
    pools: Pools,
    /// Without a slash at the end.
    pub(crate) iam_credentials: String,
    pub(crate) kms: KeyManagementService,
}

impl Clients {
    pub(crate) fn build(config: &GcpConfig) -> Result<Self, GcpConfigError> {
        let resolved = endpoint::resolve(config, |name| std::env::var(name).ok())?;
        let pools = Pools::new()?;
        let base = Base::new(config, &resolved, pools.make()?)?;
        // One client serves all tenants, and each call brings its session.
        let kms = KeyManagementService::from_stub(Direct { url: resolved.kms });
        Ok(Self { base, pools, iam_credentials: resolved.iam_credentials, kms })
    }

    /// Connections for one session, or for the one call that issues it.
    pub(crate) fn pool(&self) -> Result<reqwest::Client, ProviderError> {
        let unmade = |_| ProviderError::new(Fault::Unavailable, "a client could not be set up");
        self.pools.make().map_err(unmade)
    }
}
