//! Why bytes are not an envelope and pairs are not a context. Both are the caller's to mend.

use crate::context::{MAX_ENTRIES, MAX_TEXT};
use crate::envelope::MAX_ENVELOPE;

/// Bytes, or parts, that make no envelope. The text never echoes the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// No bytes at all.
    #[error("a wrapped key is empty; pass the bytes that a wrap returned")]
    Empty,
    /// More than [`MAX_ENVELOPE`] bytes.
    #[error("a wrapped key has at most {MAX_ENVELOPE} bytes, not {bytes}")]
    TooLarge {
        /// Bytes given, or that an encoding would take.
        bytes: usize,
    },
    /// The bytes end before the envelope does.
    #[error("the envelope is cut short; store wrapped keys whole")]
    Truncated,
    /// Bytes follow the envelope.
    #[error("{bytes} bytes follow the end of the envelope; store wrapped keys as they were returned")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
    /// The magic is missing: these bytes were not made by Leasehold.
    #[error("not a Leasehold envelope; pass the bytes that a wrap returned")]
    NotAnEnvelope,
    /// Made by a newer version than this one.
    #[error("envelope format version {version} is not supported; upgrade this replica")]
    UnsupportedVersion {
        /// The version byte.
        version: u8,
    },
    /// The hierarchy byte means nothing in this version of the format.
    #[error("envelope has an unknown key hierarchy, code {code}")]
    UnknownHierarchy {
        /// The hierarchy byte.
        code: u8,
    },
    /// A field whose length or characters are not allowed.
    #[error("{field} of the envelope is malformed")]
    InvalidField {
        /// Which field, in words.
        field: &'static str,
    },
    /// The header announces another body than the one given.
    #[error("the header's hierarchy is not that of the body")]
    HierarchyMismatch,
    /// Text that is not base64 of a wrapped key.
    #[error("a wrapped key as text must be standard base64 with padding")]
    NotBase64,
}

/// Pairs that make no encryption context. The text never echoes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// More than 8 entries.
    #[error("an encryption context has at most {MAX_ENTRIES} entries")]
    TooManyEntries,
    /// The same entry twice.
    #[error("an encryption context names each entry once")]
    Duplicate,
    /// A name of a wrong length or with control characters.
    #[error("an encryption context entry's name has 1 to {MAX_TEXT} bytes and no control characters")]
    InvalidName,
    /// A value of a wrong length or with control characters.
    #[error("an encryption context entry's value has 1 to {MAX_TEXT} bytes and no control characters")]
    InvalidValue,
    /// A name that begins with `aws:` or `leasehold:` in any case.
    #[error(
        "encryption context names beginning with \"aws:\" or \"leasehold:\" are reserved; choose another"
    )]
    Reserved,
}
