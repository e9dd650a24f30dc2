//! The file itself: that it is there, and nobody else's to use.

use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{Absent, SqliteError};

/// A file that was opened by its path.
#[derive(Debug)]
pub(super) struct Opened {
    path: PathBuf,
    identity: Option<Identity>,
}

/// What two names of one file have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Opened {
    /// The file that `path` leads to now.
    pub(super) fn at(path: PathBuf) -> Self {
        Self { identity: Identity::at(&path), path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is still where it was. SQLite does not notice if it is not: what it then writes to the file is gone at the
    /// next start, and a connection that it makes leads to another file.
    pub(super) fn check(&self) -> Result<(), SqliteError> {
        match Identity::at(&self.path) == self.identity {
            true => Ok(()),
            false => Err(SqliteError::Replaced { path: self.path.clone() }),
        }
    }
}

impl Identity {
    fn at(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata| Self { device: metadata.dev(), inode: metadata.ino() })
    }
}

/// Makes sure that the file at `path` is there, if it may be made, and that only its owner may use it. SQLite gives the files
/// beside it (`-wal`, `-shm`) the same permissions.
pub(super) fn prepare(path: &Path, absent: Absent) -> Result<(), SqliteError> {
    let failed = |error: std::io::Error| match (error.kind(), path.to_owned()) {
        (ErrorKind::NotFound, path) if absent == Absent::Refuse => SqliteError::Absent { path },
        (ErrorKind::ReadOnlyFilesystem, path) => SqliteError::ReadOnly { path, source: error.into() },
        (ErrorKind::StorageFull, path) => SqliteError::Full { path, source: error.into() },
        (_, path) => SqliteError::Unopenable { path, source: error.into() },
    };
    let create = absent == Absent::Create;
    if let Some(directory) = path.parent().filter(|_| create) {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    }
    let file =
        OpenOptions::new().read(true).write(true).create(create).mode(0o600).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(SqliteError::NotARegistry { path: path.to_owned() });
    }
    match metadata.mode() & 0o7777 {
        mode if mode & 0o077 == 0 => Ok(()),
        mode => Err(SqliteError::Exposed { path: path.to_owned(), mode }),
    }
}

/// `path` from the root on, so that it means the same wherever the process goes, and is never taken for a URI.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, SqliteError> {
    std::path::absolute(path)
        .map_err(|error| SqliteError::Unopenable { path: path.to_owned(), source: error.into() })
}
