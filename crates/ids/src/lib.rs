//! Typed ids, parsed in their constructors.
//!
//! Owns the spelling rules of every id that crosses a boundary, so that the rest of the code holds only ids that are
//! already valid. Deliberately knows nothing about what the ids name.
//!
//! Invariants: a value of a type in this crate has been parsed; its `Display` gives back a string that parses to an
//! equal value; tenant and binding ids contain no `/`, so a binding name is unambiguous.

mod error;
mod name;
mod provider_kind;
mod sequence;

pub use error::IdError;
pub use name::{BindingId, BindingName, DeploymentId, TenantId};
pub use provider_kind::ProviderKind;
pub use sequence::{BindingVersion, LeaseEpoch};
