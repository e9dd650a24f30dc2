//! JSON Web Tokens, read before and after their signature is checked.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};

use crate::jwt;

/// What a token says. Whether it is true is for [`Claims::signed_by`] and [`Claims::signed_by_one_of`] to tell.
#[derive(Debug)]
pub(crate) struct Claims<'a> {
    token: &'a str,
    algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
    /// The certificate that signed it: base64url of its SHA-1 or SHA-256.
    pub(crate) thumbprints: Vec<String>,
    claims: Map<String, Value>,
}

impl<'a> Claims<'a> {
    /// Reads a token without checking anything but its form.
    pub(crate) fn read(token: &'a str) -> Option<Self> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let claims = jsonwebtoken::dangerous::insecure_decode::<Map<String, Value>>(token).ok()?.claims;
        Some(Self {
            token,
            algorithm: header.alg,
            key_id: header.kid,
            // MSAL for Python writes the padding that base64url in tokens is to be without.
            thumbprints: header
                .x5t
                .into_iter()
                .chain(header.x5t_s256)
                .map(|thumbprint| thumbprint.trim_end_matches('=').to_owned())
                .collect(),
            claims,
        })
    }

    /// A claim's text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    /// A claim's whole number.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        let value = self.claims.get(name)?;
        value.as_i64().or_else(|| value.as_f64().map(|float| float as i64))
    }

    /// The audiences, of which there may be several.
    pub(crate) fn audiences(&self) -> Vec<&str> {
        match self.claims.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether one of these keys signed it.
    pub(crate) fn signed_by_one_of(&self, keys: &JwkSet) -> bool {
        jwt::signed::<Map<String, Value>>(self.token, keys).is_ok()
    }

    /// Whether this RSA key signed it, as certificates' keys do.
    pub(crate) fn signed_by(&self, key: &DecodingKey) -> bool {
        if !matches!(self.algorithm, Algorithm::RS256 | Algorithm::PS256) {
            return false;
        }
        // The crate would compare times with the wall clock; the callers decide about times and audiences.
        let mut validation = Validation::new(self.algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        jsonwebtoken::decode::<Map<String, Value>>(self.token, key, &validation).is_ok()
    }
}
