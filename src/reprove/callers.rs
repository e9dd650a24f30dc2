//! Which feed a request comes from, by what it presents.

use std::collections::HashMap;
use std::sync::Arc;

use data_encoding::BASE64;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use leasehold_authz::{Captures, FeedName, TenantPattern};
use leasehold_clock::TimeSource;
use leasehold_ids::TenantId;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::feeds::ReproveError;
use super::jwks::{self, Jwks, NoKey};
use super::secret::{self, SecretFile};
use super::token::{self, TokenError, Tokens};
use crate::config::{Credential, ReproveCaller};
use crate::watched::Look;

/// Where a secret may be presented besides `Authorization`: API destinations and Event Grid can set it.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// One feed.
pub(super) struct Feed {
    pub(super) name: FeedName,
    tenants: Vec<TenantPattern>,
    known_by: KnownBy,
    /// For its requests under way.
    pub(super) room: Semaphore,
}

enum KnownBy {
    Secret(Arc<SecretFile>),
    Token(Tokens),
}

/// Why nobody is known.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stranger {
    #[error("no credential")]
    Nothing,
    #[error("a credential that is nobody's")]
    Nobody,
    #[error("a token that shows nothing")]
    Token(#[source] TokenError),
    /// Whether it is somebody's cannot be told at present.
    #[error("a token whose issuer's keys cannot be fetched at present")]
    Untold,
}

/// Every feed.
pub(super) struct Callers {
    feeds: Vec<Feed>,
    clock: Arc<dyn TimeSource>,
}

impl Callers {
    /// Reads the secrets.
    ///
    /// # Errors
    /// [`ReproveError`].
    pub(super) fn open(
        callers: Vec<ReproveCaller>,
        room_per_feed: usize,
        clock: Arc<dyn TimeSource>,
    ) -> Result<Self, ReproveError> {
        let (mut issuers, mut http) = (HashMap::new(), None);
        let mut feeds: Vec<Feed> = Vec::new();
        for ReproveCaller { name, credential, tenants } in callers {
            let known_by = match credential {
                Credential::Secret(file) => KnownBy::Secret(Arc::new(secret::open(file)?)),
                Credential::Token(terms) => {
                    let http = match &http {
                        Some(http) => http,
                        None => http.insert(jwks::client().map_err(ReproveError::Http)?),
                    };
                    let keys =
                        || Arc::new(Jwks::new(terms.jwks_url.clone(), http.clone(), Arc::clone(&clock)));
                    let keys = Arc::clone(issuers.entry(terms.jwks_url.clone()).or_insert_with(keys));
                    KnownBy::Token(Tokens { terms, keys })
                }
            };
            let feed = Feed { name, tenants, known_by, room: Semaphore::new(room_per_feed) };
            if let Some(other) = feeds.iter().find(|other| other.overlaps(&feed)) {
                return Err(ReproveError::SameSecret(other.name.clone(), feed.name));
            }
            feeds.push(feed);
        }
        Ok(Self { feeds, clock })
    }

    /// The files of secrets.
    pub(super) fn files(&self) -> impl Iterator<Item = Arc<dyn Look>> {
        self.feeds.iter().filter_map(|feed| match &feed.known_by {
            KnownBy::Secret(file) => Some(Arc::clone(file) as Arc<dyn Look>),
            KnownBy::Token(_) => None,
        })
    }

    /// The feed that a request with these headers comes from.
    ///
    /// # Errors
    /// [`Stranger`].
    pub(super) async fn authenticate(&self, headers: &HeaderMap) -> Result<&Feed, Stranger> {
        let presented = presented(headers).ok_or(Stranger::Nothing)?;
        let digest = secret::digest(&presented);
        let known = |feed: &Feed| matches!(&feed.known_by, KnownBy::Secret(f) if f.current().have(&digest));
        // All are looked at, whichever it is.
        let found: Vec<&Feed> = self.feeds.iter().filter(|feed| known(feed)).collect();
        match found[..] {
            [] => {}
            [feed] => return Ok(feed),
            // Files that were replaced since the start have one in common: it tells nobody from anybody.
            [one, other, ..] => {
                let (one, other) = (&one.name, &other.name);
                tracing::error!(%one, %other, "two event feeds have a secret in common: give each its own");
                return Err(Stranger::Nobody);
            }
        }
        let token = std::str::from_utf8(&presented).ok().filter(|text| text.matches('.').count() == 2);
        self.by_token(token.ok_or(Stranger::Nobody)?).await
    }

    async fn by_token(&self, token: &str) -> Result<&Feed, Stranger> {
        let claims = token::claimed(token).map_err(Stranger::Token)?;
        let fitting = self.feeds.iter().find_map(|feed| match &feed.known_by {
            KnownBy::Token(tokens) if tokens.fit(&claims) => Some((feed, tokens)),
            _ => None,
        });
        let (feed, tokens) = fitting.ok_or(Stranger::Token(TokenError::Terms))?;
        match tokens.check(token, self.clock.wall()).await {
            Ok(()) => Ok(feed),
            Err(TokenError::NoKey(NoKey::Unavailable)) => Err(Stranger::Untold),
            Err(error) => Err(Stranger::Token(error)),
        }
    }
}

impl Feed {
    /// Whether it may have `tenant` proven, existing or not. The service decides; this is for counting.
    pub(super) fn covers(&self, tenant: &TenantId) -> bool {
        self.tenants.iter().any(|pattern| pattern.matches(tenant, &Captures::default()))
    }

    fn overlaps(&self, other: &Self) -> bool {
        match (&self.known_by, &other.known_by) {
            (KnownBy::Secret(one), KnownBy::Secret(other)) => one.current().overlap(&other.current()),
            _ => false,
        }
    }
}

/// The secret or token in these headers: a bearer's, the password of Basic, or an API key.
fn presented(headers: &HeaderMap) -> Option<Zeroizing<Vec<u8>>> {
    let Some(authorization) = headers.get(AUTHORIZATION) else {
        return headers.get(API_KEY).map(|key| Zeroizing::new(key.as_bytes().to_vec()));
    };
    let authorization = authorization.as_bytes();
    let space = authorization.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = (&authorization[..space], authorization[space..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(Zeroizing::new(rest.to_vec()));
    }
    let basic = scheme.eq_ignore_ascii_case(b"basic").then(|| BASE64.decode(rest).ok()).flatten()?;
    let basic = Zeroizing::new(basic);
    let colon = basic.iter().position(|byte| *byte == b':')?;
    Some(Zeroizing::new(basic[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_wherever_feeds_can_put_it() {
        let basic = BASE64.encode(b"leasehold:s3:cret");
        for (name, value, found) in [
            ("authorization", "Bearer s3:cret", Some("s3:cret")),
            ("authorization", "bearer   s3:cret", Some("s3:cret")),
            ("authorization", &format!("Basic {basic}"), Some("s3:cret")),
            ("x-api-key", "s3:cret", Some("s3:cret")),
            ("authorization", "s3:cret", None),
            ("authorization", "Digest s3:cret", None),
            ("authorization", "Basic s3:cret", None),
            ("authorization", &format!("Basic {}", BASE64.encode(b"no colon")), None),
            ("cookie", "s3:cret", None),
        ] {
            let headers =
                HeaderMap::from_iter([(name.parse::<HeaderName>().unwrap(), value.parse().unwrap())]);
            let presented = presented(&headers);
            assert_eq!(presented.as_deref().map(Vec::as_slice), found.map(str::as_bytes), "{name}: {value}");
        }
        assert!(presented(&HeaderMap::new()).is_none());
    }
}
