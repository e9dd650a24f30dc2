//! Which DEKs share a KEK.

use std::fmt;

use crate::{ContextError, EncryptionContext, EnvelopeError, context};

/// The part of the encryption context that a KEK is bound to, and so which DEKs share it: those of the whole binding, or
/// those whose context has the same value in one named entry. Carried in the envelope, because the setting may change while
/// the envelope stays.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KekScope {
    /// Empty stands for the whole binding; no entry of a context has an empty name.
    name: Box<str>,
}

impl KekScope {
    /// One KEK for all DEKs of the binding.
    #[must_use]
    pub fn binding() -> Self {
        Self { name: Box::default() }
    }

    /// One KEK for each value of the context entry with this name.
    ///
    /// # Errors
    /// [`ContextError::InvalidName`] or [`ContextError::Reserved`] if no context can have such an entry.
    pub fn entry(name: &str) -> Result<Self, ContextError> {
        context::check_name(name)?;
        Ok(Self { name: name.into() })
    }

    /// The name of the entry; none for the whole binding.
    #[must_use]
    pub fn entry_name(&self) -> Option<&str> {
        (!self.name.is_empty()).then_some(&self.name)
    }

    /// What the KEK itself is bound to: `context` without all that lies outside of the scope. None if `context` lacks the
    /// entry that the scope names.
    #[must_use]
    pub fn narrow(&self, context: &EncryptionContext) -> Option<EncryptionContext> {
        let Some(name) = self.entry_name() else { return Some(EncryptionContext::empty()) };
        let value = context.get(name)?;
        EncryptionContext::try_from_iter([(name, value)]).ok()
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let invalid = EnvelopeError::InvalidField { field: "KEK scope" };
        match str::from_utf8(bytes).map_err(|_| invalid)? {
            "" => Ok(Self::binding()),
            name => Self::entry(name).map_err(|_| invalid),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.name.as_bytes()
    }
}

/// `binding`, or the name of the entry in quotes.
impl fmt::Display for KekScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry_name() {
            None => f.write_str("binding"),
            Some(name) => write!(f, "{name:?}"),
        }
    }
}
