//! Commands of the `aws` command line.
//!
//! Everything written into a command is an ARN, a region or a role's name; their parsers admit no character that means
//! anything to a shell. An external id, a source identity and session tags are written into quoted documents only.
//!
//! Reports and kits print commands indented, and people paste them so: nothing here may depend on where a line begins, as
//! the end of a here-document does.

use std::fmt::Write;

use serde_json::Value;

use super::{Documents, POLICY_NAME, RoleDocuments};
use crate::arn::{AccountId, KeyArn, RoleArn};

/// The commands that put all documents in place.
pub(super) fn set_up(documents: &Documents<'_>) -> String {
    let mut out = String::new();
    for role in &documents.roles {
        let _ = writeln!(out, "{}", set_up_role(role));
    }
    let key = &documents.plan.key;
    let _ = writeln!(out, "{}", with_credentials_of(key.account()));
    out.push_str(&add_to_key_policy(key, "key-statement.json", &documents.key_statement));
    out
}

/// Makes a role, or changes the one that there is.
pub(crate) fn set_up_role(documents: &RoleDocuments<'_>) -> String {
    let RoleDocuments { role, trust, permissions } = documents;
    let (name, path, file) = (role.name(), role.path(), file_of("trust", role));
    let mut out = format!(
        "{}\n{}aws iam create-role --role-name {name} --path {path} --assume-role-policy-document file://{file} ||\n  \
         aws iam update-assume-role-policy --role-name {name} --policy-document file://{file}\n",
        with_credentials_of(role.account()),
        document(&file, trust),
    );
    if let Some(permissions) = permissions {
        out.push_str(&put_role_policy(role, POLICY_NAME, &file_of("permissions", role), permissions));
    }
    out
}

/// Replaces the trust policy of `role`.
pub(crate) fn put_trust_policy(role: &RoleArn, file: &str, trust: &Value) -> String {
    let name = role.name();
    format!(
        "{}aws iam update-assume-role-policy --role-name {name} --policy-document file://{file}\n",
        document(file, trust)
    )
}

/// Puts an inline policy on `role`, in place of one of that name.
pub(crate) fn put_role_policy(role: &RoleArn, policy_name: &str, file: &str, policy: &Value) -> String {
    let name = role.name();
    format!(
        "{}aws iam put-role-policy --role-name {name} --policy-name {policy_name} --policy-document file://{file}\n",
        document(file, policy)
    )
}

/// The same for the user at this path.
pub(crate) fn put_user_policy(path: &str, policy_name: &str, file: &str, policy: &Value) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    format!(
        "{}aws iam put-user-policy --user-name {name} --policy-name {policy_name} --policy-document file://{file}\n",
        document(file, policy)
    )
}

/// Takes an inline policy off `role`.
pub(crate) fn delete_role_policy(role: &RoleArn, policy_name: &str) -> String {
    format!("aws iam delete-role-policy --role-name {} --policy-name {policy_name}\n", role.name())
}

/// Adds a statement to the key's policy, in place of one with the same Sid, and leaves the rest as it is.
pub(crate) fn add_to_key_policy(key: &KeyArn, file: &str, statement: &Value) -> String {
    let filter = "'.Statement = ([.Statement] | flatten | map(select(.Sid != $s[0].Sid))) + $s'";
    format!(
        "{}{}",
        document(file, statement),
        edit_key_policy(key, &format!("--slurpfile s {file} {filter}"))
    )
}

/// Takes the statements with this Sid out of the key's policy.
pub(crate) fn remove_from_key_policy(key: &KeyArn, sid: &str) -> String {
    let filter =
        format!("--arg sid {sid} '.Statement = ([.Statement] | flatten | map(select(.Sid != $sid)))'");
    edit_key_policy(key, &filter)
}

fn edit_key_policy(key: &KeyArn, jq: &str) -> String {
    let region = key.region();
    format!(
        "aws kms get-key-policy --region {region} --key-id {key} --policy-name default --query Policy --output text \
         > key-policy.json\n\
         jq {jq} key-policy.json > key-policy-new.json\n\
         aws kms put-key-policy --region {region} --key-id {key} --policy-name default --policy \
         file://key-policy-new.json\n"
    )
}

/// Whose credentials the commands below it need.
pub(crate) fn with_credentials_of(account: &AccountId) -> String {
    format!("# With credentials of account {account}:")
}

/// A file of its own for each role: two of a chain may have one name in two accounts.
pub(crate) fn file_of(what: &str, role: &RoleArn) -> String {
    format!("{what}-{}-{}.json", role.account(), role.name())
}

/// Writes `value` to `file`.
pub(crate) fn document(file: &str, value: &Value) -> String {
    let quoted = format!("{value:#}").replace('\'', r"'\''");
    format!("printf '%s\\n' '{quoted}' > {file}\n")
}
