//! Leases: proofs, the state machine, the refresher and the sealed cache.
//!
//! Owns the answer to one question: may this be served now? Everything that Leasehold holds, it holds under a lease, and
//! a lease lives only as long as the tenant's cloud keeps proving that we are let in. Deliberately knows no cloud (it has
//! [`leasehold_provider::KeyProvider`]), no transport, no caller and no registry.
//!
//! Invariants:
//! - A lease ends `revocation_bound` after the *start* of its newest complete proof: a fresh assume, then an unwrap of
//!   the canary with that session. Nothing else lengthens it.
//! - Whatever leaves Live wipes its sealing key before anything else happens.
//! - A success counts only if no denial arrived and nothing was changed since it began.
//! - An answer is released only by a check made right before it is encoded.
//! - No lock is held across a call to a cloud.
//! - Where keys have versions, each has a lease of its own. A version wraps once the cloud named it and its own proof, wrap
//!   and unwrap, succeeded; until then, and if it never does, the one before wraps. A key that is denied ends the lease of
//!   its version alone, a principal that is denied ends all of the binding's.
//! - A version that only an envelope names is proven for its caller alone, within a budget, and never retried.
//!
//! Reading order: [`Leases`], `machine` (the rules), `cell` (the rules at work), `family` (one binding's versions),
//! `rotation`, `strangers`, `prover`, `schedule`, `budget`, `sentinel`, `cache`, `operations`, `activation`,
//! `examine`.

mod activation;
mod budget;
mod cache;
mod canary;
mod cell;
mod error;
mod examine;
mod family;
mod flights;
mod forbidden;
mod held;
mod hub;
mod leases;
mod lent;
mod live;
mod machine;
mod operations;
mod prover;
mod providers;
mod rotation;
mod schedule;
mod sentinel;
mod settings;
mod shares;
mod strangers;
mod subject;
mod view;

pub use activation::Activation;
pub use budget::{OverBudget, check_plan};
pub use error::{EndReason, LeaseError};
pub use examine::Examination;
pub use held::{Held, Released, Source};
pub use leases::{HoldGuard, Leases, Parts};
pub use operations::NewKey;
pub use providers::Providers;
pub use rotation::planned_leases;
pub use schedule::proofs_per_month;
pub use settings::Settings;
pub use subject::Subject;
pub use view::{LeaseEvent, LeaseState, LeaseView};
