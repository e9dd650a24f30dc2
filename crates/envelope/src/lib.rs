//! The bytes of a wrapped key: format, parser and encryption context.
//!
//! Owns the envelope of `docs/envelope.md`: its [`Header`], its [`Body`] and the digest that binds the one to the other
//! through the cloud; and the [`EncryptionContext`] with its commitment. Pure: no clock, no randomness, no I/O.
//!
//! Deliberately does not encrypt, does not know what a key id means to its cloud, and does not decide which envelope a
//! binding accepts.
//!
//! Invariants: [`Envelope::parse`] is the single way in and is total, every byte string giving a value or a typed error;
//! an envelope has exactly one encoding, so parsing and encoding undo each other; a value of a type in this crate is
//! within its bounds; whatever a released version encoded, later versions parse.
//!
//! Reading order: `envelope`, `header`, `key_name`, `context`, `wrapped`, `reader`.

mod context;
mod digest;
mod envelope;
mod error;
mod header;
mod hierarchy;
mod key_name;
mod reader;
mod scope;
mod wrapped;

pub use context::EncryptionContext;
pub use digest::{ContextCommitment, HeaderDigest};
pub use envelope::{Body, Envelope, MAX_ENVELOPE};
pub use error::{ContextError, EnvelopeError};
pub use header::{CONTEXT_HEADER, CONTEXT_PURPOSE, Header};
pub use hierarchy::{Hierarchy, Purpose};
pub use key_name::{KeyId, KeyVersion};
pub use scope::KekScope;
pub use wrapped::WrappedKey;
