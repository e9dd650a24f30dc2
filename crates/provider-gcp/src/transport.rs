//! Our own HTTP client, for all that we ask of Google but tokens of our own that come of a credentials file.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, StatusCode};
use leasehold_provider::{Fault, ProviderError};
use rustls::client::Resumption;
use rustls_platform_verifier::Verifier;
use zeroize::Zeroizing;

use crate::call::CallId;
use crate::config::GcpConfigError;
use crate::error::unreachable;
use crate::source::Token;

/// How long an idle connection is kept, if its session lasts longer: one that is idle is closed before twice as long. 1 s: a
/// busy session finds one open, and a key is in no buffer 5 s after its use, on a busy machine too. Whoever asks less often
/// waits for a handshake, some milliseconds in a region.
const POOL_IDLE: Duration = Duration::from_secs(1);

/// Idle connections kept per host. 64: as many as one tenant may use at a time; more would only be kept for a burst.
const POOL_SIZE: usize = 64;

/// Longest answer that is read. An access token has 2 KiB at most, a key's description or an error with details somewhat
/// more.
const MAX_ANSWER: usize = 64 * 1024;

/// Makes pools of connections, which have nothing in common but how they verify a server.
///
/// The buffers of a connection keep what it carried for as long as it is open: keys, and the token of a session, in each
/// request and in the answer that issues it. So each session has connections of its own that are closed with it, and is
/// issued over one that is closed at once (promise P4). That is two handshakes for each proof.
#[derive(Clone, Debug)]
pub(crate) struct Pools {
    /// Reading the machine's roots takes longer than all else that makes a pool.
    tls: rustls::ClientConfig,
}

impl Pools {
    pub(crate) fn new() -> Result<Self, GcpConfigError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let failed = |error: rustls::Error| GcpConfigError::Client(Box::new(error));
        let verifier = Verifier::new(Arc::clone(&provider)).map_err(failed)?;
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        // What a session could be resumed with would outlive its connection (promise P4).
        tls.resumption = Resumption::disabled();
        Ok(Self { tls })
    }

    pub(crate) fn make(&self) -> Result<reqwest::Client, GcpConfigError> {
        reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .user_agent(concat!("leasehold/", env!("CARGO_PKG_VERSION")))
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_SIZE)
            // A token is for the host that it was meant for: neither a redirect nor a proxy of the environment's changes
            // that.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // One request at a time on a connection, so that an answer is never in a buffer with another's.
            .http1_only()
            .build()
            .map_err(|error| GcpConfigError::Client(Box::new(error)))
    }
}

/// `Authorization` for `token`; nothing if it has characters that no token has, and the cloud refuses the call then.
pub(crate) fn bearer(token: &Token) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let text = Zeroizing::new(format!("Bearer {}", token.expose()));
    if let Ok(mut value) = HeaderValue::from_str(&text) {
        value.set_sensitive(true);
        headers.insert(http::header::AUTHORIZATION, value);
    }
    headers
}

/// Why there is no whole answer.
pub(crate) enum Unread {
    /// It is longer than any that we ask for.
    TooLong,
    /// It did not come, or not to its end.
    Cut(reqwest::Error),
}

/// An answer as a whole, whatever its status.
pub(crate) async fn receive(
    sent: Result<reqwest::Response, reqwest::Error>,
) -> Result<(StatusCode, HeaderMap, BytesMut), Unread> {
    let mut response = sent.map_err(Unread::Cut)?;
    let (status, headers) = (response.status(), response.headers().clone());
    let stated = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    // All of it at once where its length is known: a buffer that grows leaves copies of a secret behind.
    let mut body = BytesMut::with_capacity(stated.min(MAX_ANSWER));
    while let Some(chunk) = response.chunk().await.map_err(Unread::Cut)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(Unread::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok((status, headers, body))
}

/// The same, with why there is none as an error of the call `id`.
pub(crate) async fn read(
    sent: Result<reqwest::Response, reqwest::Error>,
    id: &CallId,
) -> Result<(StatusCode, HeaderMap, BytesMut), ProviderError> {
    receive(sent).await.map_err(|unread| match unread {
        Unread::TooLong => ProviderError::new(Fault::Unavailable, "the cloud's answer is too long")
            .with_request_id(Some(id.as_str())),
        Unread::Cut(error) => unreachable(&error, id),
    })
}
