//! The way out: connections of its own for every session, nothing repeated, no deadline.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use azure_core::http::{ClientOptions, HttpClient, RetryOptions, Transport};
use leasehold_provider::{Fault, ProviderError};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;

use crate::cloud::Cloud;
use crate::config::AzureConfigError;
use crate::endpoint::{Target, Targets};
use crate::transport::{Bounded, Platform, TokenEndpoint};

/// How long an idle connection is kept, if its session lasts longer: one that is idle is closed before twice as long. 1 s: a
/// busy session finds one open, and a key is in no buffer 5 s after its use, on a busy machine too. Whoever asks less often
/// waits for a handshake, some milliseconds in a region.
const POOL_IDLE: Duration = Duration::from_secs(1);

/// Idle connections kept per host. 64: as many as one tenant may use at a time; more would only be kept for a burst.
const POOL_SIZE: usize = 64;

/// Pools of connections, and the options of the SDK's clients that use them.
///
/// The buffers of a connection keep what it carried for as long as it is open: keys, and the token of a session, in each
/// request and in the answer that issues it. So each session has connections of its own that are closed with it, and is
/// issued over one that is closed at once (promise P4). That is two handshakes for each proof.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    /// Reading the machine's roots takes longer than all else that makes a pool.
    tls: rustls::ClientConfig,
    targets: Targets,
    cloud: Cloud,
    /// For our own identity.
    http: Arc<dyn HttpClient>,
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
        let failed = |error: rustls::Error| AzureConfigError::Tls(Box::new(error));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider)).map_err(failed)?;
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        // What a session could be resumed with would outlive its connection (promise P4).
        tls.resumption = Resumption::disabled();
        let http = pool(&tls, cloud, &targets).map_err(|e| AzureConfigError::Tls(Box::new(e)))?;
        Ok(Self { tls, targets, cloud, http })
    }

    fn pool(&self) -> Result<Arc<dyn HttpClient>, ProviderError> {
        let unmade = |_| ProviderError::new(Fault::Unavailable, "a client could not be set up");
        pool(&self.tls, self.cloud, &self.targets).map_err(unmade)
    }

    /// Options of a client for a vault, with connections of its own.
    pub(crate) fn options(&self) -> Result<ClientOptions, ProviderError> {
        Ok(self.over(self.pool()?))
    }

    /// Options of a client for Entra ID, with connections of its own, and what it notes of the last answer.
    pub(crate) fn token_endpoint(&self) -> Result<(ClientOptions, Arc<TokenEndpoint>), ProviderError> {
        let endpoint = Arc::new(TokenEndpoint::new(self.pool()?));
        let http: Arc<dyn HttpClient> = endpoint.clone();
        Ok((self.over(http), endpoint))
    }

    /// Options of a client for the platform's own identity.
    pub(crate) fn managed_identity(&self) -> ClientOptions {
        let instead = self.targets.managed_identity.clone();
        self.over(Arc::new(Platform::new(Arc::clone(&self.http), instead)))
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

fn pool(
    tls: &rustls::ClientConfig,
    cloud: Cloud,
    targets: &Targets,
) -> Result<Arc<dyn HttpClient>, reqwest::Error> {
    let client = reqwest::Client::builder()
        // Nothing of the environment decides where a wrap goes: neither a proxy nor a redirect.
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_backend_preconfigured(tls.clone())
        .dns_resolver(Arc::new(Redirecting { cloud, targets: targets.clone() }))
        // One request at a time on a connection, so that an answer is never in a buffer with another's.
        .http1_only()
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(POOL_SIZE)
        .build()?;
    Ok(Arc::new(Bounded::new(Arc::new(client))))
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

/// PEM certificates that are known to be good, and some.
async fn read_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, AzureConfigError> {
    let pem = tokio::fs::read(path)
        .await
        .map_err(|source| AzureConfigError::UnreadableRoots { path: path.to_owned(), source })?;
    let bad = || AzureConfigError::BadRoots { path: path.to_owned() };
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| bad())?;
    let (added, ignored) = rustls::RootCertStore::empty().add_parsable_certificates(certificates.clone());
    if added == 0 || ignored > 0 {
        return Err(bad());
    }
    Ok(certificates)
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
