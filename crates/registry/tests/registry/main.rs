//! Every registry keeps the same promises: [`contract`] says which.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod contract;
mod memory;
mod records;
