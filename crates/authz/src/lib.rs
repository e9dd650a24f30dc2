//! Who may do what: caller identities and static rules.
//!
//! Owns [`Identity`], who a caller turned out to be; [`Operation`], what a caller may ask for; and [`Rules`], a list that
//! says which identities may do which operations on which tenants, and can [explain](Rules::explain) itself. [`Authorizer`]
//! is what the service asks, so that rules of another making slot in behind it. Pure: no look-up, no clock, no I/O.
//!
//! Deliberately does not find out who a caller is, and does not know whether a tenant exists: a decision depends on the
//! *name* of a tenant alone, so that it can come before any look-up (promise P6).
//!
//! Invariants: what no rule allows is refused; an empty list of rules refuses everything; a decision is a function of
//! its three inputs; an explanation is made by what decides.
//!
//! Reading order: `identity` with `spiffe` and `dns`, `operation`, `pattern` with `segments`, `rules`.

mod dns;
mod error;
mod identity;
mod operation;
mod pattern;
mod rules;
mod segments;
mod spiffe;

pub use dns::DnsNames;
pub use error::RuleError;
pub use identity::{FeedName, Identity};
pub use operation::{Operation, Operations};
pub use pattern::{Captures, IdentityPattern, TenantPattern};
pub use rules::{Authorizer, Finding, MAX_RULES, Rule, Rules, Verdict};
pub use spiffe::{SpiffeId, TrustDomain};
