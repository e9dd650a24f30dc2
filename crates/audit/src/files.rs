//! The files of a journal: how they are called, and which there are.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

const PREFIX: &str = "audit-";
const SUFFIX: &str = ".jsonl";
/// Digits of a number, so that names sort as numbers do. A file a second fills them in thirty years.
const DIGITS: usize = 9;

/// The name of a file of a journal, for example `audit-000000001.jsonl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileName(u64);

impl FileName {
    /// Of the first file.
    pub const FIRST: Self = Self(1);

    /// Its number.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }

    /// Of the file that follows.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{:0DIGITS$}{SUFFIX}", self.0)
    }
}

impl FromStr for FileName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
        let number = number.filter(|digits| digits.len() == DIGITS).and_then(|digits| digits.parse().ok());
        let name = number.filter(|number| *number > 0).map(Self);
        name.filter(|name| name.to_string() == text).ok_or("it is not the name of a file of a journal")
    }
}

/// The files of the journal in `directory`, in the order of their numbers. Whatever else is there is left out.
///
/// # Errors
/// If the directory cannot be read.
pub fn list(directory: &Path) -> io::Result<Vec<(FileName, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if let Some(name) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            files.push((name, entry.path()));
        }
    }
    files.sort_by_key(|(name, _)| *name);
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_their_numbers_do_and_nothing_else_is_a_name() {
        assert_eq!(FileName::FIRST.to_string(), "audit-000000001.jsonl");
        assert_eq!("audit-000000041.jsonl".parse(), Ok(FileName(41)));
        for other in
            ["audit-1.jsonl", "audit-000000000.jsonl", "audit-00000000+1.jsonl", "audit-000000001.jsonl.gz"]
        {
            assert!(other.parse::<FileName>().is_err(), "{other}");
        }
    }

    #[test]
    fn a_journal_has_its_files_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["audit-000000002.jsonl", "audit-000000001.jsonl", "signing.pem", "audit.jsonl"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let names: Vec<_> = list(directory.path()).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [FileName(1), FileName(2)]);
    }
}
