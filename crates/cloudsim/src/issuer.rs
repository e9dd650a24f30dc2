//! An OpenID Connect issuer for tests: it makes its own keys and signs whatever it is asked to.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::SimError;

/// The algorithm of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenAlgorithm {
    /// RSA PKCS #1 v1.5 with SHA-256.
    #[default]
    RS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
}

/// An issuer with one key per algorithm.
pub struct TestIssuer {
    issuer: String,
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
}

impl fmt::Debug for TestIssuer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TestIssuer").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl TestIssuer {
    /// Makes an issuer with fresh keys. Its URL is `https://`, host and path.
    ///
    /// # Errors
    /// When a key cannot be made.
    pub fn new(issuer: impl Into<String>) -> Result<Self, SimError> {
        Ok(Self {
            issuer: issuer.into(),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| SimError::KeyMaterial)?,
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .map_err(|_| SimError::KeyMaterial)?,
        })
    }

    /// The issuer's URL.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Its public keys, as its `jwks_uri` would serve them.
    pub fn jwks(&self) -> Value {
        let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let rsa = self.rsa.public_key();
        // An uncompressed point: one byte that says so, then x and y.
        let (x, y) = self.ec.public_key().as_ref()[1..].split_at(32);
        json!({"keys": [
            {
                "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "rsa",
                "n": encode(rsa.modulus().big_endian_without_leading_zero()),
                "e": encode(rsa.exponent().big_endian_without_leading_zero()),
            },
            {"kty": "EC", "use": "sig", "alg": "ES256", "kid": "ec", "crv": "P-256", "x": encode(x), "y": encode(y)},
        ]})
    }

    /// Signs a token. `iss` is this issuer's URL unless the claims bring their own; nothing else is added or checked.
    ///
    /// # Errors
    /// When signing fails.
    pub fn mint(
        &self,
        algorithm: TokenAlgorithm,
        claims: &BTreeMap<String, Value>,
    ) -> Result<String, SimError> {
        let (name, id) = match algorithm {
            TokenAlgorithm::RS256 => ("RS256", "rsa"),
            TokenAlgorithm::ES256 => ("ES256", "ec"),
        };
        let mut all = Map::from_iter([(String::from("iss"), Value::from(self.issuer.as_str()))]);
        all.extend(claims.clone());
        let part = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed =
            format!("{}.{}", part(json!({"alg": name, "typ": "JWT", "kid": id})), part(Value::Object(all)));
        let signature = self.sign(algorithm, signed.as_bytes())?;
        Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
    }

    fn sign(&self, algorithm: TokenAlgorithm, message: &[u8]) -> Result<Vec<u8>, SimError> {
        let random = SystemRandom::new();
        match algorithm {
            TokenAlgorithm::RS256 => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                let signed = self.rsa.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature);
                signed.map(|()| signature).map_err(|_| SimError::KeyMaterial)
            }
            TokenAlgorithm::ES256 => {
                let signed = self.ec.sign(&random, message);
                signed.map(|signature| signature.as_ref().to_vec()).map_err(|_| SimError::KeyMaterial)
            }
        }
    }
}
