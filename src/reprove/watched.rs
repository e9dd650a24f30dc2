//! Files that may be replaced while the process runs.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use leasehold_clock::TimeSource;

/// How often files are looked at. Two `stat`s every 2 s for each feed cost nothing that can be measured.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What tells one version of a file from the next: a rename, a write in place or another target of a symbolic link.
type Stamp = (u64, u64, u64, i64, i64);

/// What was read from some files, and is read again when they change.
pub(super) struct Watched<T, E> {
    files: Vec<PathBuf>,
    read: fn(&[PathBuf]) -> Result<T, E>,
    current: RwLock<Arc<T>>,
    seen: Mutex<Vec<Option<Stamp>>>,
}

/// Something that looks at its files.
pub(super) trait Look: Send + Sync {
    /// Reads the files again if they changed. What they made before stays in force if they make nothing now: a file that
    /// is being replaced must not lock a feed out.
    fn look(&self);
}

impl<T, E: std::error::Error> Watched<T, E> {
    /// Reads `files` for the first time.
    ///
    /// # Errors
    /// What `read` says.
    pub(super) fn open(files: Vec<PathBuf>, read: fn(&[PathBuf]) -> Result<T, E>) -> Result<Self, E> {
        let seen = Mutex::new(stamps(&files));
        let current = RwLock::new(Arc::new(read(&files)?));
        Ok(Self { files, read, current, seen })
    }

    pub(super) fn current(&self) -> Arc<T> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T: Send + Sync, E: std::error::Error + 'static> Look for Watched<T, E> {
    fn look(&self) {
        // Before reading: what changes meanwhile is seen the next time.
        let now = stamps(&self.files);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return;
        }
        *seen = now;
        let file = self.files.first().map(|file| file.display().to_string()).unwrap_or_default();
        match (self.read)(&self.files) {
            Ok(made) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(made);
                tracing::info!(file, "read again");
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(file, error, "cannot be used; what it was before stays in force");
            }
        }
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |m: Metadata| (m.dev(), m.ino(), m.size(), m.ctime(), m.ctime_nsec());
    files.iter().map(|file| std::fs::metadata(file).ok().map(stamp)).collect()
}

/// Looks at all of `watched` from time to time, for as long as it is polled.
pub(super) async fn keep_looking(watched: Vec<Arc<dyn Look>>, clock: Arc<dyn TimeSource>) {
    let watched = Arc::new(watched);
    loop {
        clock.sleep(LOOK_EVERY).await;
        let watched = Arc::clone(&watched);
        // The file system may be slow, a network's for example. One look at a time.
        let looked = tokio::task::spawn_blocking(move || watched.iter().for_each(|file| file.look()));
        if looked.await.is_err() {
            tracing::error!("looking at files failed");
        }
    }
}

/// The longest file that is read: a chain of certificates takes some 8 KiB.
const MAX_FILE: u64 = 256 * 1024;

/// The whole of a small file.
pub(super) fn read_small(file: &Path) -> std::io::Result<zeroize::Zeroizing<Vec<u8>>> {
    use std::io::Read;
    let opened = std::fs::File::open(file)?;
    let length = opened.metadata()?.len();
    if length > MAX_FILE {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, "larger than 256 KiB"));
    }
    let mut content = zeroize::Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1));
    opened.take(MAX_FILE).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_leaves_what_was_before_in_force() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("number");
        let replace = |text: &str| {
            std::fs::write(directory.path().join("new"), text).unwrap();
            std::fs::rename(directory.path().join("new"), &file).unwrap();
        };
        let read = |files: &[PathBuf]| std::fs::read_to_string(&files[0]).unwrap_or_default().parse::<u32>();
        assert!(Watched::open(vec![file.clone()], read).is_err(), "nothing was in force yet");
        replace("1");
        let watched = Watched::open(vec![file.clone()], read).unwrap();
        for (text, expected) in [("2", 2), ("three", 2), ("4", 4)] {
            replace(text);
            watched.look();
            assert_eq!(*watched.current(), expected, "{text}");
        }
        std::fs::remove_file(&file).unwrap();
        watched.look();
        assert_eq!(*watched.current(), 4);
    }
}
