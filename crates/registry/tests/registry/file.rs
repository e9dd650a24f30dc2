//! A registry file of its own for each test.

use std::path::PathBuf;
use std::sync::Arc;

use leasehold_clock::{SystemClock, TimeSource};
use leasehold_registry::{Absent, SqliteError, SqliteRegistry, SqliteSettings};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use tempfile::TempDir;

/// A directory in which a registry file is, or may be.
pub(crate) struct File {
    directory: PathBuf,
    /// Whose end is the directory's.
    _owned: Option<TempDir>,
}

impl File {
    /// In a directory of its own.
    pub(crate) fn new() -> Self {
        let owned = tempfile::tempdir().unwrap();
        Self { directory: owned.path().to_owned(), _owned: Some(owned) }
    }

    /// In somebody else's directory.
    pub(crate) fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), _owned: None }
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.directory.clone()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join("registry.db")
    }

    pub(crate) fn settings(&self) -> SqliteSettings {
        SqliteSettings { path: self.path(), deployment: "test".parse().unwrap(), absent: Absent::Create }
    }

    pub(crate) async fn open(&self) -> Result<SqliteRegistry, SqliteError> {
        self.open_with(self.settings(), Arc::new(SystemClock::start())).await
    }

    pub(crate) async fn open_with(
        &self,
        settings: SqliteSettings,
        clock: Arc<dyn TimeSource>,
    ) -> Result<SqliteRegistry, SqliteError> {
        SqliteRegistry::open(settings, clock).await
    }

    /// A connection of somebody else's.
    pub(crate) async fn stranger(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.path()).create_if_missing(true);
        options.connect().await.unwrap()
    }
}
