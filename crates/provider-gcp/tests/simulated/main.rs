//! The provider over real sockets, with the real SDK, against a simulator that enforces policy.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod base;
mod binding;
mod broken;
mod conformance;
mod corrupted;
mod deputies;
mod explain;
mod external;
mod flights;
mod guarded;
mod kit;
mod levers;
mod logs;
mod operator;
mod tenant;
mod wire;
mod world;
