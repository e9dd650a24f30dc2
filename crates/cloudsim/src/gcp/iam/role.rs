//! Roles: predefined ones as far as keys and service accounts are concerned, and custom ones.
//!
//! <https://cloud.google.com/iam/docs/roles-permissions/cloudkms>,
//! <https://cloud.google.com/iam/docs/roles-permissions/iam>

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::SimError;

const LOCATIONS: [&str; 3] =
    ["cloudkms.locations.get", "cloudkms.locations.list", "resourcemanager.projects.get"];
const USE: [&str; 2] = ["cloudkms.cryptoKeyVersions.useToDecrypt", "cloudkms.cryptoKeyVersions.useToEncrypt"];
const KEY_VIEW: [&str; 6] = [
    "cloudkms.cryptoKeyVersions.get",
    "cloudkms.cryptoKeyVersions.list",
    "cloudkms.cryptoKeys.get",
    "cloudkms.cryptoKeys.list",
    "cloudkms.keyRings.get",
    "cloudkms.keyRings.list",
];
const KEY_ADMIN: [&str; 13] = [
    "cloudkms.cryptoKeyVersions.create",
    "cloudkms.cryptoKeyVersions.destroy",
    "cloudkms.cryptoKeyVersions.restore",
    "cloudkms.cryptoKeyVersions.update",
    "cloudkms.cryptoKeyVersions.useToDecryptViaDelegation",
    "cloudkms.cryptoKeyVersions.useToEncryptViaDelegation",
    "cloudkms.cryptoKeys.create",
    "cloudkms.cryptoKeys.getIamPolicy",
    "cloudkms.cryptoKeys.setIamPolicy",
    "cloudkms.cryptoKeys.update",
    "cloudkms.keyRings.create",
    "cloudkms.keyRings.getIamPolicy",
    "cloudkms.keyRings.setIamPolicy",
];
const ACCOUNT_VIEW: [&str; 2] = ["iam.serviceAccounts.get", "iam.serviceAccounts.list"];
const ACCOUNT_ADMIN: [&str; 8] = [
    "iam.serviceAccounts.create",
    "iam.serviceAccounts.delete",
    "iam.serviceAccounts.disable",
    "iam.serviceAccounts.enable",
    "iam.serviceAccounts.getIamPolicy",
    "iam.serviceAccounts.setIamPolicy",
    "iam.serviceAccounts.undelete",
    "iam.serviceAccounts.update",
];
const TOKEN_CREATOR: [&str; 5] = [
    "iam.serviceAccounts.getAccessToken",
    "iam.serviceAccounts.getOpenIdToken",
    "iam.serviceAccounts.implicitDelegation",
    "iam.serviceAccounts.signBlob",
    "iam.serviceAccounts.signJwt",
];
const TOKENS: [&str; 2] = ["iam.serviceAccounts.getAccessToken", "iam.serviceAccounts.getOpenIdToken"];
const PROJECTS: [&str; 2] = ["resourcemanager.projects.get", "resourcemanager.projects.list"];

/// What owners may not do either: become a service account, whatever else they may do to it.
const NOT_THE_OWNERS: [&str; 5] = TOKEN_CREATOR;

/// Whether a predefined role contains a permission; nothing if there is no such role here.
pub(crate) fn predefined(role: &str, permission: &str) -> Option<bool> {
    let lists: &[&[&str]] = match role.strip_prefix("roles/")? {
        "cloudkms.cryptoKeyEncrypterDecrypter" => &[&LOCATIONS, &USE],
        "cloudkms.cryptoKeyEncrypter" => &[&LOCATIONS, &["cloudkms.cryptoKeyVersions.useToEncrypt"]],
        "cloudkms.cryptoKeyDecrypter" => &[&LOCATIONS, &["cloudkms.cryptoKeyVersions.useToDecrypt"]],
        "cloudkms.cryptoOperator" => &[&LOCATIONS, &USE],
        "cloudkms.viewer" => &[&LOCATIONS, &KEY_VIEW],
        "cloudkms.admin" => &[&LOCATIONS, &KEY_VIEW, &KEY_ADMIN],
        "iam.serviceAccountTokenCreator" => &[&ACCOUNT_VIEW, &TOKEN_CREATOR, &PROJECTS],
        "iam.serviceAccountOpenIdTokenCreator" => &[&["iam.serviceAccounts.getOpenIdToken"]],
        "iam.workloadIdentityUser" => &[&ACCOUNT_VIEW, &TOKENS],
        "iam.serviceAccountUser" => &[&ACCOUNT_VIEW, &["iam.serviceAccounts.actAs"], &PROJECTS],
        "iam.serviceAccountViewer" => &[&ACCOUNT_VIEW, &["iam.serviceAccounts.getIamPolicy"], &PROJECTS],
        "iam.serviceAccountAdmin" => &[&ACCOUNT_VIEW, &ACCOUNT_ADMIN, &PROJECTS],
        "viewer" => return Some(permission.ends_with(".get") || permission.ends_with(".list")),
        "editor" => return Some(editor(permission)),
        "owner" => return Some(!NOT_THE_OWNERS.contains(&permission)),
        _ => return None,
    };
    Some(lists.iter().any(|list| list.contains(&permission)))
}

/// Editors neither use keys nor change who may.
fn editor(permission: &str) -> bool {
    let withheld = permission.ends_with("IamPolicy")
        || permission.contains(".useTo")
        || NOT_THE_OWNERS.contains(&permission);
    !withheld
}

/// Basic roles take no conditions.
pub(crate) fn is_basic(role: &str) -> bool {
    matches!(role, "roles/owner" | "roles/editor" | "roles/viewer")
}

/// A custom role as Google writes it: `{"title", "description", "stage", "includedPermissions"}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CustomRole {
    /// What the console shows.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// `ALPHA`, `BETA`, `GA`, `DISABLED`, …; a disabled role grants nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stage: String,
    /// Its permissions.
    pub included_permissions: Vec<String>,
}

impl CustomRole {
    /// Reads Google's JSON.
    pub(crate) fn parse(json: Value) -> Result<Self, SimError> {
        let role: Self = serde_json::from_value(json)
            .map_err(|error| SimError::invalid("custom role", error.to_string()))?;
        let malformed = role.included_permissions.iter().find(|text| text.split('.').count() != 3);
        match malformed {
            Some(text) => Err(SimError::invalid("custom role", format!("{text:?} is no permission"))),
            None => Ok(role),
        }
    }

    pub(crate) fn contains(&self, permission: &str) -> bool {
        self.stage != "DISABLED" && self.included_permissions.iter().any(|included| included == permission)
    }
}
