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
//! - A success counts only if no denial arrived and nothing was changed since it began. A denial counts from the moment that
//!   the cloud gave it, in whatever phase, and whatever is found out after it.
//! - An answer is released only by a check made right before it is encoded.
//! - No lock is held across a call to a cloud.
//! - Where keys have versions, each has a lease of its own. A version wraps once the cloud named it and its own proof, wrap
//!   and unwrap, succeeded; until then, and if it never does, the one before wraps. A version that cannot be used ends its
//!   own lease alone; a principal that is denied, or denied the key, ends all of the binding's.
//! - A version that is only read is proven by an unwrap alone, of the very key that a caller wants if nothing else is there:
//!   nothing that the cloud would still unwrap is out of reach because nothing can be wrapped any more. A wrap that is
//!   refused for the key's dates ends nothing.
//! - A version that only an envelope names is proven for its caller alone, within a budget, and never retried.
//! - First proofs that fail without a denial are repeated ever less often, whoever asks; and no tenant, and no flood of events,
//!   takes the budget from the renewals of others.
//!
//! Reading order: [`Leases`], `machine` (the rules), `cell` (the rules at work), `family` (one binding's versions),
//! `rotation`, `lent`, `strangers`, `prover`, `schedule`, `budget`, `shares`, `sentinel`, `cache`, `operations`,
//! `activation`, `examine`, `census`.

mod activation;
mod budget;
mod cache;
mod canary;
mod cell;
mod census;
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
mod tokens;
mod view;

pub use activation::Activation;
pub use budget::{OverBudget, check_plan, proofs_needed};
pub use census::{Cached, Census};
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
