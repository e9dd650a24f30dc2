//! The clients: one pool of connections per service, nothing cached, nothing repeated, no deadline.

use std::fmt;

use google_cloud_auth::credentials::{CacheableResource, CredentialsProvider, EntityTag};
use google_cloud_auth::errors::CredentialsError;
use google_cloud_gax::retry_policy::NeverRetry;
use google_cloud_kms_v1::client::KeyManagementService;
use http::{Extensions, HeaderMap, HeaderValue};

use crate::base::{Base, Token};
use crate::call::CallId;
use crate::config::{GcpConfig, GcpConfigError};
use crate::endpoint;
use leasehold_ids::TenantId;

tokio::task_local! {
    /// The headers of the one call to Cloud KMS that the task makes just now.
    static SENT: HeaderMap;
}

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
    pub(crate) async fn build(config: &GcpConfig) -> Result<Self, GcpConfigError> {
        let resolved = endpoint::resolve(config, |name| std::env::var(name).ok())?;
        let http = crate::transport::client()?;
        let base = Base::new(config, &resolved, http.clone())?;
        // A client costs a pool of connections, so one serves all tenants, and each call brings its session.
        let kms = KeyManagementService::builder()
            .with_endpoint(&resolved.kms)
            .with_credentials(google_cloud_auth::credentials::Credentials::from(OfTheTask))
            .with_retry_policy(NeverRetry)
            .build()
            .await
            .map_err(|error| GcpConfigError::Client(Box::new(error)))?;
        Ok(Self { base, http, iam_credentials: resolved.iam_credentials, kms })
    }
}

/// Runs `call`, which makes one call to Cloud KMS, with this session's token and under this id.
pub(crate) async fn signed<F: Future>(token: &Token, tenant: &TenantId, id: &CallId, call: F) -> F::Output {
    let mut headers = id.headers(Some(tenant));
    headers.extend(bearer(token));
    SENT.scope(headers, call).await
}

/// `Authorization` for `token`; nothing if it has characters that no token has, and the cloud refuses the call then.
pub(crate) fn bearer(token: &Token) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let text = zeroize::Zeroizing::new(format!("Bearer {}", token.expose()));
    if let Ok(mut value) = HeaderValue::from_str(&text) {
        value.set_sensitive(true);
        headers.insert(http::header::AUTHORIZATION, value);
    }
    headers
}

/// The credentials of whichever call the task makes.
struct OfTheTask;

impl CredentialsProvider for OfTheTask {
    async fn headers(&self, _: Extensions) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        let data =
            SENT.try_with(Clone::clone).map_err(|_| CredentialsError::from_msg(false, "no session"))?;
        Ok(CacheableResource::New { entity_tag: EntityTag::new(), data })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

impl fmt::Debug for OfTheTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfTheTask")
    }
}
