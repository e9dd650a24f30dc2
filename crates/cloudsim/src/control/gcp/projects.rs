//! Projects, their custom roles and their deny policies.

use serde_json::Value;

use super::GcpControl;
use crate::error::SimError;
use crate::gcp::iam::deny::DenyPolicy;
use crate::gcp::iam::role::CustomRole;
use crate::gcp::name::{ProjectId, RoleName};
use crate::gcp::trail;
use crate::gcp::world::EditKind;
use crate::gcp::world::project::Project;
use crate::propagated::Propagated;

/// The number of the first project.
const FIRST_NUMBER: u64 = 500_000_000_001;

impl GcpControl {
    /// Makes a project, if it does not exist, and gives its number.
    pub fn put_project(&self, id: &ProjectId) -> u64 {
        let mut state = self.shared.gcp.write();
        let newest = state.projects.values().map(|project| project.number).max();
        let next = newest.map_or(FIRST_NUMBER, |newest| newest + 1);
        state.projects.entry(id.clone()).or_insert_with(|| Project::new(next)).number
    }

    /// Deletes a project with all it owns, at once. Its service accounts' tokens are worthless from then on.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn delete_project(&self, id: &ProjectId) -> Result<(), SimError> {
        let removed = self.shared.gcp.write().projects.remove(id);
        removed.map(drop).ok_or_else(|| SimError::not_found("project", id.to_string()))?;
        self.record(trail::of_project("DeleteProject", id));
        Ok(())
    }

    /// Makes or replaces a custom role, from Google's JSON.
    ///
    /// # Errors
    /// When the project does not exist or the role is malformed.
    pub fn put_custom_role(&self, name: &RoleName, role: Value) -> Result<(), SimError> {
        let role = CustomRole::parse(role)?;
        let time = self.edit_time(EditKind::Policy);
        let mut state = self.shared.gcp.write();
        let roles = &mut state.project_mut(&name.project)?.roles;
        let operation = if roles.contains_key(&name.id) { "UpdateRole" } else { "CreateRole" };
        match roles.get_mut(&name.id) {
            Some(known) => known.set(role, time.now, time.effective),
            None => drop(roles.insert(name.id.clone(), Propagated::new(role))),
        }
        drop(state);
        self.record(trail::of_role(operation, name));
        Ok(())
    }

    /// Deletes a custom role. Bindings that name it give nothing from then on.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn delete_custom_role(&self, name: &RoleName) -> Result<(), SimError> {
        let removed = self.shared.gcp.write().project_mut(&name.project)?.roles.remove(&name.id);
        removed.map(drop).ok_or_else(|| SimError::not_found("custom role", name.to_string()))?;
        self.record(trail::of_role("DeleteRole", name));
        Ok(())
    }

    /// Attaches a deny policy to a project, or replaces the one of that id, from Google's JSON.
    ///
    /// # Errors
    /// When the project does not exist or the policy is malformed.
    pub fn put_deny_policy(&self, project: &ProjectId, id: &str, policy: Value) -> Result<(), SimError> {
        let policy = DenyPolicy::parse(&policy)?;
        let time = self.edit_time(EditKind::Policy);
        let mut state = self.shared.gcp.write();
        let mut known = false;
        state
            .project_mut(project)?
            .deny
            .change(time, |policies| known = policies.insert(id.to_owned(), policy).is_some());
        drop(state);
        let operation = if known { "UpdatePolicy" } else { "CreatePolicy" };
        self.record(trail::of_deny_policy(operation, project, id));
        Ok(())
    }

    /// Detaches a deny policy.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn delete_deny_policy(&self, project: &ProjectId, id: &str) -> Result<(), SimError> {
        let time = self.edit_time(EditKind::Policy);
        let mut state = self.shared.gcp.write();
        let mut known = false;
        state.project_mut(project)?.deny.change(time, |policies| known = policies.remove(id).is_some());
        drop(state);
        if !known {
            return Err(SimError::not_found("deny policy", id));
        }
        self.record(trail::of_deny_policy("DeletePolicy", project, id));
        Ok(())
    }
}
