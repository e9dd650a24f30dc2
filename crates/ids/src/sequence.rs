//! Numbers that only grow.

use std::fmt;

/// The version of a binding: 1 when it is created, one more with every change. A proof made with one version says
/// nothing about another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct BindingVersion(u64);

impl BindingVersion {
    /// The version of a binding that was just created.
    pub const FIRST: Self = Self(1);

    /// A version as the registry stored it.
    #[must_use]
    pub fn new(version: u64) -> Self {
        Self(version)
    }

    /// The version after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The version as a number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for BindingVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The epoch of a lease: a new one each time a lease becomes live after having been wiped. Unique within one process;
/// what was held in one epoch is unreadable in the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseEpoch(u64);

impl LeaseEpoch {
    /// The epoch with this number.
    #[must_use]
    pub fn new(epoch: u64) -> Self {
        Self(epoch)
    }

    /// The epoch as a number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for LeaseEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
