//! OpenID Connect tokens: the check that STS makes of them.

use std::time::Duration;

use serde::Deserialize;

use super::world::identity::OidcProvider;
use crate::clock::Timestamp;
use crate::jwt::{self, JwtError};

/// How far an issuer's clock may differ from the simulator's.
const LEEWAY: Duration = Duration::from_secs(60);

/// What a token says, after its signature, issuer, audience and expiry were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VerifiedToken {
    /// Host and path, without the scheme.
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) audience: String,
    /// `amr`, if the token has a single one.
    pub(crate) method: Option<String>,
}

/// Why a token is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenError {
    Malformed(&'static str),
    UnknownKey,
    Signature,
    Audience,
    Expired(String),
}

#[derive(Clone, Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: Option<String>,
    aud: Option<OneOrMany>,
    azp: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
    amr: Option<OneOrMany>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

/// The issuer that a token claims, unchecked: it selects the provider whose keys are then used.
pub(crate) fn claimed_issuer(token: &str) -> Option<String> {
    jwt::claimed::<Claims>(token).map(|claims| claims.iss)
}

/// Checks a token against a provider registered for `issuer` (host and path).
pub(crate) fn verify(
    token: &str,
    issuer: &str,
    provider: &OidcProvider,
    now: Timestamp,
) -> Result<VerifiedToken, TokenError> {
    let claims = jwt::signed::<Claims>(token, &provider.keys).map_err(|error| match error {
        JwtError::Malformed => TokenError::Malformed("the token's header is malformed"),
        JwtError::Algorithm => TokenError::Malformed("the token's algorithm is neither RS256 nor ES256"),
        JwtError::UnknownKey => TokenError::UnknownKey,
        JwtError::Signature => TokenError::Signature,
    })?;
    check(claims, issuer, provider, now)
}

fn check(
    claims: Claims,
    issuer: &str,
    provider: &OidcProvider,
    now: Timestamp,
) -> Result<VerifiedToken, TokenError> {
    if claims.iss.strip_prefix("https://").unwrap_or(&claims.iss) != issuer {
        return Err(TokenError::Malformed("the token's issuer is not the provider's"));
    }
    let expires = claims.exp.ok_or(TokenError::Malformed("Missing a required claim: exp"))?;
    let seconds = now.unix_millis() as f64 / 1000.0;
    let leeway = LEEWAY.as_secs_f64();
    if seconds >= expires + leeway {
        return Err(TokenError::Expired(format!(
            "Token expired: current date/time {seconds} must be before the expiration date/time {expires}"
        )));
    }
    if claims.nbf.is_some_and(|not_before| seconds < not_before - leeway) {
        return Err(TokenError::Malformed("the token is not valid yet"));
    }
    let audiences = claims.aud.map(OneOrMany::into_vec).unwrap_or_default();
    // With an authorised party, that is what AWS compares and shows as the audience.
    let candidates = claims.azp.map_or(audiences, |party| vec![party]);
    let audience = candidates.into_iter().find(|audience| provider.audiences.contains(audience));
    Ok(VerifiedToken {
        issuer: issuer.to_owned(),
        subject: claims.sub.ok_or(TokenError::Malformed("Missing a required claim: sub"))?,
        audience: audience.ok_or(TokenError::Audience)?,
        method: claims
            .amr
            .map(OneOrMany::into_vec)
            .filter(|methods| methods.len() == 1)
            .and_then(|mut one| one.pop()),
    })
}
