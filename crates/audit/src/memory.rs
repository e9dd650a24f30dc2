//! Records in memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Barrier;

use crate::{AuditError, Record, Sink, Stranger};

/// Keeps records in memory, without a bound: for tests. Clones share the records.
#[derive(Debug, Clone, Default)]
pub struct MemorySink(Arc<State>);

#[derive(Debug, Default)]
struct State {
    kept: Mutex<Kept>,
    broken: AtomicBool,
    /// How many writes wait for each other.
    together: Mutex<Option<Arc<Barrier>>>,
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

    /// From now on writes wait until there are `writes` of them, as the writes of one group do.
    pub fn take_together(&self, writes: usize) {
        *self.0.together.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Arc::new(Barrier::new(writes)));
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
        let together = self.0.together.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(together) = together {
            together.wait().await;
        }
        self.kept().records.push(record);
        Ok(())
    }

    fn turned_away(&self, stranger: Stranger) {
        self.kept().strangers.push(stranger);
    }

    async fn close(&self) {}
}
