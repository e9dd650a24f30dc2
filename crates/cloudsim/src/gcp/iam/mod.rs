//! Identity and Access Management: who may do what to which resource.
//!
//! Allow policies on a resource and its ancestors add up, a deny policy of the project outweighs them all. Policies are
//! taken as Google's own JSON, and what they say in a way that cannot be evaluated is refused when they are loaded.
//!
//! <https://cloud.google.com/iam/docs/policies>

pub(crate) mod condition;
pub(crate) mod deny;
pub(crate) mod evaluate;
pub(crate) mod policy;
pub(crate) mod principal;
pub(crate) mod role;

pub(crate) use condition::Target;
pub(crate) use evaluate::{Access, Denial};
pub(crate) use policy::AllowPolicy;
pub(crate) use principal::Principal;
