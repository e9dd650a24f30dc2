//! Tokens of an identity provider (OpenID Connect), as Pub/Sub and Event Grid present them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;

use super::jwks::{Jwks, NoKey};
use crate::config::{Holder, TokenTerms};

/// How far an issuer's clock may differ from ours.
const LEEWAY: Duration = Duration::from_secs(60);

/// Longest token that is looked at. Entra's are the longest, at some 2 KiB.
const MAX_LENGTH: usize = 8 * 1024;

/// What a token may be signed with: asymmetric, and what Google and Entra use.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256];

/// The tokens of one feed.
pub(super) struct Tokens {
    pub(super) terms: TokenTerms,
    pub(super) keys: Arc<Jwks>,
}

/// Why a token does not show who presents it. For the log: a stranger is not told.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenError {
    #[error("it is not a token")]
    Malformed,
    #[error("it is signed in a way that is not accepted, or names no key")]
    Algorithm,
    #[error("its signature is not its issuer's")]
    Signature,
    #[error("it has expired, is not valid yet, or does not say until when it is")]
    Time,
    #[error("it is not one that a feed is known by")]
    Terms,
    #[error(transparent)]
    NoKey(#[from] NoKey),
}

#[derive(Deserialize)]
pub(super) struct Claims {
    iss: String,
    aud: Audience,
    sub: Option<String>,
    email: Option<String>,
    #[serde(default)]
    email_verified: bool,
    exp: f64,
    nbf: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// What a token claims, unchecked: it selects the feed whose terms are then checked.
pub(super) fn claimed(token: &str) -> Result<Claims, TokenError> {
    if token.len() > MAX_LENGTH {
        return Err(TokenError::Malformed);
    }
    jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| TokenError::Malformed)
}

impl Tokens {
    /// Whether `claims` are what this feed's tokens say.
    pub(super) fn fit(&self, claims: &Claims) -> bool {
        let TokenTerms { issuer, audience, holder, .. } = &self.terms;
        let for_us = match &claims.aud {
            Audience::One(one) => one == audience,
            Audience::Many(many) => many.contains(audience),
        };
        let theirs = match holder {
            Holder::Subject(subject) => claims.sub.as_ref() == Some(subject),
            Holder::Email(email) => claims.email_verified && claims.email.as_ref() == Some(email),
        };
        claims.iss == *issuer && for_us && theirs
    }

    /// Checks a token in full.
    ///
    /// # Errors
    /// [`TokenError`].
    pub(super) async fn check(&self, token: &str, now: SystemTime) -> Result<(), TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        let id = header.kid.filter(|_| ALGORITHMS.contains(&header.alg)).ok_or(TokenError::Algorithm)?;
        let key = self.keys.key(&id).await?;
        // The crate would go by a clock of its own, and what it does not require it does not check: both are done here.
        let mut validation = Validation::new(header.alg);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let token = jsonwebtoken::decode::<Claims>(token, &key, &validation);
        let claims = token.map_err(|_| TokenError::Signature)?.claims;
        if !in_time(&claims, now) {
            return Err(TokenError::Time);
        }
        if self.fit(&claims) { Ok(()) } else { Err(TokenError::Terms) }
    }
}

fn in_time(claims: &Claims, now: SystemTime) -> bool {
    // A wall clock before 1970 is right about nothing.
    let Ok(now) = now.duration_since(SystemTime::UNIX_EPOCH) else { return false };
    let (now, leeway) = (now.as_secs_f64(), LEEWAY.as_secs_f64());
    now < claims.exp + leeway && claims.nbf.is_none_or(|not_before| now >= not_before - leeway)
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
