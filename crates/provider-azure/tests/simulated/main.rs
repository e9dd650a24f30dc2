//! The provider over real TLS, with the real SDKs, against a simulator that enforces consent, roles and key states.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod conformance;
mod deputies;
mod diagnosis;
mod guarded;
mod identities;
mod kit;
mod levers;
mod logs;
mod operator;
mod refusals;
mod tenant;
mod wire;
mod world;
