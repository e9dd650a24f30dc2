//! The condition keys that hold for one request.

use std::collections::BTreeMap;

/// The condition keys of a request and their values.
///
/// Keys are case-insensitive, as IAM has them; values are not. A key without values counts as absent.
///
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/intro-structure.html#intro-structure-request>
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConditionContext {
    entries: BTreeMap<String, Vec<String>>,
}

impl ConditionContext {
    /// A context without any key.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives a key its one value, in place of what it had.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.set_many(key, vec![value.into()]);
    }

    /// Gives a key its values, in place of what it had.
    pub fn set_many(&mut self, key: &str, values: Vec<String>) {
        self.entries.insert(key.to_ascii_lowercase(), values);
    }

    /// The values of a key; empty if it is absent.
    pub fn values(&self, key: &str) -> &[String] {
        self.entries.get(&key.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// The value of a key that has exactly one, which is what a policy variable may stand for.
    pub(super) fn single(&self, key: &str) -> Option<&str> {
        match self.values(key) {
            [value] => Some(value),
            _ => None,
        }
    }
}
