//! Holds the files of a journal to what they should be.

use std::io::{self, BufRead};

use serde::Serialize;

use crate::chain::Line;
use crate::read::{Ended, Lines};
use crate::{ChainHash, Fault, Finding, PublicKey};

/// What a chain is held to.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The keys that may have signed checkpoints. Without any, signatures are not looked at.
    pub keys: Vec<PublicKey>,
    /// Accepts a chain that does not begin with its first line, because older files are kept elsewhere.
    pub partial: bool,
    /// Numbers and hashes of lines that were noted earlier, somewhere else. Whoever can write the files and has the key can make a
    /// chain anew, but not with these.
    pub noted: Vec<(u64, ChainHash)>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// How many files were read.
    pub files: u64,
    /// How many lines were in order.
    pub records: u64,
    /// The number of the first line.
    pub first: Option<u64>,
    /// The number of the last line that was in order.
    pub last: Option<u64>,
    /// Its hash, to be noted somewhere else.
    pub last_hash: Option<ChainHash>,
    /// How many checkpoints were in order.
    pub checkpoints: u64,
    /// Whether their signatures were verified.
    pub signatures_verified: bool,
    /// Lines that a process did not get to sign before it was killed, and that the next one signed as it found them. Until
    /// then they rested on their hashes alone.
    pub taken_over: u64,
    /// Lines after the last checkpoint. They rest on their hashes alone: whoever can write the file can make them anew.
    pub unsigned: u64,
    /// The first thing that is wrong; none if nothing is.
    pub finding: Option<Finding>,
}

impl Report {
    /// Whether nothing was found wrong.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.finding.is_none()
    }
}

/// Reads a chain from its `files`, in their order, and stops at the first thing that is wrong. What the name of a file is goes
/// into the finding.
///
/// # Errors
/// If a file cannot be read.
pub fn verify<R: BufRead>(
    files: impl IntoIterator<Item = (String, io::Result<R>)>,
    options: &Options,
) -> io::Result<Report> {
    let mut files = files.into_iter();
    let mut verifier = Verifier {
        options,
        report: Report { signatures_verified: !options.keys.is_empty(), ..Report::default() },
        within: None,
        begins: false,
    };
    while let Some((file, reader)) = files.next() {
        verifier.report.files += 1;
        let mut lines = Lines::new(reader?);
        if let Some(mut finding) = verifier.file(&file, &mut lines)? {
            if let Fault::Missing { first, .. } = finding.fault
                && comes_later(first, lines, files)?
            {
                finding.fault = Fault::Reordered { expected: first };
            }
            verifier.report.finding = Some(finding);
            return Ok(verifier.report);
        }
    }
    verifier.report.finding = verifier.too_short();
    Ok(verifier.report)
}

/// Whether the line with this number is somewhere in what was not read yet.
fn comes_later<R: BufRead>(
    sequence: u64,
    lines: Lines<R>,
    files: impl Iterator<Item = (String, io::Result<R>)>,
) -> io::Result<bool> {
    let rest = files.map(|(_, reader)| reader.map(Lines::new));
    for lines in std::iter::once(Ok(lines)).chain(rest) {
        let mut lines = lines?;
        while lines.advance()?.is_some() {
            if Line::parse(lines.text()).is_some_and(|line| line.sequence == sequence) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

struct Verifier<'a> {
    options: &'a Options,
    report: Report,
    /// Within how many lines the next checkpoint comes, as the last one says.
    within: Option<u64>,
    /// Whether the line before begins a file.
    begins: bool,
}

impl Verifier<'_> {
    /// The first thing that is wrong in a file.
    fn file<R: BufRead>(&mut self, file: &str, lines: &mut Lines<R>) -> io::Result<Option<Finding>> {
        while let Some(ended) = lines.advance()? {
            let found = match (ended, Line::parse(lines.text())) {
                (Ended::Unfinished, _) => {
                    Err((self.expected(), Fault::Truncated { bytes: lines.text().len() as u64 }))
                }
                (Ended::Whole, Some(line)) if line.is_authentic() => {
                    self.line(&line).map_err(|fault| (line.sequence, fault))
                }
                _ => Err((self.expected(), Fault::Changed)),
            };
            if let Err((sequence, fault)) = found {
                let (line, offset) = (lines.number(), lines.offset());
                return Ok(Some(Finding { fault, file: file.to_owned(), line, offset, sequence }));
            }
        }
        Ok(None)
    }

    /// The number that the next line should have.
    fn expected(&self) -> u64 {
        self.report.last.map_or(1, |last| last + 1)
    }

    /// Holds a line that is as it was written to what came before it.
    fn line(&mut self, line: &Line<'_>) -> Result<(), Fault> {
        let unknown_beginning = self.report.last.is_none() && self.options.partial;
        if !unknown_beginning {
            self.follows(line)?;
        }
        if self.options.noted.iter().any(|(sequence, hash)| *sequence == line.sequence && *hash != line.hash)
        {
            return Err(Fault::NotAsNoted);
        }
        if line.is_of_type(b"started") {
            // The process that begins wrote the line before as well, if that begins a file.
            self.report.taken_over += self.report.unsigned.saturating_sub(u64::from(self.begins));
        }
        self.begins = line.is_of_type(b"file");
        self.report.unsigned += 1;
        if line.is_checkpoint() {
            self.checkpoint(line)?;
            self.report.checkpoints += 1;
            self.report.unsigned = 0;
            self.within = line.promise();
        } else if let Some(most) = self.within.filter(|most| self.report.unsigned > *most) {
            return Err(Fault::Unsigned { most });
        }
        self.report.records += 1;
        self.report.first.get_or_insert(line.sequence);
        (self.report.last, self.report.last_hash) = (Some(line.sequence), Some(line.hash));
        Ok(())
    }

    fn follows(&self, line: &Line<'_>) -> Result<(), Fault> {
        let (expected, previous) = (self.expected(), self.report.last_hash.unwrap_or(ChainHash::GENESIS));
        match line.sequence {
            sequence if sequence > expected => Err(Fault::Missing { first: expected, last: sequence - 1 }),
            sequence if sequence < expected => Err(Fault::Reordered { expected }),
            _ if line.previous != previous => Err(Fault::Cut),
            _ => Ok(()),
        }
    }

    fn checkpoint(&self, line: &Line<'_>) -> Result<(), Fault> {
        if self.options.keys.is_empty() {
            return Ok(());
        }
        let (body, id, signature) = line.signed().ok_or(Fault::BadSignature)?;
        let key = self.options.keys.iter().find(|key| key.id() == id).ok_or(Fault::UnknownKey)?;
        if key.verifies(body, &signature) { Ok(()) } else { Err(Fault::BadSignature) }
    }

    /// What should have been there and was not.
    fn too_short(&self) -> Option<Finding> {
        let last = self.report.last.unwrap_or(0);
        let first = self.report.first.unwrap_or(0);
        if let Some((sequence, _)) = self.options.noted.iter().find(|(sequence, _)| *sequence < first) {
            return Some(Finding::nowhere(Fault::NotHere, *sequence));
        }
        let noted = self
            .options
            .noted
            .iter()
            .map(|(sequence, _)| *sequence)
            .filter(|sequence| *sequence > last)
            .min();
        let unsigned = !self.options.keys.is_empty() && self.report.checkpoints == 0;
        let sequence = noted.or_else(|| (unsigned || last == 0).then_some(last + 1))?;
        Some(Finding::nowhere(Fault::TooShort, sequence))
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
