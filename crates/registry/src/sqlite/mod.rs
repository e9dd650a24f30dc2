//! Tenants in a SQLite file.
//!
//! One connection writes and a few read, each with a thread of its own. A change is one transaction of the write-ahead log,
//! on the disk (`synchronous=FULL`) when it is acknowledged.

mod announcer;
mod error;
mod file;
mod schema;
mod statements;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_clock::TimeSource;
use leasehold_ids::{DeploymentId, TenantId};
use leasehold_tenant::{Change, HISTORY_PAGE, Page, PageRequest, Registry, RegistryError, Tenant};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Sqlite, SqliteConnection, SqlitePool, Transaction};
use tokio::sync::{Notify, broadcast};
use tokio_util::task::AbortOnDropHandle;

use crate::ANNOUNCEMENTS;
use crate::rows::{self, BindingRow, RowError, TenantRow};
use announcer::Announcer;
use file::Opened;

pub use error::SqliteError;

/// How long a connection waits for another process's lock. Less than the 2 s that the service waits for us, so that the log
/// says what it was waiting for.
const BUSY: Duration = Duration::from_millis(1500);

/// How long to wait for a connection that is in use: some hundred changes, if they all wait for a disk that takes 50 ms.
const TURN: Duration = Duration::from_secs(5);

/// Connections that read. Reading a record takes some 100 µs, and what is known is held in memory above us.
const READERS: u32 = 4;

/// What to do if there is no file, or one of an earlier release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// Make it, with its directory; upgrade it.
    Create,
    /// Refuse.
    Refuse,
}

/// Which file.
#[derive(Debug, Clone)]
pub struct SqliteSettings {
    /// Where it is, on a local file system. `-wal` and `-shm` beside it belong to it.
    pub path: PathBuf,
    /// Whose tenants it has. A file keeps the name of the deployment that made it, and is of no use to another.
    pub deployment: DeploymentId,
    /// What to do if it is not there.
    pub absent: Absent,
}

/// Keeps tenants in a SQLite file. Clones share it. Several processes of one machine may use the same file.
#[derive(Debug, Clone)]
pub struct SqliteRegistry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: Arc<Opened>,
    /// One connection: a second one would only wait for it.
    writer: SqlitePool,
    readers: SqlitePool,
    changes: broadcast::Sender<Change>,
    changed: Arc<Notify>,
    /// Ends with the last clone.
    _announcer: AbortOnDropHandle<()>,
}

impl SqliteRegistry {
    /// Opens the file. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`SqliteError`]: each says what to do.
    pub async fn open(settings: SqliteSettings, clock: Arc<dyn TimeSource>) -> Result<Self, SqliteError> {
        let path = file::absolute(&settings.path)?;
        file::prepare(&path, settings.absent)?;
        Self::connect(options(&path), path, &settings, clock).await
    }

    async fn connect(
        options: SqliteConnectOptions,
        path: PathBuf,
        settings: &SqliteSettings,
        clock: Arc<dyn TimeSource>,
    ) -> Result<Self, SqliteError> {
        let file = Arc::new(Opened::at(path));
        let failed = |error| SqliteError::of(file.path(), error);
        let mut first = options.connect().await.map_err(failed)?;
        schema::prepare(&mut first, file.path(), &settings.deployment, settings.absent).await?;
        let (announced,) = statements::newest_change().fetch_one(&mut first).await.map_err(failed)?;
        let (writer, readers) = (pool(1, &options), pool(READERS, &options));
        // Not before the pool has one: the last connection that closes takes the log with it.
        drop(readers.acquire().await.map_err(failed)?);
        first.close().await.map_err(failed)?;
        let (changes, changed) = (broadcast::Sender::new(ANNOUNCEMENTS), Arc::new(Notify::new()));
        let announcer = Announcer {
            file: Arc::clone(&file),
            readers: readers.clone(),
            changes: changes.clone(),
            changed: Arc::clone(&changed),
            clock,
            announced,
        };
        let announcer = AbortOnDropHandle::new(tokio::spawn(announcer.run()));
        Ok(Self(Arc::new(Inner { file, writer, readers, changes, changed, _announcer: announcer })))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.file.path()
    }

    /// Waits for what is under way and closes the file, so that it can be copied or moved. Whatever is asked afterwards is
    /// refused. A process that ends without this loses nothing.
    pub async fn close(&self) {
        self.0.readers.close().await;
        self.0.writer.close().await;
    }

    fn failed(&self, error: sqlx::Error) -> RegistryError {
        SqliteError::of(self.path(), error).into()
    }

    /// A view of one moment: what is read in it belongs together.
    async fn view(&self) -> Result<Transaction<'_, Sqlite>, RegistryError> {
        self.0.file.check()?;
        self.0.readers.begin().await.map_err(|error| self.failed(error))
    }

    async fn change(&self) -> Result<Transaction<'_, Sqlite>, RegistryError> {
        self.0.file.check()?;
        let begun = self.0.writer.begin_with(statements::BEGIN_TO_WRITE).await;
        begun.map_err(|error| self.failed(error))
    }

    async fn commit(&self, change: Transaction<'_, Sqlite>) -> Result<(), RegistryError> {
        change.commit().await.map_err(|error| self.failed(error))?;
        self.0.changed.notify_one();
        Ok(())
    }

    async fn read(&self, view: &mut SqliteConnection, id: &TenantId) -> Result<Tenant, RegistryError> {
        let row = statements::tenant(id.as_str()).fetch_optional(&mut *view).await;
        let Some(row) = row.map_err(|error| self.failed(error))? else {
            return Err(RegistryError::NotFound(id.clone()));
        };
        let bindings = statements::bindings(id.as_str(), id.as_str()).fetch_all(view).await;
        rows::record(row, bindings.map_err(|error| self.failed(error))?)
    }

    /// Adds a revision, and the versions of bindings that it brings.
    async fn add(
        &self,
        change: &mut SqliteConnection,
        tenant: &Tenant,
        before: Option<&Tenant>,
    ) -> Result<(), RegistryError> {
        let bad = |error: RowError| rows::bad(tenant.id.to_string(), error);
        let row = TenantRow::of(tenant).map_err(bad)?;
        statements::add_revision(row).execute(&mut *change).await.map_err(|error| self.failed(error))?;
        let kept = |id| before.and_then(|before| before.bindings.get(id));
        for (_, binding) in tenant.bindings.iter().filter(|(id, binding)| kept(id) != Some(binding)) {
            let row = BindingRow::of(binding, tenant.revision).map_err(bad)?;
            statements::add_version(row).execute(&mut *change).await.map_err(|error| self.failed(error))?;
        }
        Ok(())
    }
}

#[async_trait]
impl Registry for SqliteRegistry {
    async fn create(&self, tenant: Tenant) -> Result<(), RegistryError> {
        let revision = rows::revision(&tenant)?;
        let mut change = self.change().await?;
        let taken = statements::take_id(tenant.id.as_str(), revision).execute(&mut *change).await;
        if taken.map_err(|error| self.failed(error))?.rows_affected() == 0 {
            return Err(RegistryError::Exists(tenant.id));
        }
        self.add(&mut change, &tenant, None).await?;
        self.commit(change).await
    }

    async fn tenant(&self, id: &TenantId) -> Result<Arc<Tenant>, RegistryError> {
        let mut view = self.view().await?;
        self.read(&mut view, id).await.map(Arc::new)
    }

    async fn replace(&self, tenant: Tenant, expected: u64) -> Result<(), RegistryError> {
        let revision = rows::revision(&tenant)?;
        let mut change = self.change().await?;
        let before = self.read(&mut change, &tenant.id).await?;
        if before.revision != expected {
            return Err(RegistryError::Conflict(tenant.id));
        }
        tenant.check_follows(&before).map_err(|why| RegistryError::Unfollowing(tenant.id.clone(), why))?;
        self.add(&mut change, &tenant, Some(&before)).await?;
        let put = statements::put_in_force(tenant.id.as_str(), revision).execute(&mut *change).await;
        put.map_err(|error| self.failed(error))?;
        self.commit(change).await
    }

    async fn list(&self, page: PageRequest) -> Result<Page, RegistryError> {
        let limit = page.limit();
        let mut after = page.after.map_or(String::new(), |after| after.to_string());
        let mut listing = Page { tenants: Vec::new(), bad: Vec::new(), next: None };
        let mut view = self.view().await?;
        loop {
            // One more than wanted, to know whether there are more.
            let rows = statements::tenants(&after, page.show_deleted, rows::count(limit + 1));
            let mut rows = rows.fetch_all(&mut *view).await.map_err(|error| self.failed(error))?;
            let more = rows.len() > limit - listing.tenants.len();
            rows.truncate(limit - listing.tenants.len());
            let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(listing) };
            let bindings = statements::bindings(&first.tenant, &last.tenant).fetch_all(&mut *view).await;
            let bindings = bindings.map_err(|error| self.failed(error))?;
            after.clone_from(&last.tenant);
            for record in rows::records(rows, bindings) {
                match record {
                    Ok(tenant) => listing.tenants.push(tenant),
                    Err(error) => listing.bad.push(error),
                }
            }
            // Where somebody altered the last id, no page can begin after it, and this one goes on.
            listing.next = after.parse().ok().filter(|_| more);
            if !more || listing.next.is_some() {
                return Ok(listing);
            }
        }
    }

    async fn history(&self, id: &TenantId, after: u64) -> Result<Vec<Arc<Tenant>>, RegistryError> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let mut view = self.view().await?;
        let revisions = statements::revisions(id.as_str(), after, rows::count(HISTORY_PAGE));
        let revisions = revisions.fetch_all(&mut *view).await.map_err(|error| self.failed(error))?;
        let versions = statements::versions(id.as_str()).fetch_all(&mut *view).await;
        rows::history(revisions, &versions.map_err(|error| self.failed(error))?)
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.0.changes.subscribe()
    }
}

fn pool(connections: u32, options: &SqliteConnectOptions) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(TURN)
        // A connection to a file does not age.
        .max_lifetime(None)
        .idle_timeout(None)
        // SQLite ends a transaction by itself when the disk is full, for example, and sqlx believes that it goes on.
        .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
        .connect_lazy_with(options.clone())
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY)
        .foreign_keys(true)
        // With a write-ahead log, only this has a commit wait for the disk.
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
