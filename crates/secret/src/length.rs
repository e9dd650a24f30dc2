//! How long a key may be.

use crate::SecretError;

/// The length of a key. A closed set, so that a length that no cipher wants is noticed where it arises: 16, 24 and 32
/// bytes are AES keys, 48 and 64 hold an encryption and an authentication key side by side, or the two of AES-XTS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyLength {
    /// 16 bytes.
    B16,
    /// 24 bytes.
    B24,
    /// 32 bytes.
    B32,
    /// 48 bytes.
    B48,
    /// 64 bytes.
    B64,
}

impl KeyLength {
    /// Every length, shortest first.
    pub const ALL: [Self; 5] = [Self::B16, Self::B24, Self::B32, Self::B48, Self::B64];

    /// The length of the longest key, in bytes; also the size of one slot of the arena.
    pub const MAX_BYTES: usize = 64;

    /// The length in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::B16 => 16,
            Self::B24 => 24,
            Self::B32 => 32,
            Self::B48 => 48,
            Self::B64 => 64,
        }
    }
}

impl TryFrom<usize> for KeyLength {
    type Error = SecretError;

    fn try_from(bytes: usize) -> Result<Self, SecretError> {
        Self::ALL.into_iter().find(|l| l.bytes() == bytes).ok_or(SecretError::InvalidLength { bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_five_lengths_are_key_lengths() {
        for bytes in 0..=KeyLength::MAX_BYTES * 2 {
            let expected = [16, 24, 32, 48, 64].contains(&bytes);
            match KeyLength::try_from(bytes) {
                Ok(length) => assert!(expected && length.bytes() == bytes),
                Err(error) => assert!(!expected && error == SecretError::InvalidLength { bytes }),
            }
        }
    }
}
