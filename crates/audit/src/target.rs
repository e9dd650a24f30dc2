//! Where lines go.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::SystemTime;

use crate::journal::{Durability, Rotation};
use crate::{FileName, Why};

/// Where lines go.
pub(crate) trait Target: Send + 'static {
    /// The file whose first line is still to be written, and why it was begun.
    fn fresh(&self) -> Option<(FileName, Why)>;

    /// Why another file should be begun, if it should.
    fn due(&self, now: SystemTime) -> Option<Why>;

    /// Begins another file.
    fn begin(&mut self, why: Why, now: SystemTime) -> io::Result<()>;

    /// Adds lines. After an error nothing of them counts as written, and the next call writes in their place.
    fn append(&mut self, lines: &[u8], durability: Durability) -> io::Result<()>;
}

// === impl Handle ===

/// A handle such as the standard error stream. What was written cannot be taken back.
pub(crate) struct Handle<W> {
    handle: W,
    fresh: bool,
    /// Whether the last write failed, perhaps in the middle of a line.
    torn: bool,
}

impl<W> Handle<W> {
    pub(crate) fn new(handle: W) -> Self {
        Self { handle, fresh: true, torn: false }
    }
}

impl<W: Write + Send + 'static> Target for Handle<W> {
    fn fresh(&self) -> Option<(FileName, Why)> {
        self.fresh.then_some((FileName::FIRST, Why::First))
    }

    fn due(&self, _now: SystemTime) -> Option<Why> {
        None
    }

    fn begin(&mut self, _why: Why, _now: SystemTime) -> io::Result<()> {
        Ok(())
    }

    fn append(&mut self, lines: &[u8], _durability: Durability) -> io::Result<()> {
        if self.torn {
            // Ends what the failed write may have begun, so that it spoils no line but its own.
            self.handle.write_all(b"\n")?;
        }
        self.torn = true;
        self.handle.write_all(lines)?;
        self.handle.flush()?;
        (self.torn, self.fresh) = (false, false);
        Ok(())
    }
}

// === impl Directory ===

/// Numbered files in a directory.
pub(crate) struct Directory {
    path: PathBuf,
    rotation: Rotation,
    name: FileName,
    file: File,
    /// What the file holds of lines. Lines are written here and not at its end, so that what a failed write left behind is
    /// written over.
    length: u64,
    /// What else may be in the file.
    rest: Rest,
    /// When it was begun.
    begun: SystemTime,
    fresh: Option<Why>,
    /// The directory itself, locked for as long as it is ours.
    lock: File,
}

/// What a file may hold after its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Nothing,
    /// Half a line of a process before. Written over, and cut off only then, so that it is not gone before the record that
    /// tells of it is there.
    HalfALine,
    /// What a write of ours that failed left behind. Whole lines may be among it, and would stand behind a shorter write: it
    /// is cut off first.
    Lines,
}

impl Directory {
    /// A directory whose last file is `name`, with this much of it in lines. It is ours by `lock`.
    pub(crate) fn resume(
        (path, lock): (PathBuf, File),
        rotation: Rotation,
        (name, file): (FileName, File),
        length: u64,
        begun: SystemTime,
    ) -> io::Result<Self> {
        let rest = if file.metadata()?.len() == length { Rest::Nothing } else { Rest::HalfALine };
        Ok(Self { path, rotation, name, file, length, rest, begun, fresh: None, lock })
    }

    /// A directory with a file of which no line is kept.
    pub(crate) fn fresh(
        (path, lock): (PathBuf, File),
        rotation: Rotation,
        name: FileName,
        why: Why,
        now: SystemTime,
    ) -> io::Result<Self> {
        let file = open_file(&path.join(name.to_string()), FileMode::CreateIfAbsent)?;
        // Without it a crash of the machine may leave what is written to the file without a name.
        lock.sync_all()?;
        let resumed = Self::resume((path, lock), rotation, (name, file), 0, now)?;
        Ok(Self { fresh: Some(why), ..resumed })
    }

    /// Whether the file is where it was left, and as it was left.
    fn is_untouched(&self) -> io::Result<bool> {
        let ours = self.file.metadata()?;
        let there = match std::fs::symlink_metadata(self.path.join(self.name.to_string())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            there => there?,
        };
        let same = (there.dev(), there.ino()) == (ours.dev(), ours.ino());
        Ok(same && (self.rest != Rest::Nothing || there.len() == self.length))
    }

    fn write(&mut self, lines: &[u8], durability: Durability) -> io::Result<u64> {
        let length = self.length + lines.len() as u64;
        if self.rest == Rest::Lines {
            self.file.set_len(self.length)?;
        }
        self.file.write_all_at(lines, self.length)?;
        if self.rest == Rest::HalfALine {
            self.file.set_len(length)?;
        }
        if durability == Durability::Synced {
            self.file.sync_data()?;
        }
        Ok(length)
    }
}

impl Target for Directory {
    fn fresh(&self) -> Option<(FileName, Why)> {
        self.fresh.map(|why| (self.name, why))
    }

    fn due(&self, now: SystemTime) -> Option<Why> {
        // What cannot be looked at cannot be written to either, and that is where it is noticed.
        if matches!(self.is_untouched(), Ok(false)) {
            return Some(Why::Interference);
        }
        if self.fresh.is_some() {
            return None;
        }
        let age = now.duration_since(self.begun).unwrap_or_default();
        let large = self.length >= self.rotation.bytes;
        if large { Some(Why::Size) } else { (age >= self.rotation.age).then_some(Why::Time) }
    }

    fn begin(&mut self, why: Why, now: SystemTime) -> io::Result<()> {
        let mut name = self.name.next();
        let (path, file) = loop {
            let path = self.path.join(name.to_string());
            match open_file(&path, FileMode::CreateNew) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => name = name.next(),
                opened => break (path, opened?),
            }
        };
        if let Err(error) = self.lock.sync_all() {
            // Otherwise each attempt would leave an empty file. If this fails as well, an empty file does no harm.
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        (self.name, self.file, self.begun) = (name, file, now);
        (self.length, self.rest, self.fresh) = (0, Rest::Nothing, Some(why));
        Ok(())
    }

    fn append(&mut self, lines: &[u8], durability: Durability) -> io::Result<()> {
        match self.write(lines, durability) {
            Ok(length) => {
                (self.length, self.rest, self.fresh) = (length, Rest::Nothing, None);
                Ok(())
            }
            Err(error) => {
                // Room for others, and no half line for readers. Where it fails, the next write does it.
                let cut = self.file.set_len(self.length);
                self.rest = if cut.is_ok() { Rest::Nothing } else { Rest::Lines };
                Err(error)
            }
        }
    }
}

/// Whether a file may be there already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileMode {
    CreateNew,
    CreateIfAbsent,
    MustExist,
}

/// Opens a file of a journal, which must be a file: opening a pipe, for example, must not block.
pub(crate) fn open_file(path: &std::path::Path, mode: FileMode) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW);
    match mode {
        FileMode::CreateNew => options.create_new(true),
        FileMode::CreateIfAbsent => options.create(true),
        FileMode::MustExist => &mut options,
    };
    let file = options.open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file")),
    }
}
