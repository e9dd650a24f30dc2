//! The provider over real sockets, with the real SDK, against a simulator that enforces policy.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod base;
mod binding;
mod explain;
mod wire;
