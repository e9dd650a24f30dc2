//! The clients: one pool of connections, nothing cached, nothing repeated, no deadline.

use google_cloud_kms_v1::client::KeyManagementService;

use crate::base::Base;
use crate::config::{GcpConfig, GcpConfigError};
use crate::endpoint;
use crate::kms::Direct;
use crate::transport;

/// Clients for all that we ask of GCP.
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) base: Base,
    pub(crate) http: reqwest::Client,
    /// Without a slash at the end.
    pub(crate) iam_credentials: String,
    pub(crate) kms: KeyManagementService,
}

impl Clients {
    pub(crate) fn build(config: &GcpConfig) -> Result<Self, GcpConfigError> {
        let resolved = endpoint::resolve(config, |name| std::env::var(name).ok())?;
        let http = transport::client()?;
        let base = Base::new(config, &resolved, http.clone())?;
        // One client serves all tenants, and each call brings its session.
        let kms = KeyManagementService::from_stub(Direct { http: http.clone(), url: resolved.kms });
        Ok(Self { base, http, iam_credentials: resolved.iam_credentials, kms })
    }
}
