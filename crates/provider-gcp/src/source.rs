//! Where tokens of our own come from.
//!
//! For credentials files we use Google's client. It fetches a token as soon as it is made, renews it in the background for
//! ever, and stays dead after a single refusal. So a client of it lives for one token here, on a runtime of its own that
//! ends its background task with it; when to ask again is decided by us.

use std::sync::Arc;
use std::time::Duration;

use google_cloud_auth::credentials::{AccessTokenCredentials, Builder, external_account};
use leasehold_provider::{Fault, ProviderError};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::error::base_failure;
use crate::metadata::MetadataServer;

/// What our own token may do: ask for tenants' tokens, and use the operator's own keys.
pub(crate) const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Longest that one fetch may take. 10 s: beyond the total deadline of any call that waits for it, so that a source that is
/// slower than that deadline serves the calls after it; and it bounds the thread.
const FETCH: Duration = Duration::from_secs(10);

/// An access token. Wiped when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Token(Arc<Zeroizing<String>>);

/// A token of our own, as its source gave it.
#[derive(Clone)]
pub(crate) struct Fetched {
    pub(crate) token: Token,
    /// For how long from when it was asked for, where the source says so.
    pub(crate) lasts: Option<Duration>,
}

/// Where our tokens come from.
#[derive(Clone)]
pub(crate) enum Source {
    /// The file of application default credentials.
    Ambient {
        /// The service account whose key signs our tokens, without anybody being asked.
        signs_as: Option<Box<str>>,
    },
    Metadata(MetadataServer),
    /// A credentials file of type `external_account`, with our endpoints in it.
    Federated(Arc<Value>),
    Fixed(Token),
}

// === impl Token ===

impl Token {
    pub(crate) fn new(token: Zeroizing<String>) -> Self {
        Self(Arc::new(token))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

// === impl Source ===

impl Source {
    /// A token as fresh as the source gives one, or why there is none, within [`FETCH`].
    pub(crate) async fn token(self) -> Result<Fetched, ProviderError> {
        match self {
            Self::Fixed(token) => Ok(Fetched { token, lasts: None }),
            Self::Metadata(server) => in_time(server.token()).await,
            Self::Ambient { .. } => {
                let credentials = || Builder::default().with_scopes([SCOPE]).build_access_token_credentials();
                of_googles_client(credentials).await
            }
            Self::Federated(account) => {
                let credentials = move || {
                    external_account::Builder::new(account.as_ref().clone())
                        .with_scopes([SCOPE])
                        .build_access_token_credentials()
                };
                of_googles_client(credentials).await
            }
        }
    }
}

/// A token of a client of Google's that lives for as long as this takes.
async fn of_googles_client<E>(
    credentials: impl FnOnce() -> Result<AccessTokenCredentials, E> + Send + 'static,
) -> Result<Fetched, ProviderError> {
    let fetched = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|_| broken("no runtime could be made to fetch our own token on"))?;
        let fetched = runtime.block_on(in_time(async {
            // What it says may quote the file.
            let credentials = credentials().map_err(|_| {
                ProviderError::new(Fault::OwnIdentity, "our own credentials could not be read")
            })?;
            let token = credentials.access_token().await.map_err(|error| base_failure(&error))?;
            Ok(Fetched { token: Token::new(Zeroizing::new(token.token)), lasts: None })
        }));
        // Dropped, it would wait without a limit for what cannot be cancelled: the operating system resolving a name.
        runtime.shutdown_background();
        fetched
    });
    fetched.await.unwrap_or_else(|_| Err(broken("fetching our own token ended early")))
}

async fn in_time(
    fetched: impl Future<Output = Result<Fetched, ProviderError>>,
) -> Result<Fetched, ProviderError> {
    let late = || broken("the source of our own identity did not answer in time");
    tokio::time::timeout(FETCH, fetched).await.unwrap_or_else(|_| Err(late()))
}

pub(crate) fn broken(detail: &str) -> ProviderError {
    ProviderError::new(Fault::Unavailable, detail)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn p9_a_fetch_waits_for_nothing_that_cannot_be_cancelled() {
        let (end, held) = mpsc::channel::<()>();
        let stuck = move || {
            tokio::task::spawn_blocking(move || held.recv());
            Err::<AccessTokenCredentials, ()>(())
        };
        let refused = of_googles_client(stuck).await.err().unwrap();
        assert_eq!(refused.fault(), &Fault::OwnIdentity);
        drop(end);
    }
}
