//! Azure role-based access control for the data plane: role definitions, role assignments and the decision.
//!
//! Assignments and definitions are read in the form of Azure Resource Manager, so that what a tenant pastes can be loaded
//! verbatim. <https://learn.microsoft.com/en-us/azure/role-based-access-control/role-assignments>

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::ids::ObjectId;
use super::world::layered::{EditTime, Layered};
use crate::clock::Timestamp;
use crate::error::SimError;

const KEYS: &str = "Microsoft.KeyVault/vaults/keys";

/// Built-in roles by id, name and data actions.
/// <https://learn.microsoft.com/en-us/azure/role-based-access-control/built-in-roles/security>
const BUILT_IN: &[(&str, &str, &[&str])] = &[
    (
        "e147488a-f6f5-4113-8e2d-b22465e65bf6",
        "Key Vault Crypto Service Encryption User",
        &[
            "Microsoft.KeyVault/vaults/keys/read",
            "Microsoft.KeyVault/vaults/keys/wrap/action",
            "Microsoft.KeyVault/vaults/keys/unwrap/action",
        ],
    ),
    (
        "12338af0-0e69-4776-bea7-57ae8d297424",
        "Key Vault Crypto User",
        &[
            "Microsoft.KeyVault/vaults/keys/read",
            "Microsoft.KeyVault/vaults/keys/update/action",
            "Microsoft.KeyVault/vaults/keys/backup/action",
            "Microsoft.KeyVault/vaults/keys/encrypt/action",
            "Microsoft.KeyVault/vaults/keys/decrypt/action",
            "Microsoft.KeyVault/vaults/keys/wrap/action",
            "Microsoft.KeyVault/vaults/keys/unwrap/action",
            "Microsoft.KeyVault/vaults/keys/sign/action",
            "Microsoft.KeyVault/vaults/keys/verify/action",
        ],
    ),
    (
        "14b46e9e-c2b7-41b4-b07b-48a6ebf60603",
        "Key Vault Crypto Officer",
        &["Microsoft.KeyVault/vaults/keys/*", "Microsoft.KeyVault/vaults/keyrotationpolicies/*"],
    ),
    (
        "08bbd89e-9f13-488c-ac41-acfcb10c90ab",
        "Key Vault Crypto Service Release User",
        &["Microsoft.KeyVault/vaults/keys/release/action"],
    ),
    (
        "21090545-7ca7-4776-b22c-e363652d74d2",
        "Key Vault Reader",
        &["Microsoft.KeyVault/vaults/*/read", "Microsoft.KeyVault/vaults/secrets/readMetadata/action"],
    ),
    ("00482a5a-887f-4fb3-b363-3b7fe8e74483", "Key Vault Administrator", &["Microsoft.KeyVault/vaults/*"]),
    (
        "4633458b-17de-408a-b874-0445c86b69e6",
        "Key Vault Secrets User",
        &[
            "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
        ],
    ),
    // Roles of the control plane alone, however mighty, open no vault.
    ("f25e0fa2-a7c8-4377-a976-54943a77a395", "Key Vault Contributor", &[]),
    ("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner", &[]),
    ("b24988ac-6180-42a0-ab88-20f7382dd24c", "Contributor", &[]),
    ("acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader", &[]),
];

/// The role that services get which wrap and unwrap with a tenant's key.
pub const CRYPTO_SERVICE_ENCRYPTION_USER: &str = "e147488a-f6f5-4113-8e2d-b22465e65bf6";
/// The role that may do everything in a vault.
pub const KEY_VAULT_ADMINISTRATOR: &str = "00482a5a-887f-4fb3-b363-3b7fe8e74483";

/// The data action of an operation on keys, by its last part: `wrap/action`.
pub(crate) fn key_action(part: &str) -> String {
    format!("{KEYS}/{part}")
}

/// Custom roles and all assignments.
#[derive(Debug, Default)]
pub(crate) struct Access {
    /// By id in lower case.
    pub(crate) custom: BTreeMap<String, CustomRole>,
    pub(crate) assignments: Vec<RoleAssignment>,
}

/// A role that a tenant defined.
#[derive(Clone, Debug)]
pub(crate) struct CustomRole {
    permissions: Vec<Permission>,
    /// Where it may be assigned, in lower case.
    assignable: Vec<String>,
}

#[derive(Clone, Debug, Default)]
struct Permission {
    data_actions: Vec<String>,
    not_data_actions: Vec<String>,
}

/// A role assignment.
#[derive(Debug)]
pub(crate) struct RoleAssignment {
    /// Its name, a GUID.
    pub(crate) name: String,
    /// The role's id, in lower case.
    pub(crate) role: String,
    pub(crate) principal: ObjectId,
    /// As it was written.
    pub(crate) scope: String,
    pub(crate) present: Layered<bool>,
}

/// A role assignment as its owner sees it.
#[derive(Clone, Debug, Serialize)]
pub struct RoleAssignmentInfo {
    /// Its name, a GUID.
    pub name: String,
    /// The role's id.
    pub role: String,
    /// Whom the role was given to.
    pub principal: ObjectId,
    /// Where.
    pub scope: String,
}

/// A role assignment as it is written.
#[derive(Debug)]
pub(crate) struct WrittenAssignment {
    pub(crate) name: Option<String>,
    pub(crate) role: String,
    pub(crate) principal: ObjectId,
    pub(crate) scope: String,
}

impl Access {
    /// Whether a principal may do this to this resource.
    pub(crate) fn allows(&self, principal: &ObjectId, action: &str, resource: &str, now: Timestamp) -> bool {
        self.assignments
            .iter()
            .filter(|assignment| assignment.principal == *principal && *assignment.present.at(now))
            .filter(|assignment| covers(&assignment.scope, resource))
            .any(|assignment| self.permits(&assignment.role, action))
    }

    fn permits(&self, role: &str, action: &str) -> bool {
        if let Some((_, _, actions)) = BUILT_IN.iter().find(|(id, _, _)| *id == role) {
            return actions.iter().any(|pattern| action_matches(pattern, action));
        }
        let matched = |patterns: &[String]| patterns.iter().any(|pattern| action_matches(pattern, action));
        self.custom.get(role).is_some_and(|role| {
            role.permissions
                .iter()
                .any(|permission| matched(&permission.data_actions) && !matched(&permission.not_data_actions))
        })
    }

    /// Adds an assignment; gives its name.
    pub(crate) fn assign(&mut self, written: WrittenAssignment, time: EditTime) -> Result<String, SimError> {
        self.check_role(&written)?;
        // One that was taken away may still be in effect, and is in nobody's way.
        let same = |known: &&RoleAssignment| {
            *known.present.newest()
                && known.role == written.role
                && known.principal == written.principal
                && known.scope.eq_ignore_ascii_case(&written.scope)
        };
        if let Some(known) = self.assignments.iter().find(same) {
            return Err(SimError::Exists { what: "role assignment", name: known.name.clone() });
        }
        let name = written.name.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        let mut present = Layered::new(false);
        present.set(true, time);
        self.assignments.push(RoleAssignment {
            name: name.clone(),
            role: written.role,
            principal: written.principal,
            scope: written.scope,
            present,
        });
        Ok(name)
    }

    fn check_role(&self, written: &WrittenAssignment) -> Result<(), SimError> {
        if BUILT_IN.iter().any(|(id, _, _)| *id == written.role) {
            return Ok(());
        }
        let role = self
            .custom
            .get(&written.role)
            .ok_or_else(|| SimError::not_found("role definition", written.role.as_str()))?;
        let assignable = role.assignable.iter().any(|scope| covers(scope, &written.scope));
        let refused = || SimError::invalid("role assignment", "the role cannot be assigned at this scope");
        assignable.then_some(()).ok_or_else(refused)
    }
}

impl WrittenAssignment {
    /// Reads `{"properties": {"roleDefinitionId", "principalId", "principalType"}, "scope"}`.
    pub(crate) fn read(written: &Value) -> Result<Self, SimError> {
        let invalid = |reason: &str| SimError::invalid("role assignment", reason);
        let properties = written.get("properties").ok_or_else(|| invalid("it has no properties"))?;
        let text = |name: &str| properties.get(name).and_then(Value::as_str);
        if text("condition").is_some() {
            return Err(invalid("conditions are not simulated"));
        }
        // Azure refuses a type that is not the principal's own, and here all principals are applications'.
        if text("principalType").is_some_and(|kind| kind != "ServicePrincipal") {
            return Err(invalid("UnmatchedPrincipalType: the principal is a ServicePrincipal"));
        }
        let scope = written.get("scope").and_then(Value::as_str).or_else(|| text("scope"));
        let role = text("roleDefinitionId").ok_or_else(|| invalid("it has no roleDefinitionId"))?;
        let principal = text("principalId").ok_or_else(|| invalid("it has no principalId"))?;
        let name = written.get("name").and_then(Value::as_str).map(str::to_ascii_lowercase);
        Ok(Self {
            name,
            role: role_id(role)?,
            principal: principal.parse()?,
            scope: scope.ok_or_else(|| invalid("it has no scope"))?.trim_end_matches('/').to_owned(),
        })
    }

    /// The subscription that its scope is in.
    pub(crate) fn subscription(&self) -> Option<&str> {
        let mut parts = self.scope.split('/').skip(1);
        parts.next().filter(|part| part.eq_ignore_ascii_case("subscriptions")).and(parts.next())
    }
}

/// The id at the end of `/…/providers/Microsoft.Authorization/roleDefinitions/{id}`.
fn role_id(path: &str) -> Result<String, SimError> {
    let (before, id) = path.rsplit_once('/').unwrap_or(("", path));
    let path_fits = before.is_empty()
        || before.to_ascii_lowercase().ends_with("/providers/microsoft.authorization/roledefinitions");
    let id = uuid::Uuid::try_parse(id).ok().filter(|_| path_fits);
    id.map(|id| id.to_string()).ok_or_else(|| SimError::invalid("role definition id", format!("{path:?}")))
}

impl CustomRole {
    /// Reads a definition: its `properties`, or what the CLI takes, with names in any case. Gives its id, if it has one.
    pub(crate) fn read(written: &Value) -> Result<(Option<String>, Self), SimError> {
        let invalid = |reason: &str| SimError::invalid("role definition", reason);
        let properties = member(written, "properties").unwrap_or(written);
        let permissions = match member(properties, "permissions").and_then(Value::as_array) {
            Some(permissions) => permissions.iter().map(Permission::read).collect(),
            None => vec![Permission::read(properties)],
        };
        let assignable = texts(properties, "assignableScopes");
        if assignable.is_empty() {
            return Err(invalid("it has no assignableScopes"));
        }
        let id = member(written, "name").and_then(Value::as_str).and_then(|name| role_id(name).ok());
        Ok((id, Self { permissions, assignable }))
    }
}

impl Permission {
    fn read(written: &Value) -> Self {
        Self {
            data_actions: texts(written, "dataActions"),
            not_data_actions: texts(written, "notDataActions"),
        }
    }
}

fn member<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn texts(object: &Value, name: &str) -> Vec<String> {
    let list = member(object, name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    list.iter().filter_map(Value::as_str).map(|text| text.trim_end_matches('/').to_owned()).collect()
}

/// Whether a scope is a resource or above it.
pub(crate) fn covers(scope: &str, resource: &str) -> bool {
    let (scope, resource) = (scope.to_ascii_lowercase(), resource.to_ascii_lowercase());
    resource.strip_prefix(&scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether an action is meant by a pattern, in which a `*` stands for anything.
fn action_matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == action };
    let Some(mut rest) = action.strip_prefix(head) else { return false };
    let mut pieces: Vec<&str> = tail.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some(found) = rest.find(piece) else { return false };
        rest = &rest[found + piece.len()..];
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_scope_covers_itself_and_what_is_under_it_and_no_neighbour() {
        let vault = "/subscriptions/S/resourceGroups/g/providers/Microsoft.KeyVault/vaults/acme";
        assert!(covers(&vault.to_ascii_uppercase(), &format!("{vault}/keys/main")));
        assert!(covers("/subscriptions/s", vault));
        assert!(covers("", vault), "the root scope is written as a slash, which is trimmed");
        assert!(!covers(vault, &format!("{vault}-2/keys/main")));
        assert!(!covers(&format!("{vault}/keys/main"), vault));
    }

    #[test]
    fn stars_stand_for_anything_between_their_neighbours() {
        for (pattern, action, matches) in [
            ("Microsoft.KeyVault/vaults/*/read", "microsoft.keyvault/vaults/keys/read", true),
            ("Microsoft.KeyVault/vaults/*/read", "Microsoft.KeyVault/vaults/keys/wrap/action", false),
            ("Microsoft.KeyVault/vaults/keys/*", "Microsoft.KeyVault/vaults/keys/wrap/action", true),
            ("Microsoft.KeyVault/vaults/keys/read", "Microsoft.KeyVault/vaults/keys/readmore", false),
            ("*", "Microsoft.KeyVault/vaults/keys/read", true),
            ("Microsoft.KeyVault/vaults/*/wrap/*", "Microsoft.KeyVault/vaults/keys/wrap/action", true),
        ] {
            assert_eq!(action_matches(pattern, action), matches, "{pattern} {action}");
        }
    }

    #[test]
    fn an_assignment_is_read_as_azure_resource_manager_writes_it() {
        let scope = "/subscriptions/6d2b1ea8-31b0-4b9e-9b83-2f9c5f4c8f11/resourceGroups/keys";
        let mut written = json!({
            "type": "Microsoft.Authorization/roleAssignments",
            "properties": {
                "roleDefinitionId": "/subscriptions/6d2b1ea8-31b0-4b9e-9b83-2f9c5f4c8f11/providers/Microsoft.Authorization/roleDefinitions/e147488a-f6f5-4113-8e2d-b22465e65bf6",
                "principalId": "1b1f4b3f-3f6b-4a52-9c0e-1c5a2a1a1a1a",
                "principalType": "ServicePrincipal",
            },
            "scope": scope,
        });
        let read = WrittenAssignment::read(&written).unwrap();
        assert_eq!((read.role.as_str(), read.scope.as_str()), (CRYPTO_SERVICE_ENCRYPTION_USER, scope));
        assert_eq!(read.subscription(), Some("6d2b1ea8-31b0-4b9e-9b83-2f9c5f4c8f11"));
        written["properties"]["principalType"] = json!("User");
        assert!(WrittenAssignment::read(&written).is_err());
        written["properties"]["principalType"] = json!("ServicePrincipal");
        written["properties"]["condition"] = json!("@Resource[…]");
        assert!(WrittenAssignment::read(&written).is_err(), "a condition must not be ignored");
    }
}
