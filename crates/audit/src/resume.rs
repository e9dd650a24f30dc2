//! Where a journal is gone on with: the end of what the process before wrote.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;

use crate::chain::{Line, Link, MAX_LINE};
use crate::files::list;
use crate::journal::Rotation;
use crate::target::{Directory, FileMode, open_file};
use crate::{AuditError, Entry, FileBegun, FileName, Torn, Why};

/// How much is read at once on the way back from a file's end.
const BLOCK: u64 = 64 * 1024;

/// A journal that can be gone on with.
pub(crate) struct Resumed {
    pub(crate) target: Directory,
    pub(crate) link: Link,
    /// Names the chain; none if there is none yet.
    pub(crate) chain: Option<Box<str>>,
    pub(crate) clean: bool,
    pub(crate) torn: Option<Torn>,
}

/// The last complete line of a file.
struct Tail {
    /// Where the complete lines end.
    end: u64,
    /// The last of them, without its line feed; none if there is none.
    last: Option<Vec<u8>>,
}

/// What is to be known of the end of a chain.
struct End {
    link: Link,
    begun: FileBegun,
    clean: bool,
}

/// Makes a directory for a journal, for its owner alone, unless there is one.
///
/// # Errors
/// [`AuditError::Open`].
pub fn make_directory(directory: &Path) -> Result<(), AuditError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|error| AuditError::open(directory, error))
}

/// Takes the journal in `directory`, which is made if need be. Changes nothing of what is there.
pub(crate) fn resume(directory: &Path, rotation: Rotation, now: SystemTime) -> Result<Resumed, AuditError> {
    let error = |error| AuditError::open(directory, error);
    make_directory(directory)?;
    let ours = (directory.to_owned(), lock(directory)?);
    let files = list(directory).map_err(error)?;
    let Some((name, path)) = files.last().cloned() else {
        let target = Directory::fresh(ours, rotation, FileName::FIRST, Why::First, now).map_err(error)?;
        return Ok(Resumed { target, link: Link::GENESIS, chain: None, clean: true, torn: None });
    };
    let error = |error| AuditError::open(&path, error);
    let file = open_file(&path, FileMode::MustExist).map_err(error)?;
    let tail = Tail::of(&file).map_err(error)?.ok_or_else(|| damaged(&path, LONG))?;
    let torn = torn(&file, tail.end).map_err(error)?;
    if let Some(last) = &tail.last {
        let End { link, begun, clean } = end(&path, &file, last)?;
        let target = Directory::resume(ours, rotation, (name, file), tail.end, begun.time).map_err(error)?;
        return Ok(Resumed { target, link, chain: Some(begun.chain), clean: clean && torn.is_none(), torn });
    }
    // The process before had just begun it. The chain ends in the file before.
    let before = files.len().checked_sub(2).map(|before| &files[before].1);
    let before = before.map(end_of).transpose()?;
    let why = if before.is_some() { Why::Rotation } else { Why::First };
    let target = Directory::fresh(ours, rotation, name, why, now).map_err(error)?;
    let (link, chain, clean) = match before {
        Some(End { link, begun, clean }) => (link, Some(begun.chain), clean && torn.is_none()),
        None => (Link::GENESIS, None, torn.is_none()),
    };
    Ok(Resumed { target, link, chain, clean, torn })
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

const LONG: &str = "ends in a line that is too long";
const UNREADABLE: &str = "ends in a line that is not as it was written";
const NO_BEGINNING: &str = "does not begin as a file of the journal does";

fn damaged(path: &Path, what: &'static str) -> AuditError {
    AuditError::Damaged { path: path.to_owned(), what }
}

/// The end of a chain that ends in the file at `path`.
fn end_of(path: &PathBuf) -> Result<End, AuditError> {
    let error = |error| AuditError::open(path, error);
    let file = open_file(path, FileMode::MustExist).map_err(error)?;
    let tail = Tail::of(&file).map_err(error)?;
    let last = tail.and_then(|tail| tail.last).ok_or_else(|| damaged(path, UNREADABLE))?;
    end(path, &file, &last)
}

/// What `last`, the last line of `file`, and its first one say.
fn end(path: &Path, file: &File, last: &[u8]) -> Result<End, AuditError> {
    let line = Line::parse(last).filter(Line::is_authentic).ok_or_else(|| damaged(path, UNREADABLE))?;
    let begun = beginning(file).map_err(|error| AuditError::open(path, error))?;
    let begun = begun.ok_or_else(|| damaged(path, NO_BEGINNING))?;
    let clean = matches!(line.entry(), Ok(Entry::Checkpoint(checkpoint)) if checkpoint.why == Why::Shutdown);
    Ok(End { link: Link { sequence: line.sequence, hash: line.hash }, begun, clean })
}

/// What the first line of a file says.
fn beginning(file: &File) -> io::Result<Option<FileBegun>> {
    let mut bytes = vec![0; MAX_LINE];
    let read = read_up_to(file, &mut bytes, 0)?;
    let first = bytes[..read].split(|byte| *byte == b'\n').next().and_then(Line::parse);
    Ok(match first.map(|line| line.entry()) {
        Some(Ok(Entry::File(begun))) => Some(begun),
        _ => None,
    })
}

impl Tail {
    /// None if the last line is longer than any line is.
    fn of(file: &File) -> io::Result<Option<Self>> {
        let end = last_line_feed(file, file.metadata()?.len())?.map_or(0, |at| at + 1);
        let Some(before) = end.checked_sub(1) else { return Ok(Some(Self { end, last: None })) };
        let start = last_line_feed(file, before)?.map_or(0, |at| at + 1);
        if before - start > MAX_LINE as u64 {
            return Ok(None);
        }
        let mut last = vec![0; (before - start) as usize];
        file.read_exact_at(&mut last, start)?;
        Ok(Some(Self { end, last: Some(last) }))
    }
}

/// Where the last line feed before `end` is.
fn last_line_feed(file: &File, mut end: u64) -> io::Result<Option<u64>> {
    let mut block = vec![0; BLOCK as usize];
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let block = &mut block[..(end - start) as usize];
        file.read_exact_at(block, start)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(Some(start + at as u64));
        }
        end = start;
    }
    Ok(None)
}

/// What is after the complete lines.
fn torn(file: &File, end: u64) -> io::Result<Option<Torn>> {
    let (mut at, mut hash, mut block) = (end, Context::new(&SHA256), vec![0; BLOCK as usize]);
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
