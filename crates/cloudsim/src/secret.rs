//! Secrets of the simulated world: access-key secrets, session tokens and key material.

use std::fmt;

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::SimError;

/// A secret string of the simulated world. It prints as dots; [`SecretText::expose`] is the only way to its text.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Keeps a text as a secret.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, for signing with it or for handing it to the client it was issued to.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares without telling by its timing where the difference is.
    pub(crate) fn matches(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }

    /// A new secret of `bytes` random bytes, in an alphabet that headers and XML carry unescaped.
    pub(crate) fn generate(bytes: usize) -> Result<Self, SimError> {
        let mut raw = Zeroizing::new(vec![0; bytes]);
        fill_random(&mut raw)?;
        Ok(Self::new(BASE64URL_NOPAD.encode(&raw)))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretText(…)")
    }
}

/// 256 bits of key material, wiped on drop.
pub(crate) struct Material(Zeroizing<[u8; 32]>);

impl Material {
    pub(crate) fn generate() -> Result<Self, SimError> {
        let mut bytes = Zeroizing::new([0; 32]);
        fill_random(bytes.as_mut_slice())?;
        Ok(Self(bytes))
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Material(…)")
    }
}

/// Fills a buffer with the operating system's random bytes.
pub(crate) fn fill_random(buffer: &mut [u8]) -> Result<(), SimError> {
    getrandom::fill(buffer).map_err(|_| SimError::KeyMaterial)
}

/// An id of AWS's form: a four-letter prefix such as `ASIA` and 16 characters of base 32.
pub(crate) fn unique_id(prefix: &str) -> Result<String, SimError> {
    let mut bytes = [0; 10];
    fill_random(&mut bytes)?;
    Ok(format!("{prefix}{}", BASE32_NOPAD.encode(&bytes)))
}
