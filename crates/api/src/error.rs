//! Why a message is not a value of the model.

/// A field that is missing, malformed or out of bounds. The text says what a valid one looks like and never echoes the
/// input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {what}")]
pub struct FieldError {
    field: Box<str>,
    what: Box<str>,
}

impl FieldError {
    /// `what` is wrong with `field`, which is a path as in a field mask: `tenant.lease_terms.idle_after`.
    pub fn new(field: impl Into<Box<str>>, what: impl std::fmt::Display) -> Self {
        Self { field: field.into(), what: what.to_string().into() }
    }

    /// The path of the field.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong with it, in one clause.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The same error, seen from a message in which this one is the field `outer`.
    #[must_use]
    pub fn inside(self, outer: &str) -> Self {
        Self { field: format!("{outer}.{}", self.field).into(), what: self.what }
    }
}
