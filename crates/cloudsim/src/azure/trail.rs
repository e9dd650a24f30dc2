//! What Azure's own logs tell of the edits that a tenant's administrator makes: Entra's audit log, Key Vault's audit events
//! and the activity log, each in its own words.

use super::edits::Edit;
use super::ids::{AppId, DirectoryId, KeyUrl, VaultName};
use super::world::State;
use crate::log::CallFacts;

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
pub(crate) fn of_principal(operation: &str, directory: &DirectoryId, app: &AppId) -> CallFacts {
    CallFacts { role: Some(app.to_string()), ..facts("entra", operation, directory) }
}

/// The event of a change to a key, as its vault's audit log has it:
/// <https://learn.microsoft.com/azure/key-vault/general/logging>.
pub(crate) fn of_key(state: &State, operation: &str, key: &KeyUrl) -> Option<CallFacts> {
    let directory = &state.vaults.get(key.vault())?.directory;
    Some(CallFacts { key: Some(key.to_string()), ..facts("key_vault", operation, directory) })
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
            Some(of_principal(operation, directory, app))
        }
        Edit::RemoveConsent { directory, app } => {
            Some(of_principal(word("Remove service principal", "Add service principal"), directory, app))
        }
        Edit::ConditionalAccessBlock { directory, app } => {
            let operation = word("Add conditional access policy", "Delete conditional access policy");
            Some(of_principal(operation, directory, app))
        }
        Edit::RemoveRoleAssignments { directory, app } => {
            let operation = word(
                "Microsoft.Authorization/roleAssignments/delete",
                "Microsoft.Authorization/roleAssignments/write",
            );
            Some(CallFacts { role: Some(app.to_string()), ..facts("resource_manager", operation, directory) })
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

fn of_vault(state: &State, vault: &VaultName) -> Option<CallFacts> {
    let directory = &state.vaults.get(vault)?.directory;
    let mut facts = facts("resource_manager", "Microsoft.KeyVault/vaults/write", directory);
    facts.parameters.insert("vault".to_owned(), vault.to_string());
    Some(facts)
}

fn facts(service: &str, operation: &str, directory: &DirectoryId) -> CallFacts {
    CallFacts {
        service: service.to_owned(),
        operation: operation.to_owned(),
        account: Some(directory.to_string()),
        ..CallFacts::default()
    }
}
