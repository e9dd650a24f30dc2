//! Why a record was not kept.

use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A record that was not, or not certainly, kept. Whoever waited for it must not act as if it were.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The sink could not be set up; the operator's to mend.
    #[error("the audit sink cannot be opened")]
    Open(#[source] Arc<io::Error>),
    /// The records could not be written; the operator's to mend. Part of them may be there.
    #[error("the audit sink cannot be written to")]
    Write(#[source] Arc<io::Error>),
    /// The queue is full: the sink is slower than the decisions.
    #[error("the audit sink's queue of {capacity} records is full")]
    QueueFull {
        /// How many records the queue holds.
        capacity: usize,
    },
    /// The sink did not answer in time. The record may be kept yet.
    #[error("the audit sink did not answer within {after:?}")]
    Late {
        /// How long it was waited for.
        after: Duration,
    },
    /// The record could not be encoded: a defect.
    #[error("an audit record cannot be encoded")]
    Encode(#[source] Arc<serde_json::Error>),
    /// The sink is gone.
    #[error("the audit sink was closed")]
    Closed,
}
