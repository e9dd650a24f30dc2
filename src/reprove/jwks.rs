//! The keys that an issuer signs its tokens with, fetched when a token names one that is not known.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use leasehold_clock::{Moment, TimeSource};
use serde::Deserialize;
use tokio::sync::Semaphore;
use url::Url;

/// How long a fetch may take, all of it.
const DEADLINE: Duration = Duration::from_secs(4);

/// The largest set of keys that is read, and the most keys of it. Google's has three keys and 2 KiB, Entra's ten and 20 KiB.
const MAX_BODY: usize = 64 * 1024;
const MAX_KEYS: usize = 64;

/// The least time between two fetches: whoever presents tokens with made-up key ids cannot have us ask more often. A new
/// key that such a one hid is known when a feed tries again.
pub(super) const FETCH_EVERY: Duration = Duration::from_secs(10);

/// How long keys count without having been fetched again, and from when on they are fetched again before they do not. What
/// an issuer withdrew is refused after an hour.
const MAX_AGE: Duration = Duration::from_secs(3600);
const REFRESH_AGE: Duration = Duration::from_secs(1800);

/// Why there is no key for a token.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoKey {
    /// The issuer has no such key.
    #[error("the issuer has no key of that id")]
    Unknown,
    /// The issuer's keys cannot be had at present.
    #[error("the issuer's keys cannot be fetched at present")]
    Unavailable,
}

/// One issuer's keys.
pub(super) struct Jwks {
    url: Url,
    http: reqwest::Client,
    clock: Arc<dyn TimeSource>,
    kept: Mutex<Kept>,
    /// Whoever fetches; the others wait for it, within the deadlines of their own requests.
    fetching: Semaphore,
}

#[derive(Default)]
struct Kept {
    keys: HashMap<String, DecodingKey>,
    fetched: Option<Moment>,
    tried: Option<Moment>,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

/// A client for fetching keys: no redirects, so that nobody sends it elsewhere.
///
/// # Errors
/// If there are no roots to trust.
pub(super) fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()
}

impl Jwks {
    pub(super) fn new(url: Url, http: reqwest::Client, clock: Arc<dyn TimeSource>) -> Self {
        Self { url, http, clock, kept: Mutex::default(), fetching: Semaphore::new(1) }
    }

    /// The key of this id.
    ///
    /// # Errors
    /// [`NoKey`].
    pub(super) async fn key(self: &Arc<Self>, id: &str) -> Result<DecodingKey, NoKey> {
        if let Some(key) = self.kept(id) {
            if !self.is_younger_than(REFRESH_AGE) {
                self.refresh_behind();
            }
            return Ok(key);
        }
        // Never closed.
        let _turn = self.fetching.acquire().await.map_err(|_| NoKey::Unavailable)?;
        if let Some(key) = self.kept(id) {
            return Ok(key);
        }
        self.refresh().await;
        match (self.kept(id), self.is_fresh()) {
            (Some(key), _) => Ok(key),
            (None, true) => Err(NoKey::Unknown),
            (None, false) => Err(NoKey::Unavailable),
        }
    }

    /// Fetches the keys while the present ones still count, unless somebody does.
    fn refresh_behind(self: &Arc<Self>) {
        let jwks = Arc::clone(self);
        drop(tokio::spawn(async move {
            if let Ok(_turn) = jwks.fetching.try_acquire() {
                jwks.refresh().await;
            }
        }));
    }

    /// Fetches the keys, unless that was tried a moment ago.
    async fn refresh(&self) {
        let now = self.clock.now();
        {
            let mut kept = self.lock();
            if kept.tried.is_some_and(|tried| now.since(tried) < FETCH_EVERY) {
                return;
            }
            kept.tried = Some(now);
        }
        let fetched = tokio::select! {
            fetched = self.fetch() => fetched,
            () = self.clock.sleep(DEADLINE) => Err("no answer within the deadline".to_owned()),
        };
        match fetched {
            Ok(keys) => {
                let mut kept = self.lock();
                kept.keys = keys;
                kept.fetched = Some(now);
            }
            Err(error) => tracing::warn!(url = %self.url, error, "the keys of an issuer cannot be fetched"),
        }
    }

    async fn fetch(&self) -> Result<HashMap<String, DecodingKey>, String> {
        let answer = self.http.get(self.url.clone()).send().await;
        let mut answer =
            answer.and_then(reqwest::Response::error_for_status).map_err(|error| error.to_string())?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(format!("answered {}", answer.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| error.to_string())? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(format!("more than {MAX_BODY} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        read(&body).map_err(|error| error.to_string())
    }

    fn kept(&self, id: &str) -> Option<DecodingKey> {
        self.is_fresh().then(|| self.lock().keys.get(id).cloned()).flatten()
    }

    fn is_fresh(&self) -> bool {
        self.is_younger_than(MAX_AGE)
    }

    fn is_younger_than(&self, age: Duration) -> bool {
        self.lock().fetched.is_some_and(|fetched| self.clock.now().since(fetched) < age)
    }

    /// Every critical section is a look-up or an assignment, so a panic elsewhere cannot have broken what is kept.
    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The RSA and elliptic-curve keys of a set; others are none that a token may be signed with, a shared secret least of all.
fn read(body: &[u8]) -> Result<HashMap<String, DecodingKey>, serde_json::Error> {
    let document: Document = serde_json::from_slice(body)?;
    let keys = document.keys.into_iter().take(MAX_KEYS).filter_map(|key| {
        let key: Jwk = serde_json::from_value(key).ok()?;
        let public =
            matches!(key.algorithm, AlgorithmParameters::RSA(_) | AlgorithmParameters::EllipticCurve(_));
        let id = key.common.key_id.clone().filter(|_| public)?;
        Some((id, DecodingKey::from_jwk(&key).ok()?))
    });
    Ok(keys.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_other_kinds_are_passed_over() {
        let body = r#"{"keys": [
            {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"},
            {"kty": "PQ", "kid": "of-the-future", "x": "AAAA"},
            {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
            {"kty": "RSA", "kid": "r", "use": "sig", "n": "AQAB", "e": "AQAB"},
            {"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": "AAAA"}
        ]}"#;
        let keys = read(body.as_bytes()).unwrap();
        assert_eq!(keys.keys().collect::<Vec<_>>(), ["r"]);
        assert!(read(b"{}").is_err() && read(b"[]").is_err() && read(b"").is_err());
    }
}
