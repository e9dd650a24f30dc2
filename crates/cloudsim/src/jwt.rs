//! JSON Web Tokens: the part of their check that all clouds share, which is the signature.

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::de::DeserializeOwned;

/// Why a token's claims cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JwtError {
    Malformed,
    /// Only RS256 and ES256 are taken.
    Algorithm,
    UnknownKey,
    Signature,
}

/// The claims of a token, unchecked: they select the keys that it is then checked with.
pub(crate) fn claimed<C: DeserializeOwned + Clone>(token: &str) -> Option<C> {
    jsonwebtoken::dangerous::insecure_decode::<C>(token).ok().map(|decoded| decoded.claims)
}

/// The claims of a token that one of `keys` signed. Issuer, audience and times are the caller's to compare, because
/// clouds differ in them and the simulator has a clock of its own.
pub(crate) fn signed<C: DeserializeOwned + Clone>(token: &str, keys: &JwkSet) -> Result<C, JwtError> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| JwtError::Malformed)?;
    if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) {
        return Err(JwtError::Algorithm);
    }
    let jwk = select(keys, header.kid.as_deref()).ok_or(JwtError::UnknownKey)?;
    let key = DecodingKey::from_jwk(jwk).map_err(|_| JwtError::UnknownKey)?;
    let mut validation = Validation::new(header.alg);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let decoded = jsonwebtoken::decode::<C>(token, &key, &validation);
    decoded.map(|decoded| decoded.claims).map_err(|_| JwtError::Signature)
}

fn select<'a>(keys: &'a JwkSet, id: Option<&str>) -> Option<&'a Jwk> {
    match id {
        Some(id) => keys.find(id),
        None => keys.keys.first().filter(|_| keys.keys.len() == 1),
    }
}
