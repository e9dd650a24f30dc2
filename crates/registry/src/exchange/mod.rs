//! Tenants as text: a file of YAML that people read, keep and put back.
//!
//! Such a file is a stream of documents: a heading, and one for each tenant, deleted ones included, in order of id. It has the
//! records that are in force, not their history, and no secret, because records have none.

mod document;
mod export;
mod import;

pub use export::{ExportError, Exported, export};
pub use import::{Existing, Import, ImportError, Imported, RecordError};
