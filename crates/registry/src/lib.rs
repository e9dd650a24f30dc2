//! Where tenants and bindings are kept.
//!
//! Owns the implementations of [`leasehold_tenant::Registry`]; for now one, [`MemoryRegistry`], which forgets everything
//! when the process ends. Deliberately checks no change and knows no caller: the model says which changes there are, and
//! the service who may make them.
//!
//! Invariants: a record is replaced only if its revision is the one expected; a change can be read by the time that it is
//! announced; an id is never given out twice.

mod memory;

pub use memory::MemoryRegistry;
