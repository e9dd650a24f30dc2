//! The service behind its API, in front of a cloud, a registry and a clock that tests control.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod bindings;
mod cloud;
mod epochs;
mod isolation;
mod keys;
mod plan;
mod registry;
mod rewrap;
mod staleness;
mod tenants;
mod verify;
mod watch;
mod world;
