//! Reading a journal: line by line, and as it grows.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::chain::MAX_LINE;
use crate::files::{FileName, list};

/// Lines of what was written, one at a time. Takes room for one of them, however long something else in the file may be.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    text: Vec<u8>,
    /// Of the line that was read last.
    number: u64,
    offset: u64,
    next: u64,
}

/// A piece of what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A whole line, without its line feed.
    Line(&'a [u8]),
    /// What is longer than any line is, up to its line feed: nothing that was written here.
    TooLong,
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// A whole line, with its line feed.
    Whole,
    /// What is after the last line feed.
    Unfinished,
    /// What is longer than any line. Its beginning is kept.
    TooLong,
}

impl<R: BufRead> Lines<R> {
    /// Lines of `reader` from where it stands.
    pub fn new(reader: R) -> Self {
        Self { reader, text: Vec::new(), number: 0, offset: 0, next: 0 }
    }

    /// What comes next; none at the end, or before a line that is not complete yet.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn complete(&mut self) -> io::Result<Option<Piece<'_>>> {
        Ok(match self.advance()? {
            Some(Ended::Whole) => Some(Piece::Line(self.text())),
            Some(Ended::TooLong) => Some(Piece::TooLong),
            Some(Ended::Unfinished) | None => None,
        })
    }

    /// Reads on; none at the end.
    pub(crate) fn advance(&mut self) -> io::Result<Option<Ended>> {
        self.text.clear();
        let read = (&mut self.reader).take(MAX_LINE as u64).read_until(b'\n', &mut self.text)?;
        if read == 0 {
            return Ok(None);
        }
        (self.number, self.offset) = (self.number + 1, self.next);
        self.next += read as u64;
        if self.text.pop_if(|byte| *byte == b'\n').is_some() {
            return Ok(Some(Ended::Whole));
        }
        if read < MAX_LINE {
            return Ok(Some(Ended::Unfinished));
        }
        self.next += self.reader.skip_until(b'\n')? as u64;
        Ok(Some(Ended::TooLong))
    }

    /// The line that was read last, without its line feed.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Its number, from 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Where it begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }
}

/// Follows a journal across its files while it grows.
#[derive(Debug)]
pub struct Follower {
    directory: PathBuf,
    current: Option<(FileName, File)>,
    /// Up to where the present file was read.
    position: u64,
    /// What was read after the last line feed.
    partial: Vec<u8>,
    /// Whether what is longer than any line is being passed over.
    passing: bool,
}

impl Follower {
    /// Follows the journal in `directory` from the last `lines` that it has now.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn from_last(directory: &Path, lines: usize) -> io::Result<Self> {
        let mut follower = Self {
            directory: directory.to_owned(),
            current: None,
            position: 0,
            partial: Vec::new(),
            passing: false,
        };
        let mut wanted = lines;
        for (name, path) in list(directory)?.into_iter().rev() {
            let (found, position) = last_lines(&path, wanted)?;
            follower.current = Some((name, File::open(path)?));
            follower.position = position;
            wanted -= found;
            if wanted == 0 {
                break;
            }
        }
        Ok(follower)
    }

    /// The complete lines that were added since, without their line feeds; none if there are none yet. Of what is longer than
    /// any line is, its beginning, which is no line.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn poll(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut lines = Vec::new();
        loop {
            // Looked for first: what was still added to the present file was added before another one was begun.
            let next = self.next_file()?;
            self.read(&mut lines)?;
            let Some((name, path)) = next else { return Ok(lines) };
            self.current = Some((name, File::open(path)?));
            (self.position, self.partial, self.passing) = (0, Vec::new(), false);
        }
    }

    fn next_file(&self) -> io::Result<Option<(FileName, PathBuf)>> {
        let present = self.current.as_ref().map(|(name, _)| *name);
        Ok(list(&self.directory)?.into_iter().find(|(name, _)| present.is_none_or(|present| *name > present)))
    }

    fn read(&mut self, lines: &mut Vec<Vec<u8>>) -> io::Result<()> {
        let Some((_, file)) = &mut self.current else { return Ok(()) };
        let length = file.metadata()?.len();
        if length < self.position {
            // Half a group was written, and taken back.
            self.partial.clear();
            (self.position, self.passing) = (length, false);
        }
        file.seek(SeekFrom::Start(self.position))?;
        let mut reader = BufReader::new(file);
        loop {
            let mut piece = Vec::new();
            let read = (&mut reader).take(MAX_LINE as u64).read_until(b'\n', &mut piece)?;
            if read == 0 {
                return Ok(());
            }
            self.position += read as u64;
            let ended = piece.pop_if(|byte| *byte == b'\n').is_some();
            if !self.passing {
                self.partial.append(&mut piece);
                self.passing = self.partial.len() >= MAX_LINE;
                if ended || self.passing {
                    lines.push(std::mem::take(&mut self.partial));
                }
            }
            self.passing &= !ended;
        }
    }
}

/// How many of the `wanted` last lines the file at `path` has, and where the first of them begins.
fn last_lines(path: &Path, wanted: usize) -> io::Result<(usize, u64)> {
    let mut lines = Lines::new(BufReader::new(File::open(path)?));
    let (mut starts, mut end) = (VecDeque::new(), 0);
    while lines.complete()?.is_some() {
        end = lines.next;
        starts.push_back(lines.offset());
        if starts.len() > wanted {
            starts.pop_front();
        }
    }
    Ok((starts.len(), starts.front().copied().unwrap_or(end)))
}
