//! Tells of changes, whoever made them.

use std::sync::Arc;
use std::time::Duration;

use leasehold_clock::TimeSource;
use leasehold_tenant::Change;
use sqlx::SqlitePool;
use tokio::sync::{Notify, broadcast};

use super::file::Opened;
use super::{SqliteError, statements};

/// How often the file is asked what other processes changed: a record that was imported is in force within this time. It
/// costs one look at an index that is in memory.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Most changes that are read at once: what a receiver may fall behind.
const AT_ONCE: i64 = 1024;

/// Reads which changes were committed, in their order, and announces each once.
pub(super) struct Announcer {
    pub(super) file: Arc<Opened>,
    pub(super) readers: SqlitePool,
    pub(super) changes: broadcast::Sender<Change>,
    /// Notified after each change of this process, which need not wait to be found.
    pub(super) changed: Arc<Notify>,
    pub(super) clock: Arc<dyn TimeSource>,
    /// The number of the newest change that was announced, or need not be.
    pub(super) announced: i64,
}

impl Announcer {
    /// Goes on until it is aborted.
    pub(super) async fn run(mut self) {
        let mut answered = true;
        loop {
            tokio::select! {
                () = self.changed.notified() => {}
                () = self.clock.sleep(LOOK_AGAIN) => {}
            }
            let result = self.announce().await;
            // What cannot be read now is announced when it can be; those who hold records ask for themselves too.
            if let (true, Err(error)) = (answered, &result) {
                let error = error as &dyn std::error::Error;
                tracing::warn!(error, "the registry does not say what changed; trying again");
            }
            answered = result.is_ok();
        }
    }

    async fn announce(&mut self) -> Result<(), SqliteError> {
        loop {
            self.file.check()?;
            let changes = statements::changes(self.announced, AT_ONCE).fetch_all(&self.readers).await;
            let changes = changes.map_err(|error| SqliteError::of(self.file.path(), error))?;
            let Some((newest, _)) = changes.last() else { return Ok(()) };
            self.announced = *newest;
            for (_, tenant) in changes {
                // An id that is none can only be somebody's handiwork; whoever reads that record is told.
                let change = tenant.parse().map_or(Change::Unknown, Change::Tenant);
                // Nobody listening is no error.
                let _ = self.changes.send(change);
            }
        }
    }
}
