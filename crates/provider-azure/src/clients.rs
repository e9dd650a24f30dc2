//! The way out: one pool of connections for all that we ask of Azure, nothing repeated, no deadline.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::error::{Error, ErrorKind};
use azure_core::http::headers::{AUTHORIZATION, HeaderName, Headers, WWW_AUTHENTICATE};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{
    AsyncRawResponse, ClientOptions, Context, HttpClient, Request, RetryOptions, StatusCode, Transport, Url,
};
use azure_core::{Bytes, Result};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::cloud::Cloud;
use crate::config::AzureConfigError;
use crate::endpoint::{Target, Targets};

/// How long an idle connection is kept. 30 s: a proof of a tenant in use comes every 7 s to 30 min, so most calls of a
/// busy deployment find one open, while buffers that carried plaintext do not outlive their use for long.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// Idle connections kept per host. 64: as many as one tenant may use at a time; more would only be kept for a burst.
const POOL_SIZE: usize = 64;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const RETRY_AFTER: HeaderName = HeaderName::from_static("retry-after");

/// Where the SDK asks for a managed identity's token on a virtual machine.
const IMDS_HOST: &str = "169.254.169.254";

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
    ) -> std::result::Result<Self, AzureConfigError> {
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
        Ok(Self { http: Arc::new(client), cloud, managed_identity })
    }

    /// Options of a client for a vault.
    pub(crate) fn options(&self) -> ClientOptions {
        self.over(Arc::clone(&self.http))
    }

    /// Options of a client for Entra ID, and what it notes of the last answer.
    pub(crate) fn noting(&self) -> (ClientOptions, Arc<Noting>) {
        let noting = Arc::new(Noting { inner: Arc::clone(&self.http), last: Mutex::default() });
        let http: Arc<dyn HttpClient> = noting.clone();
        (self.over(http), noting)
    }

    /// Options of a client for the platform's own identity.
    pub(crate) fn managed_identity(&self) -> ClientOptions {
        let (inner, instead) = (Arc::clone(&self.http), self.managed_identity.clone());
        self.over(Arc::new(Platform { inner, instead }))
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

// === impl Noting ===

/// What the head of an answer says, whatever becomes of its body.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) request_id: Option<Box<str>>,
    pub(crate) retry_after: Option<String>,
}

impl Head {
    pub(crate) fn of(status: StatusCode, headers: &Headers) -> Self {
        let text = |name| headers.get_optional_str(name).map(str::to_owned);
        Self {
            status: status.into(),
            request_id: text(&REQUEST_ID).map(Into::into),
            retry_after: text(&RETRY_AFTER),
        }
    }
}

/// Notes the head of each answer: the SDK's credentials return a token, or an error that may have lost it.
#[derive(Debug)]
pub(crate) struct Noting {
    inner: Arc<dyn HttpClient>,
    last: Mutex<Option<Head>>,
}

impl Noting {
    /// The head of the last answer, if there was one.
    pub(crate) fn last(&self) -> Option<Head> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl HttpClient for Noting {
    async fn execute_request(&self, request: &Request) -> Result<AsyncRawResponse> {
        let answer = self.inner.execute_request(request).await?;
        let head = Head::of(answer.status(), answer.headers());
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
        Ok(answer)
    }
}

// === impl Platform ===

/// Asks the platform for its identity's token, once: the SDK's credential would repeat what fails for 72 s, whatever its
/// options say, while our own deadline is 2 s and a lease may be 15 s long.
#[derive(Debug)]
struct Platform {
    inner: Arc<dyn HttpClient>,
    instead: Option<Url>,
}

impl Platform {
    fn redirected(&self, request: &Request) -> Option<Request> {
        let instead = self.instead.as_ref().filter(|_| request.url().host_str() == Some(IMDS_HOST))?;
        let mut url = instead.clone();
        url.set_path(request.url().path());
        url.set_query(request.url().query());
        let mut request = request.clone();
        *request.url_mut() = url;
        Some(request)
    }
}

#[async_trait]
impl HttpClient for Platform {
    async fn execute_request(&self, request: &Request) -> Result<AsyncRawResponse> {
        let redirected = self.redirected(request);
        let answer = self.inner.execute_request(redirected.as_ref().unwrap_or(request)).await;
        // An error of this kind is not repeated; one of input and output, or an answer with such a status, is.
        let answer = answer.map_err(|error| Error::with_error(ErrorKind::Other, error, "not answered"))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let raw = answer.try_into_raw_response().await?;
        let (status, raw) = (raw.status(), Some(Box::new(raw)));
        let kind = ErrorKind::HttpResponse { status, error_code: None, raw_response: raw };
        Err(Error::with_message(kind, "refused"))
    }
}

// === impl Introduced ===

/// Answers a request without a token as the vault would, without asking it.
///
/// The SDK's client sends its first request bare, to be told which token the vault wants. Every proof has a session and so a
/// client of its own, so every proof would make two requests and leave two events in the tenant's log, one of them a
/// refusal. We know which token a vault of our cloud wants; a vault that wants another refuses ours.
#[derive(Debug)]
pub(crate) struct Introduced {
    challenge: String,
}

impl Introduced {
    /// For vaults that take tokens for `resource`.
    pub(crate) fn new(cloud: Cloud, resource: &str) -> Self {
        Self {
            challenge: format!(
                "Bearer authorization=\"https://{}\", resource=\"{resource}\"",
                cloud.authority()
            ),
        }
    }
}

#[async_trait]
impl Policy for Introduced {
    async fn send(&self, context: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        if request.headers().get_optional_str(&AUTHORIZATION).is_none() {
            let mut headers = Headers::new();
            headers.insert(WWW_AUTHENTICATE, self.challenge.clone());
            return Ok(AsyncRawResponse::from_bytes(StatusCode::Unauthorized, headers, Bytes::new()));
        }
        match next.split_first() {
            Some((first, rest)) => first.send(context, request, rest).await,
            None => Err(Error::with_message(ErrorKind::Other, "no transport follows")),
        }
    }
}

/// PEM certificates that are known to be good: reqwest takes a file with none without a word.
async fn read_roots(path: &Path) -> std::result::Result<Vec<reqwest::Certificate>, AzureConfigError> {
    let pem = tokio::fs::read(path)
        .await
        .map_err(|source| AzureConfigError::UnreadableRoots { path: path.to_owned(), source })?;
    let bad = || AzureConfigError::BadRoots { path: path.to_owned() };
    let certificates: Vec<CertificateDer<'_>> =
        CertificateDer::pem_slice_iter(&pem).collect::<std::result::Result<_, _>>().map_err(|_| bad())?;
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
