//! SHA-256 values with a meaning.

use std::fmt;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Length of a digest in bytes.
pub(crate) const DIGEST: usize = 32;

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name([u8; DIGEST]);

        impl $name {
            /// The digest with these bytes, as read from where it was stored.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; DIGEST]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; DIGEST] {
                &self.0
            }

            /// Whether `bytes` are this digest, in a time that depends on their length alone.
            #[must_use]
            pub fn matches(&self, bytes: &[u8]) -> bool {
                self.0.ct_eq(bytes).into()
            }
        }

        /// 64 lower-case hexadecimal digits.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

digest!(
    /// What an envelope says about its encryption context: a SHA-256 that is equal for equal contexts only. It is not
    /// secret, but neither does it reveal the context to who cannot guess it.
    ContextCommitment
);
digest!(
    /// SHA-256 over an encoded header: what the cloud ciphertext is bound to.
    HeaderDigest
);

/// SHA-256 over `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; DIGEST] {
    Sha256::digest(bytes).into()
}
