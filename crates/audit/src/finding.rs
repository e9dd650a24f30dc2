//! What is wrong with a chain, and where.

use std::fmt;

use serde::Serialize;

/// What is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// The line is not as it was written: its bytes have not the hash that it says, or it is no line at all.
    Changed,
    /// Lines are missing before this one, and are nowhere after it.
    Missing {
        /// The number of the first of them.
        first: u64,
        /// The number of the last of them.
        last: u64,
    },
    /// The line is not in its place: the one that belongs here comes later, or it came before already.
    Reordered {
        /// The number that belongs here.
        expected: u64,
    },
    /// The line is as it was written, and follows another history than the one before it: one of the two was put there.
    Cut,
    /// The file ends in the middle of a line.
    Truncated {
        /// How many bytes of the line there are.
        bytes: u64,
    },
    /// More lines than the newest checkpoint allows come without another one: whoever wrote them had not the key.
    Unsigned {
        /// How many it allows.
        most: u64,
    },
    /// The chain ends before a line that was noted, or before any checkpoint.
    TooShort,
    /// The line that was noted comes before the first one that is here, and so was not compared.
    NotHere,
    /// The line that was noted has another hash now: the chain was made anew.
    NotAsNoted,
    /// A checkpoint is not signed, or not by the key that it names: the chain was made anew.
    BadSignature,
    /// A checkpoint is signed by a key that is none of those given.
    UnknownKey,
}

/// The first thing that is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is wrong.
    #[serde(flatten)]
    pub fault: Fault,
    /// The file; empty if there is none.
    pub file: String,
    /// The line in the file, from 1.
    pub line: u64,
    /// Where in the file the line begins, in bytes from 0.
    pub offset: u64,
    /// The sequence number that the line says, or, where it cannot be relied on, that belongs there.
    pub sequence: u64,
}

impl Finding {
    /// What is wrong with the record `sequence`, which is in no file.
    pub(crate) fn nowhere(fault: Fault, sequence: u64) -> Self {
        Self { fault, file: String::new(), line: 0, offset: 0, sequence }
    }
}

impl Fault {
    /// One word for programs, as in the JSON form.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Missing { .. } => "missing",
            Self::Reordered { .. } => "reordered",
            Self::Cut => "cut",
            Self::Truncated { .. } => "truncated",
            Self::Unsigned { .. } => "unsigned",
            Self::TooShort => "too_short",
            Self::NotHere => "not_here",
            Self::NotAsNoted => "not_as_noted",
            Self::BadSignature => "bad_signature",
            Self::UnknownKey => "unknown_key",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, file, line, offset, sequence } = self;
        if !file.is_empty() {
            write!(f, "{file}:{line} (byte {offset}), record {sequence}: ")?;
        }
        match fault {
            Fault::Changed => f.write_str("it was changed: its hash is not that of its bytes"),
            Fault::Missing { first, last } if first == last => write!(f, "record {first} is missing before it"),
            Fault::Missing { first, last } => write!(f, "records {first} to {last} are missing before it"),
            Fault::Reordered { expected } => write!(f, "it is out of order: record {expected} belongs here"),
            Fault::Cut => f.write_str("the chain is cut: it does not follow from the record before it, one of the two was put there"),
            Fault::Truncated { bytes } => write!(f, "the file ends after {bytes} bytes of it"),
            Fault::Unsigned { most } => write!(f, "there is no checkpoint among the {most} lines before it: they were put there"),
            Fault::NotHere => write!(f, "record {sequence} was noted, and is in an older file that is not here"),
            Fault::TooShort => write!(f, "the chain ends before record {sequence}"),
            Fault::NotAsNoted => f.write_str("its hash is not the one that was noted: the chain was made anew"),
            Fault::BadSignature => f.write_str("it is a checkpoint without a valid signature"),
            Fault::UnknownKey => f.write_str("it is a checkpoint that is signed by a key that was not given"),
        }
    }
}
