//! Key material. RSA keys take a second or more to make, so the simulators of one process share them: the first 2048-bit
//! key of every simulator is the same one, the second another, and so on. Within a simulator no two are the same.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicKey,
};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::error::SimError;

static POOL: Mutex<BTreeMap<u32, Vec<Arc<Material>>>> = Mutex::new(BTreeMap::new());

/// One version's key.
pub(crate) enum Material {
    Rsa {
        decrypting: OaepPrivateDecryptingKey,
        encrypting: OaepPublicEncryptingKey,
        /// The public parts of its JSON Web Key.
        public: Map<String, Value>,
    },
    /// Exists for the refusals that it causes.
    Ec { public: Map<String, Value> },
}

impl fmt::Debug for Material {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Material(…)")
    }
}

impl Material {
    /// The `number`th RSA key of this size.
    pub(crate) fn rsa(bits: u32, number: usize) -> Result<Arc<Self>, SimError> {
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            _ => return Err(SimError::invalid("key size", "it is 2048, 3072 or 4096")),
        };
        // Who needs the same key would have to wait for it anyway.
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        let made = pool.entry(bits).or_default();
        while made.len() <= number {
            made.push(Arc::new(Self::generate_rsa(size)?));
        }
        Ok(made[number].clone())
    }

    /// A new elliptic-curve key.
    pub(crate) fn ec() -> Result<Arc<Self>, SimError> {
        let pair =
            EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| SimError::KeyMaterial)?;
        // An uncompressed point: one byte that says so, then x and y.
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let public = [("crv", json!("P-256")), ("x", encoded(x)), ("y", encoded(y))];
        Ok(Arc::new(Self::Ec {
            public: public.map(|(name, value)| (name.to_owned(), value)).into_iter().collect(),
        }))
    }

    fn generate_rsa(size: KeySize) -> Result<Self, SimError> {
        let failed = |_| SimError::KeyMaterial;
        let private = PrivateDecryptingKey::generate(size).map_err(failed)?;
        let der: PublicKeyX509Der<'_> = private.public_key().as_der().map_err(failed)?;
        let public = PublicKey::from_der(der.as_ref()).map_err(|_| SimError::KeyMaterial)?;
        let parts = [
            ("n", encoded(public.modulus().big_endian_without_leading_zero())),
            ("e", encoded(public.exponent().big_endian_without_leading_zero())),
        ];
        Ok(Self::Rsa {
            encrypting: OaepPublicEncryptingKey::new(private.public_key()).map_err(failed)?,
            decrypting: OaepPrivateDecryptingKey::new(private).map_err(failed)?,
            public: parts.map(|(name, value)| (name.to_owned(), value)).into_iter().collect(),
        })
    }

    /// The public parts of its JSON Web Key.
    pub(crate) fn public(&self) -> &Map<String, Value> {
        match self {
            Self::Rsa { public, .. } | Self::Ec { public } => public,
        }
    }

    /// RSA-OAEP-256; nothing when it does not fit or the key is of another kind.
    pub(crate) fn encrypt(&self, plaintext: &[u8]) -> Option<Vec<u8>> {
        let Self::Rsa { encrypting, .. } = self else { return None };
        let mut output = vec![0; encrypting.ciphertext_size()];
        let written = encrypting.encrypt(&OAEP_SHA256_MGF1SHA256, plaintext, &mut output, None).ok()?.len();
        output.truncate(written);
        Some(output)
    }

    /// RSA-OAEP-256; nothing when it was not encrypted so under this key.
    pub(crate) fn decrypt(&self, ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let Self::Rsa { decrypting, .. } = self else { return None };
        let mut output = Zeroizing::new(vec![0; decrypting.min_output_size()]);
        let written = decrypting.decrypt(&OAEP_SHA256_MGF1SHA256, ciphertext, &mut output, None).ok()?.len();
        output.truncate(written);
        Some(output)
    }
}

fn encoded(bytes: &[u8]) -> Value {
    Value::from(BASE64URL_NOPAD.encode(bytes))
}
