//! A cursor over untrusted bytes that cannot read past their end.

use std::str::FromStr;

use crate::EnvelopeError;

/// What is still to be read.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], EnvelopeError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(EnvelopeError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    /// A field preceded by its length in one byte.
    pub(crate) fn short(&mut self) -> Result<&'a [u8], EnvelopeError> {
        let [len] = self.array()?;
        self.take(len.into())
    }

    /// A field preceded by its length in two bytes, big-endian.
    pub(crate) fn long(&mut self) -> Result<&'a [u8], EnvelopeError> {
        let len = u16::from_be_bytes(self.array()?);
        self.take(len.into())
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), EnvelopeError> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(EnvelopeError::TrailingBytes { bytes }),
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], EnvelopeError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(EnvelopeError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }
}

/// Parses a text field by the rules of its own type.
pub(crate) fn text<T: FromStr>(bytes: &[u8], field: &'static str) -> Result<T, EnvelopeError> {
    let text = str::from_utf8(bytes).ok();
    text.and_then(|t| t.parse().ok()).ok_or(EnvelopeError::InvalidField { field })
}
