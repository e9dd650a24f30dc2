//! What of a tenant's encryption contexts may be written down.

use std::collections::BTreeSet;

use leasehold_envelope::{ContextError, EncryptionContext};

/// The names of the entries of encryption contexts whose values the tenant wants to read in the audit record. Of all others it
/// has a digest only. At most 8, as many as a context has entries.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "BTreeSet<String>", into = "BTreeSet<String>")]
pub struct LoggableContext(BTreeSet<String>);

impl LoggableContext {
    /// Entries of these names; one that comes twice counts once.
    ///
    /// # Errors
    /// A [`ContextError`] if one of them cannot be the name of an entry, or there are too many.
    pub fn try_from_iter<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Result<Self, ContextError> {
        Self::try_from(names.into_iter().map(Into::into).collect::<BTreeSet<_>>())
    }

    /// Whether the entry of this name may be written down.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, sorted by their bytes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + '_ {
        self.0.iter().map(String::as_str)
    }
}

impl TryFrom<BTreeSet<String>> for LoggableContext {
    type Error = ContextError;

    fn try_from(names: BTreeSet<String>) -> Result<Self, ContextError> {
        // What names entries that could be those of one context is what may be written here, and as many.
        EncryptionContext::try_from_iter(names.iter().map(|name| (name.as_str(), "value")))?;
        Ok(Self(names))
    }
}

impl From<LoggableContext> for BTreeSet<String> {
    fn from(loggable: LoggableContext) -> Self {
        loggable.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_in_a_context_can_be_marked() {
        let loggable = LoggableContext::try_from_iter(["branch", "project", "branch"]).unwrap();
        assert!(loggable.contains("branch") && !loggable.contains("timeline"));
        assert_eq!(loggable.iter().collect::<Vec<_>>(), ["branch", "project"]);
        let many: Vec<_> = (0..9).map(|n| n.to_string()).collect();
        assert_eq!(LoggableContext::try_from_iter(many), Err(ContextError::TooManyEntries));
        assert_eq!(LoggableContext::try_from_iter(["aws:x"]), Err(ContextError::Reserved));
        assert_eq!(LoggableContext::try_from_iter([""]), Err(ContextError::InvalidName));
    }
}
