//! The way out: one pool of connections for all that we ask of Azure, nothing repeated, no deadline.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use azure_core::http::{ClientOptions, HttpClient, RetryOptions, Transport, Url};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::cloud::Cloud;
use crate::config::AzureConfigError;
use crate::endpoint::{Target, Targets};
use crate::transport::{Bounded, Platform, TokenEndpoint};

/// How long an idle connection is kept. 30 s: a proof of a tenant in use comes every 7 s to 30 min, so most calls of a
/// busy deployment find one open, while buffers that carried plaintext do not outlive their use for long.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// Idle connections kept per host. 64: as many as one tenant may use at a time; more would only be kept for a burst.
const POOL_SIZE: usize = 64;

/// One pool of connections, and the options of the SDK's clients that use it.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    http: Arc<dyn HttpClient>,
    cloud: Cloud,
    managed_identity: Option<Url>,
}

impl Clients {
    pub(crate) async fn build(
        cloud: Cloud,
        targets: Targets,
        extra_roots: &[PathBuf],
    ) -> Result<Self, AzureConfigError> {
        let mut roots = Vec::new();
        for path in extra_roots {
            roots.extend(read_roots(path).await?);
        }
        let managed_identity = targets.managed_identity.clone();
        let client = reqwest::Client::builder()
            // Nothing of the environment decides where a wrap goes: neither a proxy nor a redirect.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_merge(roots)
            .dns_resolver(Arc::new(Redirecting { cloud, targets }))
            // One request at a time on a connection, so that one tenant's answer is never in a buffer with another's.
            .http1_only()
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_SIZE)
            .build()
            .map_err(|e| AzureConfigError::Tls(Box::new(e)))?;
        Ok(Self { http: Arc::new(Bounded::new(Arc::new(client))), cloud, managed_identity })
    }

    /// Options of a client for a vault.
    pub(crate) fn options(&self) -> ClientOptions {
        self.over(Arc::clone(&self.http))
    }

    /// Options of a client for Entra ID, and what it notes of the last answer.
    pub(crate) fn token_endpoint(&self) -> (ClientOptions, Arc<TokenEndpoint>) {
        let endpoint = Arc::new(TokenEndpoint::new(Arc::clone(&self.http)));
        let http: Arc<dyn HttpClient> = endpoint.clone();
        (self.over(http), endpoint)
    }

    /// Options of a client for the platform's own identity.
    pub(crate) fn managed_identity(&self) -> ClientOptions {
        self.over(Arc::new(Platform::new(Arc::clone(&self.http), self.managed_identity.clone())))
    }

    fn over(&self, http: Arc<dyn HttpClient>) -> ClientOptions {
        ClientOptions {
            transport: Some(Transport::new(http)),
            // The SDK's retries know nothing of our deadlines and budgets.
            retry: RetryOptions::none(),
            // Never left out: without it the SDK takes the authority from AZURE_AUTHORITY_HOST.
            cloud: Some(Arc::new(self.cloud.configuration())),
            ..ClientOptions::default()
        }
    }
}

// === impl Redirecting ===

/// Finds the addresses of hosts: elsewhere for those that the configuration redirects, as ever for all others. TLS and the
/// request's Host go by the name that was asked for, so a redirected connection is still one to the cloud's own name.
#[derive(Debug)]
struct Redirecting {
    cloud: Cloud,
    targets: Targets,
}

impl Redirecting {
    fn target(&self, host: &str) -> Option<&Target> {
        let is_under = |suffix: &str| host.strip_suffix(suffix).is_some_and(|vault| vault.ends_with('.'));
        if host == self.cloud.authority() {
            self.targets.entra.as_ref()
        } else if is_under(self.cloud.vault_suffix()) || is_under(self.cloud.hsm_suffix()) {
            self.targets.key_vault.as_ref()
        } else {
            None
        }
    }
}

impl Resolve for Redirecting {
    fn resolve(&self, name: Name) -> Resolving {
        let target = self.target(name.as_str()).cloned();
        // Port 0 leaves the port to the URL.
        let target = target.unwrap_or_else(|| Target { host: name.as_str().to_owned(), port: 0 });
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((target.host.as_str(), target.port)).await?.collect();
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

/// PEM certificates that are known to be good: reqwest takes a file with none without a word.
async fn read_roots(path: &Path) -> Result<Vec<reqwest::Certificate>, AzureConfigError> {
    let pem = tokio::fs::read(path)
        .await
        .map_err(|source| AzureConfigError::UnreadableRoots { path: path.to_owned(), source })?;
    let bad = || AzureConfigError::BadRoots { path: path.to_owned() };
    let certificates: Vec<CertificateDer<'_>> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| bad())?;
    let (added, ignored) = rustls::RootCertStore::empty().add_parsable_certificates(certificates.clone());
    if added == 0 || ignored > 0 {
        return Err(bad());
    }
    certificates.iter().map(|der| reqwest::Certificate::from_der(der).map_err(|_| bad())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_entra_and_vaults_are_redirected() {
        let target = |port| Some(Target { host: "127.0.0.1".to_owned(), port });
        let targets = Targets { entra: target(1), key_vault: target(2), managed_identity: None };
        let redirecting = Redirecting { cloud: Cloud::Public, targets };
        for (host, port) in [
            ("login.microsoftonline.com", Some(1)),
            ("v.vault.azure.net", Some(2)),
            ("v.managedhsm.azure.net", Some(2)),
            ("vault.azure.net", None),
            ("evilvault.azure.net", None),
            ("v.vault.azure.cn", None),
            ("login.microsoftonline.us", None),
            ("example.com", None),
        ] {
            assert_eq!(redirecting.target(host).map(|target| target.port), port, "{host}");
        }
    }
}
