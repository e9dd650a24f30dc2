//! The key that tokens are signed with. The simulators of one process share it: making it takes a second.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::jwk::JwkSet;
use serde_json::{Value, json};

use crate::error::SimError;

static SHARED: Mutex<Option<Arc<Signer>>> = Mutex::new(None);

/// Signs tokens with RS256.
pub(crate) struct Signer {
    id: String,
    key: RsaKeyPair,
}

impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Signer").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Signer {
    /// The process's signer.
    pub(crate) fn shared() -> Result<Arc<Self>, SimError> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signer) = shared.as_ref() {
            return Ok(signer.clone());
        }
        let key = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| SimError::KeyMaterial)?;
        let id = BASE64URL_NOPAD.encode(uuid::Uuid::new_v4().as_bytes());
        Ok(shared.insert(Arc::new(Self { id, key })).clone())
    }

    /// Its public key as a JSON Web Key.
    pub(crate) fn key(&self) -> Value {
        let public = self.key.public_key();
        let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id, "x5t": self.id,
            "n": encode(public.modulus().big_endian_without_leading_zero()),
            "e": encode(public.exponent().big_endian_without_leading_zero()),
        })
    }

    /// Its public key as a set, to verify with.
    pub(crate) fn keys(&self) -> Result<JwkSet, SimError> {
        serde_json::from_value(json!({"keys": [self.key()]})).map_err(|_| SimError::KeyMaterial)
    }

    /// Signs a token.
    pub(crate) fn sign(&self, claims: &Value) -> Result<String, SimError> {
        let header = json!({"typ": "JWT", "alg": "RS256", "kid": self.id, "x5t": self.id});
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&header), part(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| SimError::KeyMaterial)?;
        Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
    }
}
