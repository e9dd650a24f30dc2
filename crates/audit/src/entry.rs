//! What a line of the chain can say.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::journal::{Durability, OnFailure};
use crate::signing::KeyId;
use crate::{Record, wall};

/// What one line of the chain says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every entry is a decision, and none is worth an allocation"
)]
pub enum Entry {
    /// The first line of every file.
    File(FileBegun),
    /// The first line that a process writes, after [`Entry::File`] if its file is new.
    Started(Started),
    /// A decision.
    Decision(Record),
    /// How often strangers were turned away.
    Refusals(Refusals),
    /// What could not be recorded, once recording is possible again.
    Gap(Gap),
    /// A signature over everything before.
    Checkpoint(Checkpoint),
    /// What a newer version writes.
    #[serde(other)]
    Other,
}

/// Why something was written, or begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Why {
    /// It is the first.
    First,
    /// A process begins.
    Start,
    /// So many records were written.
    Records,
    /// So much time has passed.
    Time,
    /// The file was large enough.
    Size,
    /// The file before is no longer as it was left: somebody else moved, removed or changed it.
    Interference,
    /// The file is full or old, and another follows.
    Rotation,
    /// The process was told to end.
    Shutdown,
}

/// The beginning of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileBegun {
    /// When.
    #[serde(with = "wall")]
    pub time: SystemTime,
    /// The version of the format; 1.
    pub format: u32,
    /// Names the chain: 32 hexadecimal digits, chosen at random at its first line. The same in all its files.
    pub chain: Box<str>,
    /// The number of the file.
    pub file: u64,
    /// Why it was begun.
    pub why: Why,
}

/// The beginning of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// When.
    #[serde(with = "wall")]
    pub time: SystemTime,
    /// Which deployment the process serves.
    pub deployment: Box<str>,
    /// The version of Leasehold.
    pub version: Box<str>,
    /// When a record counts as kept.
    pub durability: Durability,
    /// What happens to a decision that cannot be recorded.
    pub on_failure: OnFailure,
    /// The key that signs checkpoints from here on; none if they are not signed.
    pub key_id: Option<KeyId>,
    /// Whether the process before ended by itself, after a last checkpoint. True of the first one.
    pub clean: bool,
    /// How many lines the process before left after its last checkpoint, if it did not end by itself. The checkpoint that
    /// follows signs them as they were found: until then they rested on their hashes alone.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unsigned: u64,
    /// What the process before left of a line that it did not finish. It was taken away: nobody was answered on its account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torn: Option<Torn>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// An unfinished line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Torn {
    /// How many bytes there were.
    pub bytes: u64,
    /// SHA-256 over them, in lower-case hexadecimal.
    pub sha256: Box<str>,
}

/// How often strangers were turned away, for one reason and from one network, within one window of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// When this was written.
    #[serde(with = "wall")]
    pub time: SystemTime,
    /// When the window began.
    #[serde(with = "wall")]
    pub since: SystemTime,
    /// What they called at.
    pub listener: Box<str>,
    /// Where they came from; `other` for all that were too many to be told apart.
    pub from: Box<str>,
    /// Why, in UPPER_SNAKE.
    pub reason: Box<str>,
    /// How many.
    pub count: u64,
}

/// Decisions that could not be recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// When recording was possible again.
    #[serde(with = "wall")]
    pub time: SystemTime,
    /// When the first of them was lost.
    #[serde(with = "wall")]
    pub since: SystemTime,
    /// How many records were lost.
    pub lost: u64,
    /// How many of them said that something was served. [`Gap::on_failure`] says what became of those.
    pub lost_served: u64,
    /// What happened to decisions that could not be recorded: refused, or served nevertheless.
    pub on_failure: OnFailure,
    /// Why the first of them was lost.
    pub error: Box<str>,
}

/// A signature over everything before. The line holds a further member, `signature`: Ed25519 in hexadecimal over
/// `leasehold/audit/checkpoint/v1` and the bytes of the line up to the one before `,"signature":`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// When.
    #[serde(with = "wall")]
    pub time: SystemTime,
    /// Why now.
    pub why: Why,
    /// Which key signed.
    pub key_id: Option<KeyId>,
    /// The next checkpoint comes within so many lines, whatever happens. More lines than that without one were written by
    /// somebody else. None in what was written before there was such a promise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<u64>,
}
