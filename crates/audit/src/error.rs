//! Why a record was not kept.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A record that was not, or not certainly, kept. Whoever waited for it must not act as if it were.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The journal cannot be opened; the operator's to mend.
    #[error("the audit journal {path} cannot be opened")]
    Open {
        /// What of it.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
    /// Another process writes the journal.
    #[error("another process writes the audit journal {0}; each process needs a directory of its own")]
    Locked(PathBuf),
    /// The end of the chain cannot be read, so that nothing can be added to it.
    #[error(
        "the audit journal cannot be gone on with, because {path} {what}; run `leasehold audit verify`, keep the directory as \
         it is, and name another one"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The file of the signing key cannot be used.
    #[error("the audit signing key {path} cannot be used: {what}")]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        what: Box<str>,
    },
    /// The records could not be written; the operator's to mend.
    #[error("the audit journal cannot be written to")]
    Write(#[source] Arc<io::Error>),
    /// The queue is full: the journal is slower than the decisions.
    #[error("the audit journal's queue of {capacity} records is full")]
    QueueFull {
        /// How many records the queue holds.
        capacity: usize,
    },
    /// The journal did not answer in time. The record may be kept yet.
    #[error("the audit journal did not answer within {after:?}")]
    Late {
        /// How long it was waited for.
        after: Duration,
    },
    /// The record could not be encoded: a defect.
    #[error("an audit record cannot be encoded")]
    Encode(#[source] Arc<serde_json::Error>),
    /// The record is longer than a line of the journal may be.
    #[error("an audit record of {bytes} bytes is too long")]
    TooLong {
        /// How long its line would be.
        bytes: usize,
    },
    /// The journal is closed.
    #[error("the audit journal was closed")]
    Closed,
}

impl AuditError {
    /// Whether the record may be kept nevertheless.
    #[must_use]
    pub fn is_uncertain(&self) -> bool {
        matches!(self, Self::Late { .. })
    }

    pub(crate) fn open(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Open { path: path.into(), source: Arc::new(source) }
    }

    pub(crate) fn encode(error: serde_json::Error) -> Self {
        Self::Encode(Arc::new(error))
    }
}
