//! The policy language of AWS IAM: documents, and the decisions that follow from them.
//!
//! Pure: no clock, no state, no I/O. A caller gathers the documents that apply to a request and the condition keys that
//! hold for it; this module says Allow or Deny, and why, as the documentation of IAM, STS and KMS states it.
//!
//! Not modelled: organisation policies (SCP, RCP), ACLs, KMS grants, VPC endpoint policies, federated user sessions.
//!
//! Invariants:
//! - An explicit deny in any document wins over every allow.
//! - Nothing in a document is ignored: what this module does not understand is a [`PolicyError`].
//! - Every byte string parses to a document or a typed error.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>

mod condition;
mod context;
mod document;
mod error;
mod evaluate;
mod json;
mod operator;
mod pattern;
mod principal;
mod principals;
mod statement;
#[cfg(test)]
mod tests;
mod value;

pub use context::ConditionContext;
pub use document::{PolicyDocument, PolicyKind};
pub use error::PolicyError;
pub use evaluate::{Decision, Policies, Request, evaluate_assume_role, evaluate_identity, evaluate_kms};
pub use principal::Principal;
