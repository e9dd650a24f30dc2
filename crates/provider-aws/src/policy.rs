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

/// Lets `principal` become a role, with `external_id` if there is one.
pub(crate) fn trust(principal: &str, external_id: Option<&str>, source_identity: Option<&str>) -> Value {
    let principal = json!({ "AWS": principal });
    let mut assume = json!({
        "Sid": "LeaseholdAssume", "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole",
    });
    if let Some(id) = external_id {
        assume["Condition"] = json!({ "StringEquals": { "sts:ExternalId": id } });
    }
    let tag = json!({
        "Sid": "LeaseholdTags", "Effect": "Allow", "Principal": principal, "Action": "sts:TagSession",
    });
    let mut statements = vec![assume, tag];
    if let Some(identity) = source_identity {
        statements.push(json!({
            "Sid": "LeaseholdSourceIdentity", "Effect": "Allow", "Principal": principal,
            "Action": "sts:SetSourceIdentity",
            "Condition": { "StringEquals": { "sts:SourceIdentity": identity } },
        }));
    }
    document(Value::Array(statements))
}

/// The statement of a key policy that lets `role` use the key.
pub(crate) fn key_statement(role: &RoleArn) -> Value {
    json!({
        "Sid": "Leasehold", "Effect": "Allow", "Principal": { "AWS": role.as_str() },
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
