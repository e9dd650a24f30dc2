//! Named edits that a tenant's administrator makes, each of which can be undone.
//!
//! An edit is laid over what the owner wrote rather than written into it, so that edits can be undone in any order.
//! Replacing a policy as a whole removes the edits laid over it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::iam::deny::DenyPolicy;
use super::name::{KeyName, ProjectId, ServiceAccountEmail};
use super::world::key::{RemoveLabel, VersionState};
use super::world::layered::EditTime;
use super::world::project::AddDeny;
use super::world::service_account::Disable;
use super::world::{EditKind, RemoveMember, State};
use crate::clock::Timestamp;
use crate::error::SimError;

/// Names an edit, to undo it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EditId(u64);

impl EditId {
    /// The id of the deny policy that it adds, if it adds one.
    pub(crate) fn deny_policy(self) -> String {
        format!("edit-{}", self.0)
    }
}

/// An edit by a tenant's administrator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Edit {
    /// Takes a member out of the bindings on a service account, so that it may no longer become it.
    RemoveTokenCreator {
        /// The service account.
        service_account: ServiceAccountEmail,
        /// The member as the policy names it, `serviceAccount:…`.
        member: String,
    },
    /// Disables a service account.
    DisableServiceAccount {
        /// The service account.
        service_account: ServiceAccountEmail,
    },
    /// Takes a member, or everyone, out of the bindings on a key. Those of its key ring and project stay.
    RemoveKeyGrants {
        /// The key.
        key: KeyName,
        /// The member; everyone when absent.
        #[serde(default)]
        member: Option<String>,
    },
    /// Adds a deny policy to a project.
    Deny {
        /// The project.
        project: ProjectId,
        /// The principals denied, `principal://…`; everyone when empty.
        #[serde(default)]
        principals: Vec<String>,
        /// The permissions denied, `cloudkms.googleapis.com/cryptoKeyVersions.useToDecrypt`; those that use keys when
        /// empty.
        #[serde(default)]
        permissions: Vec<String>,
    },
    /// Disables a version of a key.
    VersionDisabled {
        /// The key.
        key: KeyName,
        /// The version's number.
        version: u32,
    },
    /// Disables all versions of a key that there are.
    KeyVersionsDisabled {
        /// The key.
        key: KeyName,
    },
    /// Schedules a version's destruction.
    VersionDestroyScheduled {
        /// The key.
        key: KeyName,
        /// The version's number.
        version: u32,
    },
    /// Destroys a version at once. Undoing it brings the version back, as no real cloud could.
    VersionDestroyed {
        /// The key.
        key: KeyName,
        /// The version's number.
        version: u32,
    },
    /// Takes a label away from a key.
    RemoveLabel {
        /// The key.
        key: KeyName,
        /// The label's name.
        label: String,
    },
}

/// An edit that can still be undone.
#[derive(Clone, Debug, Serialize)]
pub struct EditStatus {
    /// Its name.
    pub id: EditId,
    /// The edit.
    #[serde(flatten)]
    pub edit: Edit,
}

/// The edits made and not undone.
#[derive(Debug, Default)]
pub(crate) struct EditState {
    last: u64,
    active: BTreeMap<EditId, Edit>,
}

/// Makes an edit.
pub(crate) fn make(state: &mut State, edit: Edit, now: Timestamp) -> Result<EditId, SimError> {
    let id = EditId(state.edits.last + 1);
    let time = state.edit_time(edit.time_kind(), now);
    apply(state, id, &edit, time)?;
    state.edits.last = id.0;
    state.edits.active.insert(id, edit);
    Ok(id)
}

/// Undoes an edit, and gives it back.
pub(crate) fn undo(state: &mut State, id: EditId, now: Timestamp) -> Result<Edit, SimError> {
    let missing = || SimError::not_found("edit", id.0.to_string());
    let edit = state.edits.active.remove(&id).ok_or_else(missing)?;
    let time = state.edit_time(edit.time_kind(), now);
    if lift(state, id, &edit, time)? { Ok(edit) } else { Err(missing()) }
}

/// The edits that can still be undone.
pub(crate) fn list(state: &State) -> Vec<EditStatus> {
    state.edits.active.iter().map(|(id, edit)| EditStatus { id: *id, edit: edit.clone() }).collect()
}

impl Edit {
    fn time_kind(&self) -> EditKind {
        match self {
            Self::RemoveTokenCreator { .. } | Self::RemoveKeyGrants { .. } | Self::Deny { .. } => {
                EditKind::Policy
            }
            Self::DisableServiceAccount { .. } => EditKind::ServiceAccount,
            Self::VersionDisabled { .. }
            | Self::KeyVersionsDisabled { .. }
            | Self::VersionDestroyScheduled { .. }
            | Self::VersionDestroyed { .. } => EditKind::KeyState,
            Self::RemoveLabel { .. } => EditKind::Label,
        }
    }
}

fn apply(state: &mut State, id: EditId, edit: &Edit, time: EditTime) -> Result<(), SimError> {
    match edit {
        Edit::RemoveTokenCreator { service_account, member } => {
            let layer = RemoveMember(Some(member.clone()));
            state.service_account_mut(service_account)?.policy.lay(id, layer, time);
        }
        Edit::DisableServiceAccount { service_account } => {
            state.service_account_mut(service_account)?.disabled.lay(id, Disable, time);
        }
        Edit::RemoveKeyGrants { key, member } => {
            state.key_mut(key)?.policy.lay(id, RemoveMember(member.clone()), time);
        }
        Edit::Deny { project, principals, permissions } => {
            let layer = AddDeny { id: id.deny_policy(), policy: deny(principals, permissions)? };
            state.project_mut(project)?.deny.lay(id, layer, time);
        }
        Edit::VersionDisabled { key, version } => {
            let version = state.key_mut(key)?.version_mut(*version)?;
            version.lay(id, VersionState::Disabled, None, time);
        }
        Edit::KeyVersionsDisabled { key } => {
            for version in state.key_mut(key)?.versions.values_mut() {
                version.lay(id, VersionState::Disabled, None, time);
            }
        }
        Edit::VersionDestroyScheduled { key, version } => {
            let key = state.key_mut(key)?;
            let destroy_at = time.now.plus(key.destroy_scheduled);
            key.version_mut(*version)?.lay(id, VersionState::DestroyScheduled, Some(destroy_at), time);
        }
        Edit::VersionDestroyed { key, version } => {
            let version = state.key_mut(key)?.version_mut(*version)?;
            version.lay(id, VersionState::Destroyed, Some(time.now), time);
        }
        Edit::RemoveLabel { key, label } => {
            state.key_mut(key)?.labels.lay(id, RemoveLabel(label.clone()), time);
        }
    }
    Ok(())
}

fn lift(state: &mut State, id: EditId, edit: &Edit, time: EditTime) -> Result<bool, SimError> {
    Ok(match edit {
        Edit::RemoveTokenCreator { service_account, .. } => {
            state.service_account_mut(service_account)?.policy.lift(id, time)
        }
        Edit::DisableServiceAccount { service_account } => {
            state.service_account_mut(service_account)?.disabled.lift(id, time)
        }
        Edit::RemoveKeyGrants { key, .. } => state.key_mut(key)?.policy.lift(id, time),
        Edit::Deny { project, .. } => state.project_mut(project)?.deny.lift(id, time),
        Edit::VersionDisabled { key, version }
        | Edit::VersionDestroyScheduled { key, version }
        | Edit::VersionDestroyed { key, version } => {
            state.key_mut(key)?.version_mut(*version)?.lift(id, time)
        }
        Edit::KeyVersionsDisabled { key } => {
            // Versions made since have nothing to lift.
            let versions = state.key_mut(key)?.versions.values_mut();
            versions.filter_map(|version| version.lift(id, time).then_some(())).count() > 0
        }
        Edit::RemoveLabel { key, .. } => state.key_mut(key)?.labels.lift(id, time),
    })
}

/// Google's JSON of a deny policy with one rule.
fn deny(principals: &[String], permissions: &[String]) -> Result<DenyPolicy, SimError> {
    let everyone = json!(["principalSet://goog/public:all"]);
    let using = json!([
        "cloudkms.googleapis.com/cryptoKeyVersions.useToEncrypt",
        "cloudkms.googleapis.com/cryptoKeyVersions.useToDecrypt",
    ]);
    let principals = if principals.is_empty() { everyone } else { json!(principals) };
    let permissions = if permissions.is_empty() { using } else { json!(permissions) };
    DenyPolicy::parse(&json!({"rules": [{
        "denyRule": {"deniedPrincipals": principals, "deniedPermissions": permissions},
    }]}))
}
