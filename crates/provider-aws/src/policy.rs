//! The policies that we send with an assume, and those that a tenant pastes.

use serde_json::{Value, json};

use crate::arn::{KeyArn, RoleArn};

/// All that a session may ever do, and so all that a tenant needs to allow.
pub(crate) const KEY_ACTIONS: [&str; 6] = [
    "kms:Encrypt",
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:DescribeKey",
    "kms:GetKeyRotationStatus",
];

/// Cuts the last session down to `key`, however much more the tenant's role may do.
pub(crate) fn use_key(key: &KeyArn) -> Value {
    document(json!([{ "Effect": "Allow", "Action": KEY_ACTIONS, "Resource": key.as_str() }]))
}

/// Cuts an earlier session of a chain down to becoming `next`. `sts:TagSession` is always among it, because tags that
/// our own platform made transitive (EKS Pod Identity's are) travel along the chain without our asking.
pub(crate) fn become_next(next: &RoleArn, sets_source_identity: bool) -> Value {
    document(
        json!([{ "Effect": "Allow", "Action": assume_actions(sets_source_identity), "Resource": next.as_str() }]),
    )
}

/// Lets `principal` become a role, under all the conditions that are known, in one statement: whatever an assume needs is
/// asked for in one request, under one context, so the external id guards tagging too.
///
/// `sts:TagSession` is always allowed, because tags that our own platform made transitive (EKS Pod Identity's are) come
/// along without our asking, and a trust policy that does not allow them refuses the assume.
pub(crate) fn trust(
    principal: &str,
    external_id: Option<&str>,
    source_identity: SourceIdentity<'_>,
) -> Value {
    let actions = assume_actions(source_identity != SourceIdentity::None);
    let mut statement = json!({
        "Sid": "Leasehold", "Effect": "Allow", "Principal": { "AWS": principal }, "Action": actions,
    });
    let mut required = serde_json::Map::new();
    if let Some(id) = external_id {
        required.insert("sts:ExternalId".to_owned(), id.into());
    }
    if let SourceIdentity::Sets(identity) = source_identity {
        required.insert("sts:SourceIdentity".to_owned(), identity.into());
    }
    if !required.is_empty() {
        statement["Condition"] = json!({ "StringEquals": required });
    }
    document(json!([statement]))
}

/// What an assume says about the source identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceIdentity<'a> {
    /// There is none.
    None,
    /// It is set to this.
    Sets(&'a str),
    /// It comes along from the hop before, and nobody can change it any more.
    Inherits,
}

/// The statement of a key policy that lets `principal` use the key.
pub(crate) fn key_statement(principal: &str) -> Value {
    json!({
        "Sid": "Leasehold", "Effect": "Allow", "Principal": { "AWS": principal },
        "Action": KEY_ACTIONS, "Resource": "*",
    })
}

/// The statement of a key policy that forbids `role` the key, whatever else allows it: taking the statement of
/// [`key_statement`] away is not enough where the policy delegates to the account, and the role's own permissions allow.
pub(crate) fn key_denial(role: &RoleArn) -> Value {
    json!({
        "Sid": "LeaseholdRevoked", "Effect": "Deny", "Principal": { "AWS": role.as_str() },
        "Action": KEY_ACTIONS, "Resource": "*",
    })
}

/// A role policy that forbids its role the key, whatever else allows it.
pub(crate) fn role_denial(key: &KeyArn) -> Value {
    document(json!([{
        "Sid": "LeaseholdRevoked", "Effect": "Deny", "Action": KEY_ACTIONS, "Resource": key.as_str(),
    }]))
}

/// A role policy that ends the sessions issued before `moment`.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html>
pub(crate) fn older_sessions(moment: &str) -> Value {
    document(json!([{
        "Effect": "Deny", "Action": "*", "Resource": "*",
        "Condition": { "DateLessThan": { "aws:TokenIssueTime": moment } },
    }]))
}

/// A trust policy that lets nobody in.
pub(crate) fn trust_nobody() -> Value {
    document(json!([{
        "Sid": "LeaseholdRevoked", "Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole",
    }]))
}

fn assume_actions(sets_source_identity: bool) -> Vec<&'static str> {
    let mut actions = vec!["sts:AssumeRole", "sts:TagSession"];
    if sets_source_identity {
        actions.push("sts:SetSourceIdentity");
    }
    actions
}

fn document(statements: Value) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_cut_down_to_six_operations_on_one_key() {
        let key: KeyArn = "arn:aws:kms:eu-central-1:111122223333:key/k".parse().unwrap();
        assert_eq!(
            use_key(&key).to_string(),
            r#"{"Statement":[{"Action":["kms:Encrypt","kms:Decrypt","kms:GenerateDataKey","kms:GenerateDataKeyWithoutPlaintext","kms:DescribeKey","kms:GetKeyRotationStatus"],"Effect":"Allow","Resource":"arn:aws:kms:eu-central-1:111122223333:key/k"}],"Version":"2012-10-17"}"#
        );
    }

    #[test]
    fn an_earlier_session_can_only_become_the_next_role() {
        let next: RoleArn = "arn:aws:iam::111122223333:role/next".parse().unwrap();
        let statement = &become_next(&next, false)["Statement"][0];
        assert_eq!(statement["Action"], json!(["sts:AssumeRole", "sts:TagSession"]));
        assert_eq!(statement["Resource"], next.as_str());
        let statement = &become_next(&next, true)["Statement"][0];
        assert_eq!(statement["Action"], json!(["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]));
    }

    #[test]
    fn the_longest_session_policy_fits_into_what_sts_takes() {
        // 2,048 characters: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
        let path = "p".repeat(510);
        let next: RoleArn =
            format!("arn:aws-us-gov:iam::111122223333:role/{path}/{}", "r".repeat(64)).parse().unwrap();
        assert!(become_next(&next, true).to_string().len() <= 2048);
        let key: KeyArn =
            format!("arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/{}", "k".repeat(64)).parse().unwrap();
        assert!(use_key(&key).to_string().len() <= 2048);
    }
}
