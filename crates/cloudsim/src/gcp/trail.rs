//! What Cloud Audit Logs record of the changes that a tenant's administrator makes, and a log sink hands on.
//!
//! The simulator has no API of IAM and of Resource Manager: an edit through the control interface stands for the call that
//! would have made it. Edits that no call could make leave nothing. Operations are the last part of the log's `methodName`.

use serde_json::{Value, json};

use super::edits::{Edit, EditId};
use super::name::{KeyName, KeyRingName, ProjectId, RoleName, ServiceAccountEmail};
use crate::log::{CallFacts, CallRecord};

/// The calls to Cloud KMS that change who may use a key, or whether it can be used:
/// <https://cloud.google.com/kms/docs/audit-logging>.
const KEY_CHANGES: [&str; 7] = [
    "SetIamPolicy",
    "UpdateCryptoKey",
    "UpdateCryptoKeyPrimaryVersion",
    "CreateCryptoKeyVersion",
    "UpdateCryptoKeyVersion",
    "DestroyCryptoKeyVersion",
    "RestoreCryptoKeyVersion",
];

/// The event of a change to a key, or to one of its versions.
pub(crate) fn of_key(operation: &str, key: &KeyName, version: Option<u32>) -> CallFacts {
    CallFacts {
        region: Some(key.ring.location.clone()),
        key: Some(key.to_string()),
        key_version: version.map(|version| version.to_string()),
        ..of("cloud_kms", operation, &key.ring.project, None)
    }
}

/// The event of a change to a key ring.
pub(crate) fn of_key_ring(operation: &str, ring: &KeyRingName) -> CallFacts {
    CallFacts {
        region: Some(ring.location.clone()),
        ..of("cloud_kms", operation, &ring.project, Some(("keyRing", ring.to_string())))
    }
}

/// The event of a change to a service account: <https://cloud.google.com/iam/docs/audit-logging>.
pub(crate) fn of_service_account(operation: &str, email: &ServiceAccountEmail) -> CallFacts {
    CallFacts { role: Some(email.to_string()), ..of("gcp_iam", operation, &email.project, None) }
}

/// The event of a change to a custom role.
pub(crate) fn of_role(operation: &str, role: &RoleName) -> CallFacts {
    of("gcp_iam", operation, &role.project, Some(("role", role.to_string())))
}

/// The event of a change to a deny policy.
pub(crate) fn of_deny_policy(operation: &str, project: &ProjectId, id: &str) -> CallFacts {
    of("gcp_iam", operation, project, Some(("denyPolicy", id.to_owned())))
}

/// The event of a change to a project: <https://cloud.google.com/resource-manager/docs/audit-logging>.
pub(crate) fn of_project(operation: &str, project: &ProjectId) -> CallFacts {
    of("gcp_resource_manager", operation, project, None)
}

/// The events of an edit. `versions` are those of its key, if it is about them all.
pub(crate) fn made(id: EditId, edit: &Edit, versions: &[u32]) -> Vec<CallFacts> {
    let update = |key: &KeyName, version| of_key("UpdateCryptoKeyVersion", key, Some(version));
    match edit {
        Edit::DisableServiceAccount { service_account } => {
            vec![of_service_account("DisableServiceAccount", service_account)]
        }
        Edit::Deny { project, .. } => vec![of_deny_policy("CreatePolicy", project, &id.deny_policy())],
        Edit::VersionDestroyScheduled { key, version } => {
            vec![of_key("DestroyCryptoKeyVersion", key, Some(*version))]
        }
        Edit::VersionDisabled { key, version } => vec![update(key, *version)],
        Edit::KeyVersionsDisabled { key } => versions.iter().map(|version| update(key, *version)).collect(),
        // No call destroys a version at once.
        Edit::VersionDestroyed { .. } => Vec::new(),
        Edit::RemoveTokenCreator { service_account, .. } => {
            vec![of_service_account("SetIAMPolicy", service_account)]
        }
        Edit::RemoveKeyGrants { key, .. } => vec![of_key("SetIamPolicy", key, None)],
        Edit::RemoveLabel { key, .. } => vec![of_key("UpdateCryptoKey", key, None)],
    }
}

/// The events of an edit that is taken back.
pub(crate) fn undone(id: EditId, edit: &Edit, versions: &[u32]) -> Vec<CallFacts> {
    match edit {
        Edit::DisableServiceAccount { service_account } => {
            vec![of_service_account("EnableServiceAccount", service_account)]
        }
        Edit::Deny { project, .. } => vec![of_deny_policy("DeletePolicy", project, &id.deny_policy())],
        Edit::VersionDestroyScheduled { key, version } => {
            vec![of_key("RestoreCryptoKeyVersion", key, Some(*version))]
        }
        other => made(id, other, versions),
    }
}

/// The event of a call that Cloud KMS itself received, if it changed something.
pub(crate) fn of_call(facts: &CallFacts) -> Option<CallFacts> {
    KEY_CHANGES.contains(&facts.operation.as_str()).then(|| facts.clone())
}

fn of(service: &str, operation: &str, project: &ProjectId, parameter: Option<(&str, String)>) -> CallFacts {
    CallFacts {
        service: service.to_owned(),
        operation: operation.to_owned(),
        account: Some(project.to_string()),
        parameters: parameter.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        ..CallFacts::default()
    }
}

/// A management event as the Admin Activity audit log of its project has it, and sinks export it:
/// <https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry>. None for other records.
pub fn log_entry(record: &CallRecord) -> Option<Value> {
    let facts = &record.facts;
    let (service, method) = match facts.service.as_str() {
        "cloud_kms" => ("cloudkms.googleapis.com", facts.operation.clone()),
        "gcp_iam" if facts.parameters.contains_key("denyPolicy") => {
            ("iam.googleapis.com", format!("google.iam.v2.Policies.{}", facts.operation))
        }
        "gcp_iam" => ("iam.googleapis.com", format!("google.iam.admin.v1.{}", facts.operation)),
        "gcp_resource_manager" => ("cloudresourcemanager.googleapis.com", facts.operation.clone()),
        _ => return None,
    };
    if !facts.management {
        return None;
    }
    let project = facts.account.as_deref()?;
    let (kind, name, mut labels) = resource(facts, project)?;
    labels["project_id"] = project.into();
    Some(json!({
        "logName": format!("projects/{project}/logs/cloudaudit.googleapis.com%2Factivity"),
        "insertId": record.request_id,
        "timestamp": record.time.to_string(),
        "severity": "NOTICE",
        "resource": {"type": kind, "labels": labels},
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "serviceName": service,
            "methodName": method,
            "resourceName": name,
            "authenticationInfo": {"principalEmail": facts.principal.as_deref().unwrap_or_default()},
        },
    }))
}

/// What an event is about: the type of the resource, its name and its labels but for the project.
/// <https://cloud.google.com/logging/docs/api/v2/resource-list>
fn resource(facts: &CallFacts, project: &str) -> Option<(&'static str, String, Value)> {
    if let Some(email) = &facts.role {
        let name = format!("projects/-/serviceAccounts/{email}");
        return Some(("service_account", name, json!({"email_id": email})));
    }
    if let Some(text) = facts.key.clone() {
        let key: KeyName = text.clone().try_into().ok()?;
        let mut labels = ring_labels(&key.ring);
        labels["crypto_key_id"] = key.id.into();
        return Some(match &facts.key_version {
            Some(version) => {
                labels["crypto_key_version_id"] = version.as_str().into();
                ("cloudkms_cryptokeyversion", format!("{text}/cryptoKeyVersions/{version}"), labels)
            }
            None => ("cloudkms_cryptokey", text, labels),
        });
    }
    if let Some(text) = facts.parameters.get("keyRing") {
        let ring: KeyRingName = text.clone().try_into().ok()?;
        return Some(("cloudkms_keyring", text.clone(), ring_labels(&ring)));
    }
    if let Some(role) = facts.parameters.get("role") {
        return Some(("iam_role", role.clone(), json!({"role_name": role})));
    }
    if let Some(id) = facts.parameters.get("denyPolicy") {
        let point = format!("cloudresourcemanager.googleapis.com%2Fprojects%2F{project}");
        return Some(("audited_resource", format!("policies/{point}/denypolicies/{id}"), json!({})));
    }
    Some(("project", format!("projects/{project}"), json!({})))
}

fn ring_labels(ring: &KeyRingName) -> Value {
    json!({"location": ring.location, "key_ring_id": ring.id})
}
