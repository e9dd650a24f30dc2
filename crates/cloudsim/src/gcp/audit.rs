//! What Cloud Audit Logs record of the changes that a tenant's administrator makes, and Pub/Sub hands on.
//!
//! The simulator has no API of IAM and of Resource Manager: an edit through the control interface stands for the call that
//! would have made it. Operations are the last part of the log's `methodName`.
//!
//! <https://cloud.google.com/kms/docs/audit-logging>, <https://cloud.google.com/iam/docs/audit-logging>

use super::edits::Edit;
use super::name::{KeyName, ProjectId, ServiceAccountEmail};
use crate::log::CallFacts;

/// The calls to Cloud KMS that change who may use a key, or whether it can be used.
const KEY_CHANGES: [&str; 7] = [
    "SetIamPolicy",
    "UpdateCryptoKey",
    "UpdateCryptoKeyPrimaryVersion",
    "CreateCryptoKeyVersion",
    "UpdateCryptoKeyVersion",
    "DestroyCryptoKeyVersion",
    "RestoreCryptoKeyVersion",
];

/// The event of a call that succeeded, if it was such a change.
pub(crate) fn of_call(facts: &CallFacts) -> Option<CallFacts> {
    KEY_CHANGES.contains(&facts.operation.as_str()).then(|| facts.clone())
}

/// The event of a change to a key, or to one of its versions.
pub(crate) fn of_key(operation: &str, key: &KeyName, version: Option<u32>) -> CallFacts {
    CallFacts {
        region: Some(key.ring.location.clone()),
        key: Some(key.to_string()),
        key_version: version.map(|version| version.to_string()),
        ..of("cloud_kms", operation, &key.ring.project)
    }
}

/// The event of a change to a service account.
pub(crate) fn of_service_account(operation: &str, email: &ServiceAccountEmail) -> CallFacts {
    CallFacts { role: Some(email.to_string()), ..of("iam", operation, &email.project) }
}

/// The event of a change to a project.
pub(crate) fn of_project(operation: &str, project: &ProjectId) -> CallFacts {
    of("iam", operation, project)
}

/// The events of an edit.
pub(crate) fn made(edit: &Edit, versions: &[u32]) -> Vec<CallFacts> {
    let update = |key: &KeyName, version| of_key("UpdateCryptoKeyVersion", key, Some(version));
    match edit {
        Edit::DisableServiceAccount { service_account } => {
            vec![of_service_account("DisableServiceAccount", service_account)]
        }
        Edit::Deny { project, .. } => vec![of_project("CreatePolicy", project)],
        Edit::VersionDestroyScheduled { key, version } => {
            vec![of_key("DestroyCryptoKeyVersion", key, Some(*version))]
        }
        Edit::VersionDisabled { key, version } => vec![update(key, *version)],
        Edit::KeyVersionsDisabled { key } => versions.iter().map(|version| update(key, *version)).collect(),
        // No call destroys a version at once.
        Edit::VersionDestroyed { .. } => Vec::new(),
        Edit::RemoveTokenCreator { service_account, .. } => {
            vec![of_service_account("SetIamPolicy", service_account)]
        }
        Edit::RemoveKeyGrants { key, .. } => vec![of_key("SetIamPolicy", key, None)],
        Edit::RemoveLabel { key, .. } => vec![of_key("UpdateCryptoKey", key, None)],
    }
}

/// The events of the call that undoes an edit.
pub(crate) fn undone(edit: &Edit, versions: &[u32]) -> Vec<CallFacts> {
    match edit {
        Edit::DisableServiceAccount { service_account } => {
            vec![of_service_account("EnableServiceAccount", service_account)]
        }
        Edit::Deny { project, .. } => vec![of_project("DeletePolicy", project)],
        Edit::VersionDestroyScheduled { key, version } => {
            vec![of_key("RestoreCryptoKeyVersion", key, Some(*version))]
        }
        other => made(other, versions),
    }
}

fn of(service: &str, operation: &str, project: &ProjectId) -> CallFacts {
    CallFacts {
        service: service.to_owned(),
        operation: operation.to_owned(),
        account: Some(project.to_string()),
        ..CallFacts::default()
    }
}
