//! Which cloud, by name.

use std::fmt;
use std::str::FromStr;

use crate::IdError;

/// Longest provider kind, in bytes; it is one length-prefixed field of every envelope.
const MAX_KIND: usize = 16;

/// The kind of a provider, for example `aws`. An open set: the core never lists the clouds, so that a new one is a new
/// crate and not a change here. 1 to 16 bytes of `[a-z][-a-z0-9]*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProviderKind(Box<str>);

impl ProviderKind {
    /// The kind as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProviderKind {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let bytes = text.as_bytes();
        let valid = bytes.len() <= MAX_KIND
            && bytes.first().is_some_and(u8::is_ascii_lowercase)
            && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
        if valid { Ok(Self(text.into())) } else { Err(IdError::NotAProviderKind) }
    }
}

impl TryFrom<String> for ProviderKind {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<ProviderKind> for String {
    fn from(kind: ProviderKind) -> String {
        kind.0.into_string()
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_the_documented_pattern() {
        for good in ["aws", "gcp", "operator", "a1-b"] {
            assert!(good.parse::<ProviderKind>().is_ok(), "{good}");
        }
        for bad in ["", "1a", "-a", "AWS", "a_b", &"a".repeat(17)] {
            assert_eq!(bad.parse::<ProviderKind>(), Err(IdError::NotAProviderKind), "{bad}");
        }
    }
}
