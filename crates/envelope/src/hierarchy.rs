//! How many keys lie between the tenant's key and a DEK, and what a cloud ciphertext is for.

use std::fmt;
use std::str::FromStr;

use crate::EnvelopeError;

/// What wraps a DEK. Chosen per binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hierarchy {
    /// The tenant's KMS key itself: one call to the cloud, and one line in the tenant's own audit log, per DEK.
    Direct,
    /// A KEK that the tenant's KMS key wraps: one call per KEK.
    Kek,
}

impl Hierarchy {
    /// `direct` or `kek`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Kek => "kek",
        }
    }

    /// The byte that stands for it in an envelope.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Direct => 1,
            Self::Kek => 2,
        }
    }

    pub(crate) fn from_code(code: u8) -> Result<Self, EnvelopeError> {
        match code {
            1 => Ok(Self::Direct),
            2 => Ok(Self::Kek),
            code => Err(EnvelopeError::UnknownHierarchy { code }),
        }
    }
}

impl fmt::Display for Hierarchy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Hierarchy {
    type Err = EnvelopeError;

    fn from_str(text: &str) -> Result<Self, EnvelopeError> {
        match text {
            "direct" => Ok(Self::Direct),
            "kek" => Ok(Self::Kek),
            _ => Err(EnvelopeError::InvalidField { field: "hierarchy" }),
        }
    }
}

/// What a cloud ciphertext holds. Bound into it, so that a KEK re-headed as a DEK, or a canary passed off as either, does
/// not unwrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// A data-encryption key of a `direct` envelope.
    Dek,
    /// A key-encryption key.
    Kek,
    /// A binding's canary: a random value that proves, by being unwrapped, that we still may.
    Canary,
}

impl Purpose {
    /// `dek`, `kek` or `canary`: the value that the cloud is given.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dek => "dek",
            Self::Kek => "kek",
            Self::Canary => "canary",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
