//! The policy engine against the documentation, row by row.

mod conditions;
mod decisions;
mod documents;
mod matching;
mod properties;

use serde_json::Value;

use super::{
    ConditionContext, Decision, Policies, PolicyDocument, Principal, Request, evaluate_assume_role,
    evaluate_identity, evaluate_kms,
};

const ACCOUNT: &str = "111122223333";
const OTHER_ACCOUNT: &str = "444455556666";
const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const ROLE: &str = "arn:aws:iam::111122223333:role/Target";

fn document(json: &Value) -> PolicyDocument {
    PolicyDocument::try_from(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn session_of(account: &str) -> Principal {
    Principal::AssumedRole { account: account.into(), role: "Worker".into(), session: "s1".into() }
}

fn user_of(account: &str) -> Principal {
    Principal::User { account: account.into(), name: "alice".into() }
}

fn root_of(account: &str) -> Principal {
    Principal::Root { account: account.into() }
}

/// One letter per outcome, so that a row of a table fits on a line.
fn letter(decision: &Decision) -> char {
    match decision {
        Decision::Allow => 'A',
        Decision::ImplicitDeny { .. } => 'i',
        Decision::ExplicitDeny { .. } => 'X',
    }
}
