//! Named edits that a tenant's administrator makes, each of which can be undone, in any order.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::{AppId, DirectoryId, KeyUrl, VaultName};
use super::trail;
use super::world::vault::{Firewall, FirewallAction};
use super::world::{EditKind, State};
use crate::clock::Timestamp;
use crate::error::SimError;
use crate::log::CallFacts;

/// Names an edit, to undo it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EditId(pub(crate) u64);

#[cfg(test)]
impl EditId {
    pub(crate) fn of(number: u64) -> Self {
        Self(number)
    }
}

/// An edit by a tenant's administrator, or by the platform's own of its application.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Edit {
    /// Disables an application's service principal: no new tokens.
    DisableServicePrincipal {
        /// Where.
        directory: DirectoryId,
        /// Whose.
        app: AppId,
    },
    /// Takes the consent back: the service principal is gone, and no role of its counts.
    RemoveConsent {
        /// Where.
        directory: DirectoryId,
        /// Whose.
        app: AppId,
    },
    /// Has a conditional access policy block the service principal: no new tokens.
    ConditionalAccessBlock {
        /// Where.
        directory: DirectoryId,
        /// Whose.
        app: AppId,
    },
    /// Takes all roles that an application has in a directory away.
    RemoveRoleAssignments {
        /// Where.
        directory: DirectoryId,
        /// Whose.
        app: AppId,
    },
    /// Disables all versions of a key.
    KeyDisabled {
        /// The key.
        key: KeyUrl,
    },
    /// Disables one version of a key.
    KeyVersionDisabled {
        /// The key.
        key: KeyUrl,
        /// The version.
        version: String,
    },
    /// Deletes a key, recoverably; undoing recovers it.
    KeyDeleted {
        /// The key.
        key: KeyUrl,
    },
    /// Lets all versions of a key have expired a minute ago. Key Vault goes on unwrapping with them.
    KeyExpired {
        /// The key.
        key: KeyUrl,
    },
    /// Takes a tag off all versions of a key.
    RemoveTag {
        /// The key.
        key: KeyUrl,
        /// The tag's name.
        tag: String,
    },
    /// Lets all secrets of an application have expired a minute ago.
    ExpireSecret {
        /// The application.
        app: AppId,
    },
    /// Closes a vault's firewall to everyone.
    Firewall {
        /// The vault.
        vault: VaultName,
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

/// Makes an edit, and gives its name and the management event that it leaves.
pub(crate) fn make(
    state: &mut State,
    edit: Edit,
    now: Timestamp,
) -> Result<(EditId, Option<CallFacts>), SimError> {
    let id = EditId(state.edits.last + 1);
    lay(state, id, &edit, now)?;
    let event = trail::made(state, &edit);
    state.edits.last = id.0;
    state.edits.active.insert(id, edit);
    Ok((id, event))
}

/// Undoes an edit, and gives the management event that this leaves.
pub(crate) fn undo(state: &mut State, id: EditId, now: Timestamp) -> Result<Option<CallFacts>, SimError> {
    let missing = || SimError::not_found("edit", id.0.to_string());
    let edit = state.edits.active.remove(&id).ok_or_else(missing)?;
    if state.lift(id, now) { Ok(trail::undone(state, &edit)) } else { Err(missing()) }
}

/// The edits that can still be undone.
pub(crate) fn list(state: &State) -> Vec<EditStatus> {
    state.edits.active.iter().map(|(id, edit)| EditStatus { id: *id, edit: edit.clone() }).collect()
}

fn lay(state: &mut State, id: EditId, edit: &Edit, now: Timestamp) -> Result<(), SimError> {
    let principal = state.edit_time(EditKind::Principal, now);
    let key_state = state.edit_time(EditKind::KeyState, now);
    match edit {
        Edit::DisableServicePrincipal { directory, app } => {
            state.principal_mut(directory, app)?.enabled.lay(id, false, principal);
        }
        Edit::RemoveConsent { directory, app } => {
            state.principal_mut(directory, app)?.present.lay(id, false, principal);
        }
        Edit::ConditionalAccessBlock { directory, app } => {
            state.principal_mut(directory, app)?.blocked.lay(id, true, principal);
        }
        Edit::RemoveRoleAssignments { directory, app } => {
            return remove_assignments(state, id, directory, app, now);
        }
        Edit::KeyDisabled { key } => {
            let versions = state.key_mut(key)?.versions.iter_mut();
            versions.for_each(|version| version.enabled.lay(id, false, key_state));
        }
        Edit::KeyVersionDisabled { key, version } => {
            let found = state.key_mut(key)?.version_mut(Some(version));
            let missing = || SimError::not_found("key version", version.as_str());
            found.ok_or_else(missing)?.enabled.lay(id, false, key_state);
        }
        Edit::KeyDeleted { key } => {
            state.key_mut(key)?.deleted.lay(id, Some(key_state.effective), key_state);
        }
        Edit::KeyExpired { key } => {
            let past = Some(a_minute_before(now));
            let versions = state.key_mut(key)?.versions.iter_mut();
            versions.for_each(|version| version.expires.lay(id, past, key_state));
        }
        Edit::RemoveTag { key, tag } => {
            let versions = state.key_mut(key)?.versions.iter_mut();
            let tags: Vec<_> = versions.filter_map(|version| version.tags.get_mut(tag)).collect();
            if tags.is_empty() {
                return Err(SimError::not_found("tag", tag.as_str()));
            }
            tags.into_iter().for_each(|value| value.lay(id, None, key_state));
        }
        Edit::ExpireSecret { app } => {
            let secrets = state.app_mut(app)?.secrets.iter_mut();
            secrets.for_each(|secret| secret.expires.lay(id, a_minute_before(now), principal));
        }
        Edit::Firewall { vault } => {
            state.vault_mut(vault)?.firewall.lay(id, Firewall::new(FirewallAction::Deny), key_state);
        }
    }
    Ok(())
}

fn remove_assignments(
    state: &mut State,
    id: EditId,
    directory: &DirectoryId,
    app: &AppId,
    now: Timestamp,
) -> Result<(), SimError> {
    let rbac = state.edit_time(EditKind::Rbac, now);
    let object_id = state.principal_mut(directory, app)?.object_id.clone();
    let theirs = state.access.assignments.iter_mut().filter(|assignment| assignment.principal == object_id);
    let mut any = false;
    for assignment in theirs {
        assignment.present.lay(id, false, rbac);
        any = true;
    }
    if any { Ok(()) } else { Err(SimError::not_found("role assignment of", app.as_str())) }
}

fn a_minute_before(now: Timestamp) -> Timestamp {
    Timestamp::from_unix_millis(now.unix_millis() - MINUTE.as_millis() as i64)
}

const MINUTE: Duration = Duration::from_secs(60);
