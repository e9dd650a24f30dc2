//! Where a journal is gone on with: the end of what the process before wrote.
//!
//! What this process writes first is a checkpoint, which signs everything before it. So it first holds what nobody signed yet
//! to the newest checkpoint: to the chain, to the signature, and to how much may be left unsigned. Whoever can write to the
//! files without having the key could otherwise have us sign what they made.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;

use crate::backward::{Backward, Before, end_of_lines};
use crate::chain::{ChainHash, Line, Link, MAX_LINE};
use crate::files::list;
use crate::journal::Rotation;
use crate::signing::SigningKey;
use crate::target::{Directory, FileMode, open_file};
use crate::writer::Beginning;
use crate::{AuditError, Entry, FileBegun, FileName, Torn, Why};

/// How much is read at once of what is torn.
const BLOCK: usize = 64 * 1024;

/// A journal that can be gone on with.
pub(crate) struct Resumed {
    pub(crate) target: Directory,
    pub(crate) beginning: Beginning,
}

/// A file of the journal that was opened.
struct Opened {
    name: FileName,
    path: PathBuf,
    file: File,
    /// Where its complete lines end.
    end: u64,
}

/// What is to be known of the end of a chain.
struct End {
    link: Link,
    clean: bool,
    /// Lines after the newest checkpoint.
    unsigned: u64,
}

/// Makes a directory for a journal, for its owner alone, unless there is one. What is made is on the disk then.
///
/// # Errors
/// [`AuditError::Open`].
pub fn make_directory(directory: &Path) -> Result<(), AuditError> {
    let error = |error| AuditError::open(directory, error);
    let absolute = std::path::absolute(directory).map_err(error)?;
    let absent: Vec<_> = absolute.ancestors().take_while(|path| !path.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(&absolute).map_err(error)?;
    for parent in absent.into_iter().filter_map(Path::parent) {
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(error)?;
    }
    Ok(())
}

/// Takes the journal in `directory`, which is made if need be. Changes nothing of what is there. Where no checkpoint says so,
/// `most` lines may be unsigned.
pub(crate) fn resume(
    directory: &Path,
    key: Option<&SigningKey>,
    most: u64,
    rotation: Rotation,
    now: SystemTime,
) -> Result<Resumed, AuditError> {
    let error = |error| AuditError::open(directory, error);
    make_directory(directory)?;
    let ours = (directory.to_owned(), lock(directory)?);
    let files = list(directory).map_err(error)?;
    let Some((newest, path)) = files.last().cloned() else {
        let target = Directory::fresh(ours, rotation, FileName::FIRST, Why::First, now).map_err(error)?;
        return Ok(Resumed { target, beginning: Beginning::default() });
    };
    // Files that were begun, and that nothing was written to, say nothing.
    let mut last = None;
    for at in (0..files.len()).rev() {
        let opened = Opened::at(&files[at])?;
        if opened.end > 0 {
            last = Some((at, opened));
            break;
        }
    }
    let torn = torn_of(&path)?;
    let Some((at, opened)) = last else {
        if files[0].0 != FileName::FIRST {
            return Err(damaged(&files[0].1, NOTHING));
        }
        let target = Directory::fresh(ours, rotation, newest, Why::First, now).map_err(error)?;
        let beginning = Beginning { clean: torn.is_none(), torn, ..Beginning::default() };
        return Ok(Resumed { target, beginning });
    };
    let begun = opened.beginning()?;
    let End { link, clean, unsigned } = end(&files[..=at], key, most)?;
    let clean = clean && torn.is_none();
    let beginning = Beginning { link, chain: Some(begun.chain), clean, unsigned, torn };
    let error = |error| AuditError::open(&path, error);
    let Opened { name, file, end, .. } = opened;
    let target = match name == newest {
        true => Directory::resume(ours, rotation, (name, file), end, begun.time),
        // The process before had just begun it. The chain ends in a file before.
        false => Directory::fresh(ours, rotation, newest, Why::Rotation, now),
    };
    Ok(Resumed { target: target.map_err(error)?, beginning })
}

/// Keeps other processes out for as long as what is returned is open.
fn lock(directory: &Path) -> Result<File, AuditError> {
    let file = File::open(directory).map_err(|error| AuditError::open(directory, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(AuditError::Locked(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(AuditError::open(directory, error)),
    }
}

// === What is wrong ===

const LONG: &str = "ends in a line that is too long";
const UNREADABLE: &str = "has a line after its newest checkpoint that is not as it was written";
const CUT: &str = "has a line after its newest checkpoint that does not follow from the one before it";
const NO_BEGINNING: &str = "does not begin as a file of the journal does";
const NOTHING: &str = "has nothing in it, and what came before it is not here";
const NO_CHECKPOINT: &str = "has lines that no checkpoint signs, and what came before them is not here";
const BAD_SIGNATURE: &str = "has a newest checkpoint that the signing key did not sign";
const TOO_MANY: &str = "has more lines after its newest checkpoint than are ever left unsigned";

fn damaged(path: &Path, what: &'static str) -> AuditError {
    AuditError::Damaged { path: path.to_owned(), what }
}

// === The end of the chain ===

/// The end of the chain that `files` have, held to its newest checkpoint.
fn end(files: &[(FileName, PathBuf)], key: Option<&SigningKey>, most: u64) -> Result<End, AuditError> {
    let mut end: Option<End> = None;
    // Of the line after: its number, and what it says of the one before it.
    let mut after: Option<(u64, ChainHash)> = None;
    for file in files.iter().rev() {
        let opened = Opened::at(file)?;
        let mut lines = Backward::from(&opened.file, opened.end);
        loop {
            let line = match lines.line().map_err(|error| AuditError::open(&opened.path, error))? {
                Before::Line(line) => line,
                Before::TooLong => return Err(damaged(&opened.path, LONG)),
                Before::Nothing => break,
            };
            let line = Line::parse(&line).filter(Line::is_authentic);
            let line = line.ok_or_else(|| damaged(&opened.path, UNREADABLE))?;
            if after.is_some_and(|after| (line.sequence.saturating_add(1), line.hash) != after) {
                return Err(damaged(&opened.path, CUT));
            }
            after = Some((line.sequence, line.previous));
            let end = end.get_or_insert_with(|| End::at(&line));
            if line.is_checkpoint() {
                hold_to(&line, key, end.unsigned).map_err(|what| damaged(&opened.path, what))?;
                return Ok(End { ..*end });
            }
            end.unsigned += 1;
        }
    }
    // The process before was killed in the middle of its first write, or else somebody took the checkpoint away.
    let path = files.last().map_or(Path::new(""), |(_, path)| path);
    let begins = after == Some((1, ChainHash::GENESIS));
    end.filter(|end| begins && end.unsigned <= most).ok_or_else(|| damaged(path, NO_CHECKPOINT))
}

/// Holds the newest checkpoint, after which there are `unsigned` lines, to its signature and to what it promises.
fn hold_to(checkpoint: &Line<'_>, key: Option<&SigningKey>, unsigned: u64) -> Result<(), &'static str> {
    if let Some(key) = key {
        let (body, id, signature) = checkpoint.signed().ok_or(BAD_SIGNATURE)?;
        if id != *key.id() {
            // Its public part is not here; whoever verifies the journal has to have it.
            tracing::warn!(%id, "another key signed the newest checkpoint of the audit journal; verify it with both");
        } else if !key.public_key().verifies(body, &signature) {
            return Err(BAD_SIGNATURE);
        }
    }
    let broken = checkpoint.promise().is_some_and(|within| unsigned > within);
    if broken { Err(TOO_MANY) } else { Ok(()) }
}

impl End {
    fn at(last: &Line<'_>) -> Self {
        let clean =
            matches!(last.entry(), Ok(Entry::Checkpoint(checkpoint)) if checkpoint.why == Why::Shutdown);
        Self { link: Link { sequence: last.sequence, hash: last.hash }, clean, unsigned: 0 }
    }
}

// === Files ===

impl Opened {
    fn at((name, path): &(FileName, PathBuf)) -> Result<Self, AuditError> {
        let opened = open_file(path, FileMode::MustExist).and_then(|file| Ok((end_of_lines(&file)?, file)));
        let (end, file) = opened.map_err(|error| AuditError::open(path, error))?;
        Ok(Self { name: *name, path: path.clone(), file, end })
    }

    /// What its first line says.
    fn beginning(&self) -> Result<FileBegun, AuditError> {
        let mut bytes = vec![0; MAX_LINE];
        let read =
            read_up_to(&self.file, &mut bytes, 0).map_err(|error| AuditError::open(&self.path, error))?;
        let first = bytes[..read].split(|byte| *byte == b'\n').next().and_then(Line::parse);
        match first.map(|line| line.entry()) {
            Some(Ok(Entry::File(begun))) => Ok(begun),
            _ => Err(damaged(&self.path, NO_BEGINNING)),
        }
    }
}

/// What is after the complete lines of the file at `path`.
fn torn_of(path: &Path) -> Result<Option<Torn>, AuditError> {
    let torn = open_file(path, FileMode::MustExist).and_then(|file| torn(&file, end_of_lines(&file)?));
    torn.map_err(|error| AuditError::open(path, error))
}

fn torn(file: &File, end: u64) -> io::Result<Option<Torn>> {
    let (mut at, mut hash, mut block) = (end, Context::new(&SHA256), vec![0; BLOCK]);
    loop {
        let read = read_up_to(file, &mut block, at)?;
        if read == 0 {
            break;
        }
        hash.update(&block[..read]);
        at += read as u64;
    }
    let sha256 = HEXLOWER.encode(hash.finish().as_ref()).into();
    Ok((at > end).then_some(Torn { bytes: at - end, sha256 }))
}

fn read_up_to(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], at + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
