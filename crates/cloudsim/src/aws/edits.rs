//! Named edits that a tenant's administrator makes, each of which can be undone.
//!
//! An edit is laid over the policy that the owner wrote rather than written into it, so that edits can be undone in any
//! order. Replacing a policy as a whole removes the edits laid over it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::arn::{KeyArn, RoleArn};
use super::trail;
use super::world::key::KeyState;
use super::world::policies::{EditTime, statements_mut};
use super::world::{EditKind, State};
use crate::clock::Timestamp;
use crate::error::SimError;
use crate::log::CallFacts;

/// Names an edit, to undo it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EditId(u64);

/// An edit by a tenant's administrator.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Edit {
    /// Takes a principal out of every Allow statement of a role's trust policy.
    TrustRemovePrincipal {
        /// The role.
        role: RoleArn,
        /// The principal as the trust policy names it.
        principal: String,
    },
    /// Adds a Deny for a principal to a role's trust policy.
    TrustDenyPrincipal {
        /// The role.
        role: RoleArn,
        /// The principal, `*` for all.
        principal: String,
    },
    /// Adds a Deny to a key policy.
    KeyDeny {
        /// The key.
        key: KeyArn,
        /// The principal denied, usually a role ARN; `*` for all.
        principal: String,
        /// The actions denied; those that use the key when empty.
        #[serde(default)]
        actions: Vec<String>,
        /// Denies only under these entries of the encryption context.
        #[serde(default)]
        encryption_context: BTreeMap<String, String>,
    },
    /// Takes all of a role's identity policies away.
    RoleDetachPolicies {
        /// The role.
        role: RoleArn,
    },
    /// Adds a Deny to a role's identity policies.
    RoleDeny {
        /// The role.
        role: RoleArn,
        /// The actions denied.
        actions: Vec<String>,
    },
    /// What the console calls "revoke active sessions": denies all to sessions issued before now.
    RevokeOlderSessions {
        /// The role.
        role: RoleArn,
    },
    /// Puts a key in a state; undoing puts it back.
    KeyState {
        /// The key.
        key: KeyArn,
        /// The state.
        state: KeyState,
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
    active: BTreeMap<EditId, Active>,
}

#[derive(Debug)]
struct Active {
    edit: Edit,
    /// The state to return a key to.
    before: Option<KeyState>,
}

/// What an edit does to a list of policy documents.
#[derive(Clone, Debug)]
pub(crate) enum PolicyEdit {
    RemovePrincipal { principal: String, owner_root: String },
    AddStatement(Value),
    RemoveAll,
}

impl PolicyEdit {
    pub(crate) fn apply(&self, documents: &mut Vec<Value>) {
        match self {
            Self::RemovePrincipal { principal, owner_root } => {
                documents.iter_mut().for_each(|document| remove_principal(document, principal, owner_root));
            }
            Self::AddStatement(statement) => add_statement(documents, statement),
            Self::RemoveAll => documents.clear(),
        }
    }
}

/// Makes an edit, and gives its name and the management event that it leaves.
pub(crate) fn make(
    state: &mut State,
    edit: Edit,
    now: Timestamp,
) -> Result<(EditId, Option<CallFacts>), SimError> {
    let id = EditId(state.edits.last + 1);
    let before = apply(state, id, &edit, now)?;
    let event = trail::made(&edit, before);
    state.edits.last = id.0;
    state.edits.active.insert(id, Active { edit, before });
    Ok((id, event))
}

/// Undoes an edit, and gives the management event that this leaves.
pub(crate) fn undo(state: &mut State, id: EditId, now: Timestamp) -> Result<Option<CallFacts>, SimError> {
    let missing = || SimError::not_found("edit", id.0.to_string());
    let active = state.edits.active.remove(&id).ok_or_else(missing)?;
    let time = state.edit_time(kind(&active.edit), now);
    let lifted = match (&active.edit, active.before) {
        (Edit::KeyState { key, .. }, Some(before)) => {
            state.key_mut(key)?.state.set(before, now, time.effective);
            true
        }
        (Edit::KeyDeny { key, .. } | Edit::KeyState { key, .. }, _) => {
            state.key_mut(key)?.policy.lift(id, time)?
        }
        (Edit::TrustRemovePrincipal { role, .. } | Edit::TrustDenyPrincipal { role, .. }, _) => {
            state.role_mut(role)?.trust.lift(id, time)?
        }
        (
            Edit::RoleDetachPolicies { role }
            | Edit::RoleDeny { role, .. }
            | Edit::RevokeOlderSessions { role },
            _,
        ) => state.role_mut(role)?.policies.lift(id, time)?,
    };
    if lifted { Ok(trail::undone(&active.edit, active.before)) } else { Err(missing()) }
}

/// The edits that can still be undone.
pub(crate) fn list(state: &State) -> Vec<EditStatus> {
    state.edits.active.iter().map(|(id, active)| EditStatus { id: *id, edit: active.edit.clone() }).collect()
}

fn kind(edit: &Edit) -> EditKind {
    match edit {
        Edit::TrustRemovePrincipal { .. } | Edit::TrustDenyPrincipal { .. } => EditKind::Trust,
        Edit::KeyDeny { .. } => EditKind::KeyPolicy,
        Edit::KeyState { .. } => EditKind::KeyState,
        Edit::RoleDetachPolicies { .. } | Edit::RoleDeny { .. } | Edit::RevokeOlderSessions { .. } => {
            EditKind::Identity
        }
    }
}

/// Applies an edit, and gives the key state that it replaced.
fn apply(state: &mut State, id: EditId, edit: &Edit, now: Timestamp) -> Result<Option<KeyState>, SimError> {
    let time = state.edit_time(kind(edit), now);
    match edit {
        Edit::TrustRemovePrincipal { role, principal } => {
            let owner_root = role.account.root_arn();
            let edit = PolicyEdit::RemovePrincipal { principal: principal.clone(), owner_root };
            state.role_mut(role)?.trust.lay(id, edit, time)?;
        }
        Edit::TrustDenyPrincipal { role, principal } => {
            let statement =
                json!({"Effect": "Deny", "Principal": principal_of(principal), "Action": "sts:AssumeRole"});
            state.role_mut(role)?.trust.lay(id, PolicyEdit::AddStatement(statement), time)?;
        }
        Edit::KeyDeny { key, principal, actions, encryption_context } => {
            let statement = key_deny(principal, actions, encryption_context);
            state.key_mut(key)?.policy.lay(id, PolicyEdit::AddStatement(statement), time)?;
        }
        Edit::KeyState { key, state: wanted } => return set_key_state(state, key, *wanted, time).map(Some),
        Edit::RoleDetachPolicies { role } => {
            state.role_mut(role)?.policies.lay(id, PolicyEdit::RemoveAll, time)?;
        }
        Edit::RoleDeny { role, actions } => {
            let statement = json!({"Effect": "Deny", "Action": actions, "Resource": "*"});
            state.role_mut(role)?.policies.lay(id, PolicyEdit::AddStatement(statement), time)?;
        }
        Edit::RevokeOlderSessions { role } => {
            let condition = json!({"DateLessThan": {"aws:TokenIssueTime": now.to_string()}});
            let statement = json!({"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition});
            state.role_mut(role)?.policies.lay(id, PolicyEdit::AddStatement(statement), time)?;
        }
    }
    Ok(None)
}

fn set_key_state(
    state: &mut State,
    key: &KeyArn,
    wanted: KeyState,
    time: EditTime,
) -> Result<KeyState, SimError> {
    let key = state.key_mut(key)?;
    let before = *key.state.newest();
    key.state.set(wanted, time.now, time.effective);
    Ok(before)
}

fn key_deny(principal: &str, actions: &[String], encryption_context: &BTreeMap<String, String>) -> Value {
    let using =
        json!(["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]);
    let actions = if actions.is_empty() { using } else { json!(actions) };
    let mut statement =
        json!({"Effect": "Deny", "Principal": principal_of(principal), "Action": actions, "Resource": "*"});
    if !encryption_context.is_empty() {
        let entries: serde_json::Map<String, Value> = encryption_context
            .iter()
            .map(|(key, value)| (format!("kms:EncryptionContext:{key}"), json!(value)))
            .collect();
        statement["Condition"] = json!({"StringEquals": entries});
    }
    statement
}

fn principal_of(principal: &str) -> Value {
    if principal == "*" { json!("*") } else { json!({"AWS": principal}) }
}

fn add_statement(documents: &mut Vec<Value>, statement: &Value) {
    match documents.first_mut().and_then(statements_mut) {
        Some(statements) => statements.push(statement.clone()),
        None => documents.push(json!({"Version": "2012-10-17", "Statement": [statement]})),
    }
}

/// Takes a principal out of the Allow statements. Statements that then name nobody go; if none is left, the owner's own
/// account takes the place, because IAM takes no trust policy without a statement.
fn remove_principal(document: &mut Value, principal: &str, owner_root: &str) {
    let Some(statements) = statements_mut(document) else { return };
    for statement in statements.iter_mut().filter(|statement| statement["Effect"] == "Allow") {
        strip(&mut statement["Principal"], principal);
    }
    statements.retain(|statement| statement["Effect"] != "Allow" || names_someone(&statement["Principal"]));
    if statements.is_empty() {
        statements
            .push(json!({"Effect": "Allow", "Principal": {"AWS": owner_root}, "Action": "sts:AssumeRole"}));
    }
}

fn strip(principals: &mut Value, principal: &str) {
    match principals {
        Value::String(text) if text == principal => *principals = Value::Null,
        Value::Array(list) => list.retain(|entry| entry != principal),
        Value::Object(kinds) => kinds.values_mut().for_each(|kind| strip(kind, principal)),
        _ => {}
    }
}

fn names_someone(principals: &Value) -> bool {
    match principals {
        Value::String(_) => true,
        Value::Array(list) => !list.is_empty(),
        Value::Object(kinds) => kinds.values().any(names_someone),
        _ => false,
    }
}
