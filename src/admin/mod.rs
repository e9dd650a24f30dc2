//! The admin listener: `/livez`, `/readyz` and `/metrics`, for orchestrators and for Prometheus, which have no certificates.
//!
//! It says nothing of any tenant and no key, and changes nothing. A cloud that is down and a tenant that denies turn nothing
//! here unhealthy: those are in the metrics.
//!
//! Invariants: it has connections of its own, bounded, so that it answers whatever callers do; nothing that it answers names a
//! tenant, a binding, a key or a caller.
//!
//! Reading order: [`Admin`] (the listener), `health`, `metrics`.

mod health;
mod listener;
mod metrics;

pub(crate) use health::Health;
pub use listener::AdminError;
pub(crate) use listener::{Admin, Parts};
