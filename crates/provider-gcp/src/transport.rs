//! Our own HTTP client, for what Google's clients cannot be told: a fresh token for a tenant's service account.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use leasehold_provider::{Fault, ProviderError};

use crate::call::CallId;
use crate::config::GcpConfigError;
use crate::error::unreachable;

/// How long an idle connection is kept. 30 s: a proof of a tenant in use comes every 7 s to 30 min, so most calls of a busy
/// deployment find one open, while buffers that carried tokens do not outlive their use for long.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// Idle connections kept per host. 64: as many as one tenant may use at a time; more would only be kept for a burst.
const POOL_SIZE: usize = 64;

/// Longest answer that is read. An access token has 2 KiB at most, an error with details somewhat more.
const MAX_ANSWER: usize = 64 * 1024;

pub(crate) fn client() -> Result<reqwest::Client, GcpConfigError> {
    reqwest::Client::builder()
        .user_agent(concat!("leasehold/", env!("CARGO_PKG_VERSION")))
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(POOL_SIZE)
        // A token is for the host that it was meant for.
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| GcpConfigError::Client(Box::new(error)))
}

/// An answer as a whole, whatever its status.
pub(crate) async fn read(
    sent: Result<reqwest::Response, reqwest::Error>,
    id: &CallId,
) -> Result<(StatusCode, HeaderMap, Bytes), ProviderError> {
    let mut response = sent.map_err(|error| unreachable(&error, id))?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(&error, id))? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(ProviderError::new(Fault::Unavailable, "the cloud's answer is too long"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((status, headers, body.freeze()))
}
