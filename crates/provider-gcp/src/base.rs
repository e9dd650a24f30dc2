//! Who we are before we become anybody: a token of our own.
//!
//! Google's client fetches a token as soon as it is made, renews it in the background for ever, and stays dead after a single
//! refusal. So a client of it lives for one token here, on a runtime of its own that ends its background task with it; when
//! to ask again is decided by us.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use google_cloud_auth::credentials::{AccessTokenCredentials, Builder, external_account, mds};
use leasehold_provider::{Fault, ProviderError};
use serde_json::Value;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::call::CallId;
use crate::config::{BaseIdentity, GcpConfig, GcpConfigError};
use crate::endpoint::{self, Resolved};
use crate::error::{Call, Refusal, base_failure};
use crate::name::Principal;
use crate::transport::read;

/// What our own token may do: ask for tenants' tokens, and use the operator's own keys.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// How long a token of our own is used. 240 s: every source gives one that lasts 300 s at least (the metadata server renews
/// its own 300 s before the end), and the last call that starts with it has a minute left.
const KEEP: Duration = Duration::from_secs(240);

/// Longest that one fetch may take. 10 s: beyond the total deadline of any call that waits for it; it bounds the thread.
const FETCH: Duration = Duration::from_secs(10);

/// Fetches at the same time. 4: one is usual; more only when tokens are refused in quick succession.
const FETCHES: usize = 4;

/// An access token. Wiped when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Token(Arc<Zeroizing<String>>);

impl Token {
    pub(crate) fn new(token: Zeroizing<String>) -> Self {
        Self(Arc::new(token))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

/// Our own identity.
pub(crate) struct Base {
    source: Source,
    principal: Option<Principal>,
    /// The metadata server, if it is what knows our name.
    metadata: Option<String>,
    http: reqwest::Client,
    fetches: Arc<Semaphore>,
    kept: Mutex<Option<Kept>>,
}

/// Where our tokens come from.
#[derive(Clone)]
enum Source {
    Ambient,
    Metadata {
        endpoint: String,
    },
    /// A credentials file of type `external_account`, with our endpoints in it.
    Federated(Arc<Value>),
    Fixed(Token),
}

struct Kept {
    token: Token,
    since: std::time::Instant,
}

// === impl Base ===

impl Base {
    pub(crate) fn new(
        config: &GcpConfig,
        resolved: &Resolved,
        http: reqwest::Client,
    ) -> Result<Self, GcpConfigError> {
        let mut principal = config.principal.clone();
        let mut metadata = None;
        let source = match &config.identity {
            BaseIdentity::Fixed(token) => Source::Fixed(Token::new(token.0.clone())),
            BaseIdentity::Metadata => {
                metadata = Some(resolved.metadata.clone());
                Source::Metadata { endpoint: resolved.metadata.clone() }
            }
            BaseIdentity::WorkloadIdentityFederation { file } => {
                let account = read_external_account(file, config, resolved)?;
                principal = principal.or_else(|| named_in(&account));
                Source::Federated(Arc::new(account))
            }
            BaseIdentity::Ambient => match ambient_file()? {
                Some((path, credentials)) => {
                    check_urls(&path, &credentials, config.danger_allow_endpoint_overrides)?;
                    principal = principal.or_else(|| named_in(&credentials));
                    Source::Ambient
                }
                // What the SDK would fall back to, but with our endpoint.
                None => {
                    metadata = Some(resolved.metadata.clone());
                    Source::Metadata { endpoint: resolved.metadata.clone() }
                }
            },
        };
        let fetches = Arc::new(Semaphore::new(FETCHES));
        Ok(Self { source, principal, metadata, http, fetches, kept: Mutex::default() })
    }

    /// A token that is good for a minute or more, unless it is revoked meanwhile; true if it was fetched just now.
    pub(crate) async fn token(&self) -> Result<(Token, bool), ProviderError> {
        if let Some(token) = self.kept() {
            return Ok((token, false));
        }
        self.fresh().await.map(|token| (token, true))
    }

    /// A token as fresh as its source gives one.
    pub(crate) async fn fresh(&self) -> Result<Token, ProviderError> {
        let token = self.fetch().await?;
        // The clock of a machine that was asleep may not have moved: a token that is too old then is refused, and fetched
        // anew by whoever finds out.
        #[expect(
            clippy::disallowed_methods,
            reason = "how long we keep our own token is no promise to anybody"
        )]
        let since = std::time::Instant::now();
        *self.lock() = Some(Kept { token: token.clone(), since });
        Ok(token)
    }

    /// What policies must call us.
    pub(crate) async fn principal(&self) -> Result<Principal, ProviderError> {
        if let Some(principal) = &self.principal {
            return Ok(principal.clone());
        }
        let Some(metadata) = &self.metadata else {
            return Err(ProviderError::new(
                Fault::OwnIdentity,
                "nothing says what our own principal is called: set gcp.principal",
            ));
        };
        let id = CallId::new();
        let url = format!("{metadata}/computeMetadata/v1/instance/service-accounts/default/email");
        let sent = self.http.get(url).header("metadata-flavor", "Google").send().await;
        let (status, headers, body) = read(sent, &id).await?;
        if !status.is_success() {
            return Err(no_email(status.as_u16(), &Refusal::read(status.as_u16(), &headers, &body), &id));
        }
        let email = std::str::from_utf8(&body).ok().map(str::trim);
        email.and_then(|email| email.parse().ok()).ok_or_else(|| {
            ProviderError::new(Fault::Unavailable, "the metadata server's answer is not a service account")
        })
    }

    fn kept(&self) -> Option<Token> {
        let kept = self.lock();
        kept.as_ref().filter(|kept| kept.since.elapsed() < KEEP).map(|kept| kept.token.clone())
    }

    async fn fetch(&self) -> Result<Token, ProviderError> {
        if let Source::Fixed(token) = &self.source {
            return Ok(token.clone());
        }
        let place = Arc::clone(&self.fetches).acquire_owned().await;
        let source = self.source.clone();
        let fetched = tokio::task::spawn_blocking(move || {
            let _place = place;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime =
                runtime.map_err(|_| broken("no runtime could be made to fetch our own token on"))?;
            runtime.block_on(async {
                match tokio::time::timeout(FETCH, source.token()).await {
                    Ok(token) => token,
                    Err(_) => Err(ProviderError::new(
                        Fault::Unavailable,
                        "the source of our own identity did not answer in time",
                    )),
                }
            })
        });
        fetched.await.unwrap_or_else(|_| Err(broken("fetching our own token ended early")))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Kept>> {
        // One value, replaced as a whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Base").field("principal", &self.principal).finish_non_exhaustive()
    }
}

// === impl Source ===

impl Source {
    async fn token(&self) -> Result<Token, ProviderError> {
        let credentials = match self {
            Self::Fixed(token) => return Ok(token.clone()),
            Self::Ambient => Builder::default().with_scopes([SCOPE]).build_access_token_credentials(),
            Self::Metadata { endpoint } => mds::Builder::default()
                .with_endpoint(endpoint)
                .with_scopes([SCOPE])
                .build_access_token_credentials(),
            Self::Federated(account) => external_account::Builder::new(account.as_ref().clone())
                .with_scopes([SCOPE])
                .build_access_token_credentials(),
        };
        // What it says may quote the file.
        let credentials: AccessTokenCredentials = credentials
            .map_err(|_| ProviderError::new(Fault::OwnIdentity, "our own credentials could not be read"))?;
        let token = credentials.access_token().await.map_err(|error| base_failure(&error))?;
        Ok(Token::new(Zeroizing::new(token.token)))
    }
}

/// Why the metadata server does not say who we are.
fn no_email(status: u16, refusal: &Refusal, id: &CallId) -> ProviderError {
    if status == 404 {
        let error = ProviderError::new(Fault::OwnIdentity, "the machine has no service account");
        return error.with_code(Some("NOT_FOUND"));
    }
    refusal.failure(Call::WhoAmI, 0, id)
}

fn read_external_account(
    path: &Path,
    config: &GcpConfig,
    resolved: &Resolved,
) -> Result<Value, GcpConfigError> {
    let mut account = read_json(path)?;
    let is_external = account.get("type").and_then(Value::as_str) == Some("external_account");
    let Some(fields) = account.as_object_mut().filter(|_| is_external) else {
        return Err(GcpConfigError::BadCredentials {
            path: path.to_owned(),
            reason: "its type is not external_account",
        });
    };
    if let Some(sts) = &resolved.sts {
        fields.insert("token_url".to_owned(), format!("{sts}/v1/token").into());
    }
    if config.endpoints.iam_credentials.is_some() {
        let url = fields.get("service_account_impersonation_url").and_then(Value::as_str);
        if let Some(email) = url.and_then(impersonated) {
            let url = format!(
                "{}/v1/projects/-/serviceAccounts/{email}:generateAccessToken",
                resolved.iam_credentials
            );
            fields.insert("service_account_impersonation_url".to_owned(), url.into());
        }
    }
    check_urls(path, &account, config.danger_allow_endpoint_overrides)?;
    Ok(account)
}

/// The file that the SDK would take application default credentials from, if there is one.
fn ambient_file() -> Result<Option<(std::path::PathBuf, Value)>, GcpConfigError> {
    if let Some(path) = std::env::var_os("GOOGLE_APPLICATION_CREDENTIALS") {
        let path = std::path::PathBuf::from(path);
        return read_json(&path).map(|file| Some((path, file)));
    }
    let Some(home) = std::env::var_os("HOME") else { return Ok(None) };
    let path = Path::new(&home).join(".config/gcloud/application_default_credentials.json");
    match read_json(&path) {
        Ok(file) => Ok(Some((path, file))),
        Err(GcpConfigError::UnreadableCredentials { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn read_json(path: &Path) -> Result<Value, GcpConfigError> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text =
        text.map_err(|source| GcpConfigError::UnreadableCredentials { path: path.to_owned(), source })?;
    // The parser's words may quote the file, which holds secrets.
    serde_json::from_str(&text)
        .map_err(|_| GcpConfigError::BadCredentials { path: path.to_owned(), reason: "it is not JSON" })
}

/// That tokens of ours are sent to nobody but Google, whatever the file says.
fn check_urls(path: &Path, credentials: &Value, danger: bool) -> Result<(), GcpConfigError> {
    for (field, service) in [
        ("token_url", "sts"),
        ("token_uri", "oauth"),
        ("service_account_impersonation_url", "iam_credentials"),
    ] {
        match credentials.get(field) {
            None => {}
            Some(Value::String(url)) => endpoint::check_url(service, url, danger)?,
            Some(_) => {
                return Err(GcpConfigError::BadCredentials {
                    path: path.to_owned(),
                    reason: "one of its URLs is not text",
                });
            }
        }
    }
    Ok(())
}

/// Who a credentials file makes us, if it says so.
fn named_in(credentials: &Value) -> Option<Principal> {
    let text = |field| credentials.get(field).and_then(Value::as_str);
    let email =
        text("service_account_impersonation_url").and_then(impersonated).or_else(|| text("client_email"));
    email?.parse().ok()
}

/// The email in a URL of generateAccessToken.
fn impersonated(url: &str) -> Option<&str> {
    url.rsplit_once("/serviceAccounts/")?.1.strip_suffix(":generateAccessToken")
}

fn broken(detail: &str) -> ProviderError {
    ProviderError::new(Fault::Unavailable, detail)
}

#[cfg(test)]
#[path = "base_tests.rs"]
mod tests;
