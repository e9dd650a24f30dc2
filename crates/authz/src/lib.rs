//! Who may do what: caller identities and static rules.
//!
//! Owns [`Identity`], who a caller turned out to be; [`Operation`], what a caller may ask for; and [`Rules`], a list that
//! says which identities may do which operations on which tenants. [`Authorizer`] is what the service asks, so that rules
//! of another making (captures from a certificate's name, for example) slot in behind it. Pure: no look-up, no clock, no
//! I/O.
//!
//! Deliberately does not find out who a caller is, and does not know whether a tenant exists: a decision depends on the
//! *name* of a tenant alone, so that it can come before any look-up (promise P6).
//!
//! Invariants: what no rule allows is refused; an empty list of rules refuses everything; a decision is a function of
//! its three inputs.
//!
//! Reading order: `identity`, `operation`, `pattern`, `rules`.

mod error;
mod identity;
mod operation;
mod pattern;
mod rules;

pub use error::RuleError;
pub use identity::{FeedName, Identity};
pub use operation::{Operation, Operations};
pub use pattern::{IdentityPattern, TenantPattern};
pub use rules::{Authorizer, MAX_RULES, Rule, Rules, Verdict};
