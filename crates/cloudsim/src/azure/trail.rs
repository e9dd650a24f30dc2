//! What Azure's own logs tell of the edits that a tenant's administrator makes, each in its own words, and what hands them
//! on: Azure Resource Manager's changes go to Event Grid, Entra's audit log and Key Vault's audit events to a workspace.

use serde_json::{Value, json};

use super::edits::Edit;
use super::ids::{AppId, DirectoryId, KeyUrl, VaultName};
use super::rbac::RoleAssignment;
use super::world::State;
use crate::log::{CallFacts, CallRecord};

/// The requests that change a key, as its vault receives them and as its audit log calls them.
const KEY_CHANGES: [(&str, &str); 6] = [
    ("CreateKey", "KeyCreate"),
    ("DeleteKey", "KeyDelete"),
    ("PurgeDeletedKey", "KeyPurge"),
    ("RecoverDeletedKey", "KeyRecover"),
    ("RotateKey", "KeyRotate"),
    ("UpdateKey", "KeyUpdate"),
];

/// The event of an edit that was made.
pub(crate) fn made(state: &State, edit: &Edit) -> Option<CallFacts> {
    event(state, edit, Moment::Made)
}

/// The event of an edit that was taken back.
pub(crate) fn undone(state: &State, edit: &Edit) -> Option<CallFacts> {
    event(state, edit, Moment::Undone)
}

/// The event of a change to an application's principal, as Entra's audit log has it:
/// <https://learn.microsoft.com/entra/identity/monitoring-health/reference-audit-activities>.
pub(crate) fn of_principal(
    state: &State,
    operation: &str,
    directory: &DirectoryId,
    app: &AppId,
) -> Option<CallFacts> {
    let principal = state.directories.get(directory)?.principals.get(app)?;
    let facts = facts("entra", operation, directory, ("objectId", principal.object_id.to_string()));
    Some(CallFacts { role: Some(app.to_string()), ..facts })
}

/// The event of a change to a key, as its vault's audit log has it:
/// <https://learn.microsoft.com/azure/key-vault/general/logging>.
pub(crate) fn of_key(state: &State, operation: &str, key: &KeyUrl) -> Option<CallFacts> {
    let vault = state.vaults.get(key.vault())?;
    let facts = facts("key_vault", operation, &vault.directory, ("resourceId", vault.resource_id()));
    Some(CallFacts { key: Some(key.to_string()), ..facts })
}

/// The event of a role assignment that was made or taken away, as the activity log has it:
/// <https://learn.microsoft.com/azure/role-based-access-control/change-history-report>.
pub(crate) fn of_assignment(
    state: &State,
    operation: &str,
    assignment: &RoleAssignment,
) -> Option<CallFacts> {
    let mut principals = state.directories.values().flat_map(|directory| {
        directory.principals.iter().map(move |(app, principal)| (directory, app, principal))
    });
    let (directory, app, _) =
        principals.find(|(_, _, principal)| principal.object_id == assignment.principal)?;
    let operation = format!("Microsoft.Authorization/roleAssignments/{operation}");
    let resource =
        format!("{}/providers/Microsoft.Authorization/roleAssignments/{}", assignment.scope, assignment.name);
    let facts = facts("resource_manager", &operation, &directory.id, ("resourceId", resource));
    Some(CallFacts { role: Some(app.to_string()), ..facts })
}

/// The event of a change to a vault itself, its firewall or its access policies, as the activity log has it.
pub(crate) fn of_vault(state: &State, vault: &VaultName) -> Option<CallFacts> {
    let vault = state.vaults.get(vault)?;
    let resource = ("resourceId", vault.resource_id());
    Some(facts("resource_manager", "Microsoft.KeyVault/vaults/write", &vault.directory, resource))
}

#[derive(Clone, Copy)]
enum Moment {
    Made,
    Undone,
}

fn event(state: &State, edit: &Edit, moment: Moment) -> Option<CallFacts> {
    let word = |made, undone| match moment {
        Moment::Made => made,
        Moment::Undone => undone,
    };
    match edit {
        Edit::DisableServicePrincipal { directory, app } => {
            let operation = word("Disable service principal", "Enable service principal");
            of_principal(state, operation, directory, app)
        }
        Edit::RemoveConsent { directory, app } => {
            of_principal(state, word("Remove service principal", "Add service principal"), directory, app)
        }
        Edit::ConditionalAccessBlock { directory, app } => {
            let operation = word("Add conditional access policy", "Delete conditional access policy");
            of_principal(state, operation, directory, app)
        }
        Edit::RemoveRoleAssignments { directory, app } => {
            let principal = &state.directories.get(directory)?.principals.get(app)?.object_id;
            let assignment = state.access.assignments.iter().find(|known| known.principal == *principal)?;
            of_assignment(state, word("delete", "write"), assignment)
        }
        Edit::KeyDeleted { key } => of_key(state, word("KeyDelete", "KeyRecover"), key),
        Edit::KeyDisabled { key }
        | Edit::KeyVersionDisabled { key, .. }
        | Edit::KeyExpired { key }
        | Edit::RemoveTag { key, .. } => of_key(state, "KeyUpdate", key),
        Edit::Firewall { vault } => of_vault(state, vault),
        // Time passes by itself, and the application is the platform's.
        Edit::ExpireSecret { .. } => None,
    }
}

/// The event of a request that a vault itself received, if it changed something.
pub(crate) fn of_call(state: &State, facts: &CallFacts) -> Option<CallFacts> {
    let (_, operation) = KEY_CHANGES.into_iter().find(|(request, _)| *request == facts.operation)?;
    let event = of_key(state, operation, &facts.key.as_deref()?.parse().ok()?)?;
    Some(CallFacts { principal: facts.principal.clone(), ..event })
}

fn facts(
    service: &str,
    operation: &str,
    directory: &DirectoryId,
    (parameter, value): (&str, String),
) -> CallFacts {
    CallFacts {
        service: service.to_owned(),
        operation: operation.to_owned(),
        account: Some(directory.to_string()),
        parameters: [(parameter.to_owned(), value)].into(),
        ..CallFacts::default()
    }
}

/// A management event as Event Grid's topic of the subscription delivers it, if it is one of Azure Resource Manager's:
/// <https://learn.microsoft.com/azure/event-grid/event-schema-subscriptions>. None for other records.
pub fn grid_event(record: &CallRecord) -> Option<Value> {
    let facts = &record.facts;
    if !facts.management || facts.service != "resource_manager" {
        return None;
    }
    let resource = facts.parameters.get("resourceId")?;
    let subscription = resource.split('/').nth(2)?;
    let kind = if facts.operation.ends_with("/delete") { "Delete" } else { "Write" };
    Some(json!({
        "id": record.request_id,
        "topic": format!("/subscriptions/{subscription}"),
        "subject": resource,
        "eventType": format!("Microsoft.Resources.Resource{kind}Success"),
        "eventTime": record.time.to_string(),
        "data": {
            "correlationId": record.request_id,
            "operationName": facts.operation,
            "resourceProvider": facts.operation.split('/').next(),
            "resourceUri": resource,
            "status": "Succeeded",
            "subscriptionId": subscription,
            "tenantId": facts.account,
        },
        "dataVersion": "2",
        "metadataVersion": "1",
    }))
}

/// A management event as a workspace gets it: the table, which is `AuditLogs` for Entra's and `AzureDiagnostics` for a
/// vault's, and those of its columns that can be told. None for other records.
///
/// <https://learn.microsoft.com/azure/azure-monitor/reference/tables/auditlogs>,
/// <https://learn.microsoft.com/azure/key-vault/general/howto-logging>
pub fn log_row(record: &CallRecord) -> Option<(&'static str, Value)> {
    let facts = &record.facts;
    if !facts.management {
        return None;
    }
    let common = json!({"TimeGenerated": record.time.to_string(), "OperationName": facts.operation});
    let (table, columns) = match facts.service.as_str() {
        "entra" => {
            let target = json!([{"id": facts.parameters.get("objectId")?, "type": "ServicePrincipal"}]);
            ("AuditLogs", json!({"AADTenantId": facts.account, "TargetResources": target.to_string()}))
        }
        "key_vault" => {
            let vault = facts.parameters.get("resourceId")?.to_ascii_uppercase();
            let provider = "MICROSOFT.KEYVAULT";
            let columns = json!({"ResourceId": vault, "ResourceProvider": provider, "id_s": facts.key});
            ("AzureDiagnostics", columns)
        }
        _ => return None,
    };
    let row = common.as_object().into_iter().chain(columns.as_object()).flatten();
    Some((table, row.map(|(name, value)| (name.clone(), value.clone())).collect()))
}
