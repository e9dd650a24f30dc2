//! A record of every decision, and the journal that keeps them in a chain which shows what was done to it.
//!
//! Owns [`Record`], what is written about one decision; [`Sink`], what keeps records; [`Journal`], which chains them by their
//! hashes, signs checkpoints and rotates files; and [`verify`](fn@verify), which holds such files to all that. [`MemorySink`] keeps
//! records for tests. Deliberately decides nothing, and does not know what a lease or a cloud is: whoever decides fills in a
//! record. The bytes are documented in `docs/audit.md`, so that others can verify them.
//!
//! Invariants:
//! - [`Sink::write`] returns success only once the record is kept, so that what cannot be recorded can be refused
//!   (promise P7).
//! - Each line holds the hash of the line before it and its own. Nothing that was kept is taken out again; what could not be
//!   kept is counted in the chain once it can.
//! - A record holds ids, names and digests, never key bytes or credentials, and of an encryption context only the entries
//!   that its tenant marked (promise P8).
//!
//! Reading order: `record`, `entry`, `chain`, `signing`, `sink`, `refusals`; then `journal`, `writer`, `target`, `files`,
//! `backward`, `resume`; then `read`, `finding`, `verify`.

mod backward;
mod chain;
mod entry;
mod error;
mod files;
mod finding;
mod journal;
mod losses;
mod memory;
mod read;
mod record;
mod refusals;
mod resume;
mod signing;
mod sink;
mod target;
mod verify;
mod wall;
mod writer;

pub use chain::{ChainHash, Line};
pub use entry::{Checkpoint, Entry, FileBegun, Gap, Refusals, Started, Torn, Why};
pub use error::AuditError;
pub use files::{FileName, list};
pub use finding::{Fault, Finding};
pub use journal::{Checkpoints, Durability, Journal, JournalSettings, OnFailure, Rotation};
pub use memory::MemorySink;
pub use read::{Follower, Lines, Piece};
pub use record::{AnswerSource, Origin, Outcome, Record};
pub use refusals::{Stranger, network};
pub use resume::make_directory;
pub use signing::{KeyId, PublicKey, SigningKey};
pub use sink::Sink;
pub use verify::{Options, Report, verify};
