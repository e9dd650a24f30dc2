//! Records in memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::{AuditError, Record, Sink};

/// Keeps records in memory, without a bound: for tests. Clones share the records.
#[derive(Debug, Clone, Default)]
pub struct MemorySink(Arc<State>);

#[derive(Debug, Default)]
struct State {
    records: Mutex<Vec<Record>>,
    broken: AtomicBool,
}

impl MemorySink {
    /// An empty sink.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was written so far, oldest first.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.held().clone()
    }

    /// Fails every write from now on.
    pub fn break_down(&self) {
        self.0.broken.store(true, Ordering::SeqCst);
    }

    /// Takes writes again.
    pub fn mend(&self) {
        self.0.broken.store(false, Ordering::SeqCst);
    }

    fn held(&self) -> MutexGuard<'_, Vec<Record>> {
        self.0.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sink for MemorySink {
    async fn write(&self, record: Record) -> Result<(), AuditError> {
        if self.0.broken.load(Ordering::SeqCst) {
            return Err(AuditError::Closed);
        }
        self.held().push(record);
        Ok(())
    }
}
