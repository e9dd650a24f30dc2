//! Files that may be replaced while the process runs.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leasehold_clock::TimeSource;
use metrics::counter;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often files are looked at. Two `stat`s every 2 s for each feed cost nothing that can be measured.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What tells one version of a file from the next: a rename, a write in place or another target of a symbolic link.
type Stamp = (u64, u64, u64, i64, i64);

/// What was read from some files, and is read again when they change.
pub(crate) struct Watched<T, E> {
    files: Vec<PathBuf>,
    read: fn(&[PathBuf]) -> Result<T, E>,
    current: watch::Sender<Arc<T>>,
    /// What the files were when they were last read, or `None` if they have to be read again.
    seen: Mutex<Option<Vec<Option<Stamp>>>>,
    /// What is in force while the files cannot be used; what they made before, if this makes nothing.
    fallback: Option<fn() -> T>,
    /// Why what they make now may not follow what they made before.
    objection: fn(&T, &T) -> Result<(), E>,
}

/// Something that looks at its files.
pub(crate) trait Look: Send + Sync {
    /// Reads the files again if they changed, or could not be used.
    fn look(&self);
}

impl<T, E: std::error::Error> Watched<T, E> {
    /// Reads `files` for the first time. While they cannot be used later, `fallback` is in force, or else what they made
    /// before.
    ///
    /// # Errors
    /// What `read` says.
    pub(crate) fn open(
        files: Vec<PathBuf>,
        read: fn(&[PathBuf]) -> Result<T, E>,
        fallback: Option<fn() -> T>,
    ) -> Result<Self, E> {
        let seen = Mutex::new(Some(stamps(&files)));
        let current = watch::Sender::new(Arc::new(read(&files)?));
        Ok(Self { files, read, current, seen, fallback, objection: |_, _| Ok(()) })
    }

    /// Takes nothing over that may not follow what is in force, by what `objection` says of the two: then the files cannot be used.
    pub(crate) fn unless(mut self, objection: fn(&T, &T) -> Result<(), E>) -> Self {
        self.objection = objection;
        self
    }

    pub(crate) fn current(&self) -> Arc<T> {
        Arc::clone(&self.current.borrow())
    }

    /// Is told whenever there is something new.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<T>> {
        self.current.subscribe()
    }

    fn put(&self, made: T) {
        self.current.send_replace(Arc::new(made));
    }
}

impl<T: Send + Sync, E: std::error::Error + 'static> Look for Watched<T, E> {
    fn look(&self) {
        let now = stamps(&self.files);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.as_ref() == Some(&now) {
            return;
        }
        let file = self.files.first().map(|file| file.display().to_string()).unwrap_or_default();
        let made = (self.read)(&self.files);
        if stamps(&self.files) != now {
            // Somebody is writing, and what was read may be half of it: the next look will tell.
            tracing::debug!(file, "changes while it is read");
            return;
        }
        let is_news = seen.is_some();
        *seen = None;
        match made.and_then(|made| (self.objection)(&self.current(), &made).map(|()| made)) {
            Ok(made) => {
                self.put(made);
                *seen = Some(now);
                counter!("leasehold_reloads_total", "outcome" => "taken_over").increment(1);
                tracing::info!(file, "read again");
            }
            Err(error) if is_news => {
                counter!("leasehold_reloads_total", "outcome" => "refused").increment(1);
                let error = &error as &dyn std::error::Error;
                match self.fallback {
                    Some(fallback) => {
                        self.put(fallback());
                        tracing::error!(file, error, "cannot be used, and until it can nothing of it counts");
                    }
                    None => tracing::error!(file, error, "cannot be used; what it was before stays in force"),
                }
            }
            Err(_) => {}
        }
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |m: Metadata| (m.dev(), m.ino(), m.size(), m.ctime(), m.ctime_nsec());
    files.iter().map(|file| std::fs::metadata(file).ok().map(stamp)).collect()
}

/// Looks at all of `watched` from time to time, and at once on SIGHUP, for as long as it is polled.
///
/// # Errors
/// If signals cannot be listened for.
pub(crate) fn keep_looking(
    watched: Vec<Arc<dyn Look>>,
    clock: Arc<dyn TimeSource>,
) -> std::io::Result<impl Future<Output = ()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let watched = Arc::new(watched);
    Ok(async move {
        loop {
            tokio::select! {
                () = clock.sleep(LOOK_EVERY) => {}
                Some(()) = hangup.recv() => {}
            }
            let watched = Arc::clone(&watched);
            // The file system may be slow, a network's for example. One look at a time.
            let looked = tokio::task::spawn_blocking(move || watched.iter().for_each(|file| file.look()));
            if looked.await.is_err() {
                tracing::error!("looking at files failed");
            }
        }
    })
}

/// The longest file that is read: a chain of certificates takes some 8 KiB.
const MAX_FILE: u64 = 256 * 1024;

/// The whole of a small file.
pub(crate) fn read_small(file: &Path) -> std::io::Result<zeroize::Zeroizing<Vec<u8>>> {
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
    fn what_cannot_be_used_leaves_in_force_what_it_is_to() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("number");
        let replace = |text: &str| {
            std::fs::write(directory.path().join("new"), text).unwrap();
            std::fs::rename(directory.path().join("new"), &file).unwrap();
        };
        let read = |files: &[PathBuf]| std::fs::read_to_string(&files[0]).unwrap_or_default().parse::<u32>();
        assert!(Watched::open(vec![file.clone()], read, None).is_err(), "nothing was in force yet");
        replace("1");
        let kept = Watched::open(vec![file.clone()], read, None).unwrap();
        let dropped = Watched::open(vec![file.clone()], read, Some(|| 0)).unwrap();
        for (text, expected) in [("2", [2, 2]), ("three", [2, 0]), ("4", [4, 4])] {
            replace(text);
            kept.look();
            dropped.look();
            assert_eq!([*kept.current(), *dropped.current()], expected, "{text}");
        }
        std::fs::remove_file(&file).unwrap();
        kept.look();
        dropped.look();
        assert_eq!([*kept.current(), *dropped.current()], [4, 0]);
    }

    #[test]
    fn what_may_not_follow_what_is_in_force_is_not_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("number");
        std::fs::write(&file, "7").unwrap();
        let read = |files: &[PathBuf]| std::fs::read_to_string(&files[0]).unwrap_or_default().parse::<u32>();
        let rising = |was: &u32, is: &u32| if is < was { "less".parse::<u32>().map(drop) } else { Ok(()) };
        let kept = Watched::open(vec![file.clone()], read, None).unwrap().unless(rising);
        for (text, expected) in [("8", 8), ("5", 8), ("7", 8), ("19", 19)] {
            std::fs::write(&file, text).unwrap();
            kept.look();
            assert_eq!(*kept.current(), expected, "{text}");
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_waits_for_the_next_look() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("number");
        std::fs::write(&file, "1").unwrap();
        // Whoever writes comes back for the rest when the first half is being read.
        let read = |files: &[PathBuf]| {
            let text = std::fs::read_to_string(&files[0]).unwrap();
            if text == "2" {
                std::fs::write(&files[0], "23").unwrap();
            }
            text.parse::<u32>()
        };
        let watched = Watched::open(vec![file.clone()], read, None).unwrap();
        std::fs::write(&file, "2").unwrap();
        for expected in [1, 23] {
            watched.look();
            assert_eq!(*watched.current(), expected);
        }
    }
}
