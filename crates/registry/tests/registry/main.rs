//! Every registry keeps the same promises: [`contract`] says which, and the other modules what only one of them promises.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod contract;
mod each_write;
mod exchange;
mod failing_disk;
mod file;
mod killed;
mod killed_import;
mod memory;
mod records;
mod sqlite;
