//! Where tenants and bindings are kept.
//!
//! Owns the implementations of [`leasehold_tenant::Registry`]: [`SqliteRegistry`], a file, and [`MemoryRegistry`], which
//! forgets everything when the process ends. Deliberately checks no change but that a record follows the one before it, and
//! knows no caller: the model says which changes there are, and the service who may make them.
//!
//! Invariants: a record is replaced only if its revision is the one expected, as a whole or not at all; a change can be read
//! by the time that it is announced; an id is never given out twice; what was kept once is never altered or removed.
//!
//! Beside them the export to YAML and the import from it, of any of them.
//!
//! Reading order: `memory`, then `rows` (records as rows, for every database the same) and `sqlite`; `exchange`. The promises
//! are tested in `tests/registry/contract.rs`, on every implementation.

mod exchange;
mod memory;
mod rows;
mod sqlite;

/// Announcements that a receiver may fall behind before it has to read everything again.
const ANNOUNCEMENTS: usize = 1024;

pub use exchange::{Existing, ExportError, Exported, Import, ImportError, Imported, RecordError, export};
pub use memory::MemoryRegistry;
pub use sqlite::{Absent, SqliteError, SqliteRegistry, SqliteSettings};
