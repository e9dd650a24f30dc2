//! An envelope: header and body, and their one encoding.

use std::fmt;

use bytes::Bytes;

use crate::header::{put_long, put_short};
use crate::reader::Reader;
use crate::{EnvelopeError, Header, Hierarchy, KekScope, WrappedKey};

/// The largest envelope, in bytes. A header takes at most 955, which leaves 3,141 for a body; the largest of a cloud today
/// is AWS's, below 600 bytes for a key of 64.
pub const MAX_ENVELOPE: usize = 4096;

/// Length of a `kek` envelope's salt, and of its commitment, in bytes.
const SALT: usize = 32;

/// Lengths of a DEK sealed under a key derived from a KEK: the five key lengths, each with a 16-byte tag.
const SEALED_DEK_LENGTHS: [usize; 5] = [32, 40, 48, 64, 80];

/// The key in its wrapping.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Body {
    /// The DEK, wrapped by the tenant's KMS key.
    Direct {
        /// What the cloud returned; at least 1 byte.
        ciphertext: Bytes,
    },
    /// The DEK, sealed under a key derived from a KEK, which the tenant's KMS key wraps.
    Kek {
        /// What of the encryption context the KEK is bound to.
        scope: KekScope,
        /// What the cloud returned for the KEK; at least 1 byte.
        wrapped_kek: Bytes,
        /// Random; makes the derived key this DEK's own.
        salt: [u8; SALT],
        /// Derived with the key, so that one envelope cannot open to two keys.
        commitment: [u8; SALT],
        /// AES-256-GCM ciphertext and tag: 32, 40, 48, 64 or 80 bytes.
        sealed_dek: Bytes,
    },
}

/// A wrapped key, taken apart. Its claims are unproven until the cloud has unwrapped the body under the header's digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Envelope {
    header: Header,
    body: Body,
}

impl Envelope {
    /// Puts a body under a header.
    ///
    /// # Errors
    /// [`EnvelopeError::HierarchyMismatch`]; [`EnvelopeError::InvalidField`] for a body with a part of a wrong length;
    /// [`EnvelopeError::TooLarge`] beyond [`MAX_ENVELOPE`].
    pub fn new(header: Header, body: Body) -> Result<Self, EnvelopeError> {
        if header.hierarchy != body.hierarchy() {
            return Err(EnvelopeError::HierarchyMismatch);
        }
        body.check()?;
        let bytes = header.encoded_len() + body.encoded_len();
        if bytes > MAX_ENVELOPE { Err(EnvelopeError::TooLarge { bytes }) } else { Ok(Self { header, body }) }
    }

    /// Takes bytes apart. Total: every input gives a value or an error.
    ///
    /// # Errors
    /// An [`EnvelopeError`] that names the first rule that the bytes break.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        match bytes.len() {
            0 => return Err(EnvelopeError::Empty),
            bytes if bytes > MAX_ENVELOPE => return Err(EnvelopeError::TooLarge { bytes }),
            _ => {}
        }
        let mut reader = Reader::new(bytes);
        let header = Header::read(&mut reader)?;
        let body = Body::read(header.hierarchy, &mut reader)?;
        reader.end()?;
        Self::new(header, body)
    }

    /// The one encoding of this envelope.
    #[must_use]
    pub fn encode(&self) -> WrappedKey {
        let mut bytes = Vec::with_capacity(self.header.encoded_len() + self.body.encoded_len());
        self.header.encode(&mut bytes);
        self.body.encode(&mut bytes);
        WrappedKey::of_envelope(bytes)
    }

    /// The clear part.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The wrapped part.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.body
    }
}

// === impl Body ===

impl Body {
    fn hierarchy(&self) -> Hierarchy {
        match self {
            Self::Direct { .. } => Hierarchy::Direct,
            Self::Kek { .. } => Hierarchy::Kek,
        }
    }

    fn check(&self) -> Result<(), EnvelopeError> {
        let invalid = |field| Err(EnvelopeError::InvalidField { field });
        match self {
            Self::Direct { ciphertext } if ciphertext.is_empty() => invalid("ciphertext"),
            Self::Kek { wrapped_kek, .. } if wrapped_kek.is_empty() => invalid("wrapped KEK"),
            Self::Kek { sealed_dek, .. } if !SEALED_DEK_LENGTHS.contains(&sealed_dek.len()) => {
                invalid("sealed DEK")
            }
            Self::Direct { .. } | Self::Kek { .. } => Ok(()),
        }
    }

    fn encoded_len(&self) -> usize {
        match self {
            Self::Direct { ciphertext } => 2 + ciphertext.len(),
            Self::Kek { scope, wrapped_kek, salt, commitment, sealed_dek } => {
                let scope = 2 + scope.as_bytes().len();
                scope + 2 + wrapped_kek.len() + salt.len() + commitment.len() + 1 + sealed_dek.len()
            }
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Direct { ciphertext } => put_long(out, ciphertext),
            Self::Kek { scope, wrapped_kek, salt, commitment, sealed_dek } => {
                put_long(out, scope.as_bytes());
                put_long(out, wrapped_kek);
                out.extend_from_slice(salt);
                out.extend_from_slice(commitment);
                put_short(out, sealed_dek);
            }
        }
    }

    fn read(hierarchy: Hierarchy, reader: &mut Reader<'_>) -> Result<Self, EnvelopeError> {
        let copy = Bytes::copy_from_slice;
        match hierarchy {
            Hierarchy::Direct => Ok(Self::Direct { ciphertext: copy(reader.long()?) }),
            Hierarchy::Kek => Ok(Self::Kek {
                scope: KekScope::read(reader.long()?)?,
                wrapped_kek: copy(reader.long()?),
                salt: reader.array()?,
                commitment: reader.array()?,
                sealed_dek: copy(reader.short()?),
            }),
        }
    }
}

/// Sizes only: the bytes say nothing to a reader.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct { ciphertext } => write!(f, "Direct({} bytes)", ciphertext.len()),
            Self::Kek { scope, wrapped_kek, .. } => {
                write!(f, "Kek(scope {scope}, {} bytes of wrapped KEK)", wrapped_kek.len())
            }
        }
    }
}
