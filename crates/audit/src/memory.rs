//! Records in memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::{AuditError, Record, Sink, Stranger};

/// Keeps records in memory, without a bound: for tests. Clones share the records.
#[derive(Debug, Clone, Default)]
pub struct MemorySink(Arc<State>);

#[derive(Debug, Default)]
struct State {
    kept: Mutex<Kept>,
    broken: AtomicBool,
}

#[derive(Debug, Default)]
struct Kept {
    records: Vec<Record>,
    strangers: Vec<Stranger>,
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
        self.kept().records.clone()
    }

    /// Who was turned away so far, oldest first.
    #[must_use]
    pub fn strangers(&self) -> Vec<Stranger> {
        self.kept().strangers.clone()
    }

    /// Fails every write from now on.
    pub fn break_down(&self) {
        self.0.broken.store(true, Ordering::SeqCst);
    }

    /// Takes writes again.
    pub fn mend(&self) {
        self.0.broken.store(false, Ordering::SeqCst);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sink for MemorySink {
    async fn write(&self, record: Record) -> Result<(), AuditError> {
        if self.0.broken.load(Ordering::SeqCst) {
            return Err(AuditError::Closed);
        }
        self.kept().records.push(record);
        Ok(())
    }

    fn turned_away(&self, stranger: Stranger) {
        self.kept().strangers.push(stranger);
    }

    async fn close(&self) {}
}
