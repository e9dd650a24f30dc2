//! A wrapped key as it travels: bytes that callers store and give back.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::EnvelopeError;
use crate::digest::sha256;
use crate::envelope::MAX_ENVELOPE;

/// The bytes of a wrapped key, 1 to 4,096 of them, opaque until [`crate::Envelope::parse`] takes them apart. Safe to store:
/// they are ciphertext. As text, standard base64 with padding.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WrappedKey(Bytes);

impl WrappedKey {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// What an [`crate::Envelope`] encoded, whose constructor checked the size.
    pub(crate) fn of_envelope(bytes: Vec<u8>) -> Self {
        debug_assert!((1..=MAX_ENVELOPE).contains(&bytes.len()));
        Self(bytes.into())
    }
}

impl TryFrom<Bytes> for WrappedKey {
    type Error = EnvelopeError;

    fn try_from(bytes: Bytes) -> Result<Self, EnvelopeError> {
        match bytes.len() {
            0 => Err(EnvelopeError::Empty),
            1..=MAX_ENVELOPE => Ok(Self(bytes)),
            bytes => Err(EnvelopeError::TooLarge { bytes }),
        }
    }
}

impl TryFrom<Vec<u8>> for WrappedKey {
    type Error = EnvelopeError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, EnvelopeError> {
        Bytes::from(bytes).try_into()
    }
}

impl FromStr for WrappedKey {
    type Err = EnvelopeError;

    fn from_str(text: &str) -> Result<Self, EnvelopeError> {
        BASE64.decode(text.as_bytes()).map_err(|_| EnvelopeError::NotBase64)?.try_into()
    }
}

/// Base64.
impl fmt::Display for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BASE64.encode_display(&self.0).fmt(f)
    }
}

/// The size and the beginning of the SHA-256, enough to tell wrapped keys apart in a log.
impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = HEXLOWER.encode(&sha256(&self.0)[..4]);
        write!(f, "WrappedKey({} bytes, sha256 {digest})", self.0.len())
    }
}

impl Serialize for WrappedKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WrappedKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
