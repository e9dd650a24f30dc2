//! The suite that every provider must pass.
//!
//! Owns the promises that the core relies on and no type can hold: that an assume asks the cloud anew, that a ciphertext
//! opens in its own context only, that an outage is never taken for a denial. Each is one named check, run against a real
//! provider whose cloud a [`Fixture`] can break in every way that a tenant, or misfortune, could. Deliberately knows no
//! cloud and tests no deadlines or retries: those are [`leasehold_provider::Guarded`]'s.
//!
//! Invariants: [`run`] runs every check whatever the others do, heals the cloud after each, and never panics over a
//! provider's answer.
//!
//! To use it for a provider of your own, implement [`Fixture`] over something that enforces policy (a mock that says yes
//! proves nothing), call [`run`] in a test and assert that [`Report::failures`] is empty.
//!
//! Reading order: [`Fixture`], [`run`], then `checks`.

mod bench;
mod checks;
mod fixture;
mod suite;

pub use fixture::{Calls, Fixture, KeyCondition, Outage};
pub use suite::{Failure, Report, run};
