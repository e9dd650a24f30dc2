//! The trait of whatever keeps records.

use async_trait::async_trait;

use crate::{AuditError, Record, Stranger};

/// Keeps records.
///
/// To write your own: return success only once the record is as safe as the sink can make it; keep records in the order
/// in which they were given; bound your queue and the time for which a caller waits, and fail rather than exceed them;
/// never drop a record silently.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Keeps `record`.
    ///
    /// # Errors
    /// See [`AuditError`]; the record is then not certainly kept.
    async fn write(&self, record: Record) -> Result<(), AuditError>;

    /// Counts a refusal of somebody who is nobody yet, to be recorded with others of its kind. Does not wait, and takes room
    /// that is bounded, however many there are.
    fn turned_away(&self, stranger: Stranger);

    /// Keeps everything that was given so far, and then nothing more.
    async fn close(&self);
}
