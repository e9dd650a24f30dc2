//! What CloudTrail records of the changes that a tenant's administrator makes, and how EventBridge hands it on.
//!
//! The simulator has no IAM API of its own: an edit through the control interface stands for the call that would have
//! made it. Edits that no call could make (a key store that goes away, for example) leave nothing.

use serde_json::{Map, Value, json};

use super::arn::{KeyArn, RoleArn};
use super::edits::Edit;
use super::world::key::KeyState;
use crate::log::{CallFacts, CallRecord};

/// IAM is one for all regions, and records its calls in this one:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/cloudtrail-integration.html>.
const IAM_REGION: &str = "us-east-1";

/// The KMS calls that change who may use a key, or whether it can be used.
const KEY_CHANGES: [&str; 7] = [
    "CancelKeyDeletion",
    "DeleteImportedKeyMaterial",
    "DisableKey",
    "EnableKey",
    "ImportKeyMaterial",
    "PutKeyPolicy",
    "ScheduleKeyDeletion",
];

/// The event of a change to a role.
pub(crate) fn of_role(operation: &str, role: &RoleArn, policy_name: Option<&str>) -> CallFacts {
    let mut facts = CallFacts {
        service: "iam".to_owned(),
        operation: operation.to_owned(),
        region: Some(IAM_REGION.to_owned()),
        principal: Some(role.account.root_arn()),
        account: Some(role.account.to_string()),
        role: Some(role.to_string()),
        ..CallFacts::default()
    };
    facts.parameters.insert("roleName".to_owned(), role.name.clone());
    if let Some(name) = policy_name {
        facts.parameters.insert("policyName".to_owned(), name.to_owned());
    }
    facts
}

/// The event of a change to a key.
pub(crate) fn of_key(operation: &str, key: &KeyArn) -> CallFacts {
    let mut facts = CallFacts {
        service: "kms".to_owned(),
        operation: operation.to_owned(),
        region: Some(key.region.to_string()),
        principal: Some(key.account.root_arn()),
        account: Some(key.account.to_string()),
        key: Some(key.to_string()),
        ..CallFacts::default()
    };
    facts.parameters.insert("keyId".to_owned(), key.to_string());
    facts
}

/// The call that takes a key from one state to another; none if its owner has no such call.
pub(crate) fn of_state(key: &KeyArn, from: KeyState, to: KeyState) -> Option<CallFacts> {
    let operation = match (from, to) {
        (_, KeyState::PendingDeletion) => "ScheduleKeyDeletion",
        (KeyState::PendingDeletion, _) => "CancelKeyDeletion",
        (_, KeyState::PendingImport) => "DeleteImportedKeyMaterial",
        (KeyState::PendingImport, _) => "ImportKeyMaterial",
        (_, KeyState::Disabled) => "DisableKey",
        (KeyState::Disabled, KeyState::Enabled) => "EnableKey",
        _ => return None,
    };
    Some(of_key(operation, key))
}

/// The event of an edit. `before` is the state that a key was in, if the edit puts it in another.
pub(crate) fn made(edit: &Edit, before: Option<KeyState>) -> Option<CallFacts> {
    match edit {
        Edit::RoleDetachPolicies { role } => Some(of_role("DeleteRolePolicy", role, Some("access"))),
        Edit::RoleDeny { role, .. } => Some(of_role("PutRolePolicy", role, Some("deny"))),
        Edit::RevokeOlderSessions { role } => {
            Some(of_role("PutRolePolicy", role, Some("AWSRevokeOlderSessions")))
        }
        Edit::KeyState { key, state } => of_state(key, before?, *state),
        edit => policy_replaced(edit),
    }
}

/// The event of an edit that is taken back.
pub(crate) fn undone(edit: &Edit, before: Option<KeyState>) -> Option<CallFacts> {
    match edit {
        Edit::RoleDetachPolicies { role } => Some(of_role("PutRolePolicy", role, Some("access"))),
        Edit::RoleDeny { role, .. } => Some(of_role("DeleteRolePolicy", role, Some("deny"))),
        Edit::RevokeOlderSessions { role } => {
            Some(of_role("DeleteRolePolicy", role, Some("AWSRevokeOlderSessions")))
        }
        Edit::KeyState { key, state } => of_state(key, *state, before?),
        edit => policy_replaced(edit),
    }
}

/// Trust and key policies are put as a whole, whatever changes about them.
fn policy_replaced(edit: &Edit) -> Option<CallFacts> {
    match edit {
        Edit::TrustRemovePrincipal { role, .. } | Edit::TrustDenyPrincipal { role, .. } => {
            Some(of_role("UpdateAssumeRolePolicy", role, None))
        }
        Edit::KeyDeny { key, .. } => Some(of_key("PutKeyPolicy", key)),
        _ => None,
    }
}

/// The event of a call that KMS itself received, if it changed something.
pub(crate) fn of_call(facts: &CallFacts) -> Option<CallFacts> {
    if facts.service != "kms" || !KEY_CHANGES.contains(&facts.operation.as_str()) {
        return None;
    }
    let key: KeyArn = facts.key.clone()?.try_into().ok()?;
    Some(CallFacts { principal: facts.principal.clone(), ..of_key(&facts.operation, &key) })
}

/// A management event as the default event bus of its account and region receives it:
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html>. None for other records.
pub fn bus_event(record: &CallRecord) -> Option<Value> {
    let facts = &record.facts;
    if !facts.management || !matches!(facts.service.as_str(), "iam" | "kms") {
        return None;
    }
    let parameters: Map<String, Value> =
        facts.parameters.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    let key =
        facts.key.iter().map(|arn| json!({"type": "AWS::KMS::Key", "ARN": arn, "accountId": facts.account}));
    Some(json!({
        "version": "0",
        "id": record.request_id,
        "detail-type": "AWS API Call via CloudTrail",
        "source": format!("aws.{}", facts.service),
        "account": facts.account,
        "time": record.time.to_string(),
        "region": facts.region,
        "resources": [],
        "detail": {
            "eventVersion": "1.11",
            "eventTime": record.time.to_string(),
            "eventSource": format!("{}.amazonaws.com", facts.service),
            "eventName": facts.operation,
            "awsRegion": facts.region,
            "userIdentity": {"arn": facts.principal, "accountId": facts.account},
            "requestParameters": parameters,
            "resources": key.collect::<Vec<_>>(),
            "eventID": record.request_id,
            "readOnly": false,
            "eventType": "AwsApiCall",
            "managementEvent": true,
            "eventCategory": "Management",
        },
    }))
}
