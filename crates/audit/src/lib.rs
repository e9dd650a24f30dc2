//! A record of every decision, and the sinks that keep it.
//!
//! Owns [`Record`], what is written about one decision, and [`Sink`], what keeps records: [`JsonLines`] writes them to a
//! file or a handle, [`MemorySink`] keeps them for tests. Deliberately decides nothing, and does not know what a lease or
//! a cloud is: whoever decides fills in a record.
//!
//! Invariants: [`Sink::write`] returns success only once the record is kept, so that what cannot be recorded can be
//! refused (promise P7); a record holds ids, names and digests, never key bytes, credentials or the values of an
//! encryption context (promise P8).
//!
//! Reading order: `record`, `sink`, `json_lines`, `memory`.

mod error;
mod json_lines;
mod memory;
mod record;
mod sink;

pub use error::AuditError;
pub use json_lines::{Durability, JsonLines, JsonLinesSettings};
pub use memory::MemorySink;
pub use record::{AnswerSource, Outcome, Record};
pub use sink::Sink;
