//! Who may do what: roles and their assignments, and access policies.

use serde_json::Value;

use super::AzureControl;
use crate::azure::ids::{DirectoryId, ObjectId, VaultName};
use crate::azure::rbac::{CustomRole, WrittenAssignment};
use crate::azure::trail;
use crate::azure::world::layered::Layered;
use crate::azure::world::{EditKind, State};
use crate::error::SimError;

impl AzureControl {
    /// Assigns a role, written as Azure Resource Manager has it: `{"properties": {"roleDefinitionId", "principalId",
    /// "principalType"}, "scope"}`. Gives the assignment's name.
    ///
    /// # Errors
    /// When it is malformed or conditional, exists already, or names a role, principal or subscription that does not exist.
    pub fn put_role_assignment(&self, assignment: &Value) -> Result<String, SimError> {
        let written = WrittenAssignment::read(assignment)?;
        let now = self.shared.clock.now();
        let mut state = self.shared.azure.write();
        let time = state.edit_time(EditKind::Rbac, now);
        let directory = governing(&written, &state)?;
        let known = state.directories[&directory]
            .principals
            .values()
            .any(|principal| principal.object_id == written.principal && *principal.present.newest());
        if !known {
            let name = format!("{} (PrincipalNotFound) in directory {directory}", written.principal);
            return Err(SimError::not_found("principal", name));
        }
        let name = state.access.assign(written, time)?;
        let made = state.access.assignments.iter().find(|assignment| assignment.name == name);
        let event = made.and_then(|assignment| trail::of_assignment(&state, "write", assignment));
        drop(state);
        self.record(event);
        Ok(name)
    }

    /// Takes a role assignment away.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn delete_role_assignment(&self, name: &str) -> Result<(), SimError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.azure.write();
        let time = state.edit_time(EditKind::Rbac, now);
        // Those that were taken away before and are in effect no longer are forgotten.
        state
            .access
            .assignments
            .retain(|assignment| *assignment.present.newest() || *assignment.present.at(now));
        let assignments = &mut state.access.assignments;
        let found = assignments.iter().position(|assignment| {
            *assignment.present.newest() && assignment.name.eq_ignore_ascii_case(name)
        });
        let found = found.ok_or_else(|| SimError::not_found("role assignment", name))?;
        assignments[found].present.set(false, time);
        let event = trail::of_assignment(&state, "delete", &state.access.assignments[found]);
        drop(state);
        self.record(event);
        Ok(())
    }

    /// Defines a custom role, written as Azure Resource Manager or the CLI has it. Gives its id.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn put_role_definition(&self, definition: &Value) -> Result<String, SimError> {
        let (id, role) = CustomRole::read(definition)?;
        let id = id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        self.shared.azure.write().access.custom.insert(id.clone(), role);
        Ok(id)
    }

    /// Gives a principal these permissions on all keys of a vault that goes by access policies: `get`, `wrapKey` and so on,
    /// in any case. Without any, its policy is deleted.
    ///
    /// # Errors
    /// When the vault does not exist or goes by roles.
    pub fn set_access_policy(
        &self,
        vault: &VaultName,
        principal: &ObjectId,
        permissions: &[String],
    ) -> Result<(), SimError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.azure.write();
        let time = state.edit_time(EditKind::KeyState, now);
        let policies = state.vault_mut(vault)?.access_policies.as_mut();
        let policies =
            policies.ok_or_else(|| SimError::invalid("access policy", "the vault goes by roles"))?;
        let policy = policies.entry(principal.clone()).or_insert_with(|| Layered::new(Vec::new()));
        policy.set(permissions.to_vec(), time);
        let event = trail::of_vault(&state, vault);
        drop(state);
        self.record(event);
        Ok(())
    }
}

/// The directory whose subscription an assignment's scope is in.
fn governing(written: &WrittenAssignment, state: &State) -> Result<DirectoryId, SimError> {
    let subscription = written
        .subscription()
        .ok_or_else(|| SimError::invalid("role assignment", "its scope is in no subscription"))?;
    let found = state
        .directories
        .values()
        .find(|directory| directory.subscription.as_str().eq_ignore_ascii_case(subscription));
    found
        .map(|directory| directory.id.clone())
        .ok_or_else(|| SimError::not_found("subscription", subscription))
}
