//! Why a registry file cannot be used, and what to do about it.

use std::path::{Path, PathBuf};

use leasehold_ids::DeploymentId;
use leasehold_tenant::RegistryError;

/// Primary result codes (<https://www.sqlite.org/rescode.html>).
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const NOTADB: i32 = 26;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a registry file cannot be used, and what to do about it. Whatever was to be written is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteError {
    /// There is no such file, and none was to be made.
    #[error("there is no registry at {path}")]
    Absent {
        /// Where it should be.
        path: PathBuf,
    },
    /// The file cannot be opened or made.
    #[error(
        "the registry {path} cannot be opened; its directory must exist, or be one that this user may make, and this user \
             must be allowed to write to both"
    )]
    Unopenable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Source,
    },
    /// Others than its owner may use the file. Whoever can write to it decides whose key is whose.
    #[error(
        "others than its owner may use the registry {path} (its mode is {mode:o}): chmod 600 it, once it is certain \
             that nobody altered it"
    )]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file is something else.
    #[error("{path} is not a registry of Leasehold; name another file")]
    NotARegistry {
        /// Which file.
        path: PathBuf,
    },
    /// A later release wrote the file.
    #[error(
        "a later release of Leasehold wrote the registry {path} (its schema is {found}, and this release knows {known}): \
             use that release"
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema that this release knows.
        known: i64,
    },
    /// An earlier release wrote the file, and it was not to be upgraded.
    #[error(
        "an earlier release of Leasehold wrote the registry {path} (its schema is {found}, and this release knows {known}): \
             start the service once, which upgrades it"
    )]
    Older {
        /// Which file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema that this release knows.
        known: i64,
    },
    /// The file has not the tables that its schema has.
    #[error(
        "the registry {path} says that its schema is {schema}, and its {name} is another one: a build from before the release of \
             that schema made it, or somebody altered it. Export its tenants with the build that made it, move it away with \
             its -wal and -shm, and import them into a new one"
    )]
    Altered {
        /// Which file.
        path: PathBuf,
        /// The schema that it says.
        schema: i64,
        /// The first table or trigger that is not the one of that schema, is missing, or is there beside them.
        name: String,
    },
    /// The tenants in the file are another deployment's. External ids are derived from the deployment, so they would be
    /// wrong.
    #[error(
        "the registry {path} is of the deployment {kept}, and this is {given}: a deployment's name never changes"
    )]
    OtherDeployment {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        kept: String,
        /// Who wants to use it.
        given: DeploymentId,
    },
    /// The file system is one that write-ahead logging does not work on.
    #[error("the registry {path} cannot be logged ahead of writes: put it on a local file system")]
    NoWriteAheadLog {
        /// Which file.
        path: PathBuf,
    },
    /// Somebody else holds the file for longer than anybody should.
    #[error("the registry {path} is locked by another process: end that process, or what it is doing")]
    Locked {
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: Source,
    },
    /// The file was moved or removed while it was open: what is written to it would be gone at the next start.
    #[error(
        "the registry {path} is no longer the file that was opened: put that one back, or start again with the one that is there"
    )]
    Replaced {
        /// Which file.
        path: PathBuf,
    },
    /// The file or its file system is read-only.
    #[error("the registry {path} cannot be written to: make the file and its file system writable")]
    ReadOnly {
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: Source,
    },
    /// There is no room.
    #[error("there is no room for the registry {path}: make some on its file system")]
    Full {
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: Source,
    },
    /// The disk failed. A quota that is used up counts as that.
    #[error(
        "the disk failed under the registry {path}: see what the kernel logged, and whether a quota is used up"
    )]
    Disk {
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: Source,
    },
    /// The file is not what SQLite wrote.
    #[error(
        "the registry {path} is damaged: end every process that uses it, move it away with its -wal and -shm, and put a copy in \
             its place, or import an export into a new file"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: Source,
    },
    /// Anything else.
    #[error("the registry {path} failed")]
    Failed {
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: Source,
    },
}

impl SqliteError {
    /// What an error of SQLite's means for the file at `path`.
    pub(super) fn of(path: &Path, error: sqlx::Error) -> Self {
        let code =
            error.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse().ok());
        let timed_out = matches!(error, sqlx::Error::PoolTimedOut);
        let (path, source) = (path.to_owned(), Source::from(error));
        // The lowest byte of an extended code is the primary one.
        match code.map(|code: i32| code & 0xff) {
            Some(BUSY | LOCKED) => Self::Locked { path, source },
            Some(READONLY) => Self::ReadOnly { path, source },
            Some(IOERR) => Self::Disk { path, source },
            Some(FULL) => Self::Full { path, source },
            Some(CORRUPT) => Self::Damaged { path, source },
            Some(NOTADB) => Self::NotARegistry { path },
            Some(CANTOPEN) => Self::Unopenable { path, source },
            _ if timed_out => Self::Locked { path, source },
            _ => Self::Failed { path, source },
        }
    }
}

impl From<SqliteError> for RegistryError {
    fn from(error: SqliteError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}
