//! What the control interface of the simulated Azure takes and gives.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::azure::clouds::Cloud;
use crate::azure::ids::{AppId, DirectoryId, KeyUrl, ObjectId, SubscriptionId, VaultName};
use crate::azure::rbac::RoleAssignmentInfo;
use crate::azure::world::vault::{Firewall, KeyKind};
use crate::secret::SecretText;

/// A directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectorySpec {
    /// What error messages call it.
    pub name: String,
    /// Verified domains, which name it in URLs as its id does.
    #[serde(default)]
    pub domains: Vec<String>,
    /// Default: the public one.
    #[serde(default)]
    pub cloud: Cloud,
    /// The subscription that it governs; a random one when absent.
    #[serde(default)]
    pub subscription: Option<SubscriptionId>,
}

/// An application registration. It gets a service principal in its own directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppSpec {
    /// Its display name.
    pub name: String,
    /// Its home.
    pub directory: DirectoryId,
    /// Whether other directories may let it in. Default: no.
    #[serde(default)]
    pub multi_tenant: bool,
    /// A deactivated registration gets no tokens anywhere. Default: enabled.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

/// A client secret that was made.
#[derive(Clone, Debug, Serialize)]
pub struct ClientSecretInfo {
    /// Its id.
    pub id: String,
    /// The secret.
    pub value: SecretText,
}

/// A certificate that an application signs its assertions with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateSpec {
    /// The certificate in PEM, without its key.
    pub pem: String,
    /// Seconds of *wall* time until it is refused as expired; never when absent. Its own dates are not read.
    #[serde(default)]
    pub expires_in_seconds: Option<u64>,
}

/// Whose tokens an application may present as its own proof. Compared exactly, case and all.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FederatedCredentialSpec {
    /// Its name, unique in its application.
    pub name: String,
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `aud`, usually `api://AzureADTokenExchange` alone.
    pub audiences: Vec<String>,
    /// The issuer's public keys, a JSON Web Key Set. Absent: those of the directory, or of the simulator's test issuer, that
    /// has this URL.
    #[serde(default)]
    pub jwks: Option<Value>,
}

/// A managed identity of the platform's machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManagedIdentitySpec {
    /// The directory that its principal is in.
    pub directory: DirectoryId,
}

/// A vault.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultSpec {
    /// The directory whose tokens it takes, and in whose subscription it is.
    pub directory: DirectoryId,
    /// Default: `keys`.
    #[serde(default = "usual_group")]
    pub resource_group: String,
    /// Default: `westeurope`.
    #[serde(default = "usual_location")]
    pub location: String,
    /// Whether deleted keys cannot be purged before their retention ends. Default: yes.
    #[serde(default = "yes")]
    pub purge_protection: bool,
    /// Days that deleted keys are kept, 7 to 90. Default: 90.
    #[serde(default = "usual_retention")]
    pub retention_days: u32,
    /// Whether its name is under `managedhsm.azure.net`. Its roles are assigned as a vault's.
    #[serde(default)]
    pub managed_hsm: bool,
    /// Whether it goes by access policies, which are set apart, in place of roles. Default: no.
    #[serde(default)]
    pub access_policies: bool,
}

fn usual_group() -> String {
    "keys".to_owned()
}

fn usual_location() -> String {
    "westeurope".to_owned()
}

fn usual_retention() -> u32 {
    90
}

impl VaultSpec {
    /// A vault as most are.
    pub fn in_directory(directory: DirectoryId) -> Self {
        Self {
            directory,
            resource_group: usual_group(),
            location: usual_location(),
            purge_protection: true,
            retention_days: usual_retention(),
            managed_hsm: false,
            access_policies: false,
        }
    }
}

/// A key to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    /// Where.
    pub vault: VaultName,
    /// Its name.
    pub name: String,
    /// Default: a software-protected RSA key.
    #[serde(default)]
    pub kind: KeyKind,
    /// Bits of an RSA key: 2048, 3072 or 4096. Default: 2048. Larger ones take seconds to make.
    #[serde(default = "crate::azure::scenario::usual_size")]
    pub key_size: u32,
    /// The operations that it permits; those usual for its kind when absent.
    #[serde(default)]
    pub key_ops: Option<Vec<String>>,
    /// Tags of its version.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// From when and until when a key version is valid, in seconds from now; negative is in the past.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyValidity {
    /// `nbf`; always when absent.
    pub not_before_in_seconds: Option<i64>,
    /// `exp`; never when absent.
    pub expires_in_seconds: Option<i64>,
}

/// What exists; no secret is in it.
#[derive(Clone, Debug, Serialize)]
pub struct AzureWorldInfo {
    /// All directories.
    pub directories: Vec<DirectoryInfo>,
    /// All applications.
    pub apps: Vec<AppInfo>,
    /// All vaults.
    pub vaults: Vec<VaultInfo>,
    /// All keys.
    pub keys: Vec<AzureKeyInfo>,
    /// All role assignments that were not taken away.
    pub role_assignments: Vec<RoleAssignmentInfo>,
}

/// A directory, as its administrator sees it.
#[derive(Clone, Debug, Serialize)]
pub struct DirectoryInfo {
    /// Its id.
    pub id: DirectoryId,
    /// Its name.
    pub name: String,
    /// Its verified domains.
    pub domains: Vec<String>,
    /// Its subscription.
    pub subscription: SubscriptionId,
    /// Service principals by application.
    pub principals: BTreeMap<AppId, PrincipalInfo>,
}

/// A service principal, as its directory's administrator sees it.
#[derive(Clone, Debug, Serialize)]
pub struct PrincipalInfo {
    /// What roles are assigned to.
    pub object_id: ObjectId,
    /// Whether it is there.
    pub present: bool,
    /// Whether it may get tokens.
    pub enabled: bool,
}

/// An application registration, as its owner sees it.
#[derive(Clone, Debug, Serialize)]
pub struct AppInfo {
    /// Its client id.
    pub id: AppId,
    /// Its home.
    pub directory: DirectoryId,
    /// Whether other directories may let it in.
    pub multi_tenant: bool,
    /// Ids of its secrets.
    pub secrets: Vec<String>,
    /// Names of its federated credentials.
    pub federated_credentials: Vec<String>,
}

/// A vault, as its owner sees it.
#[derive(Clone, Debug, Serialize)]
pub struct VaultInfo {
    /// Its name.
    pub name: VaultName,
    /// `https://` and its host name.
    pub url: String,
    /// Whose tokens it takes.
    pub directory: DirectoryId,
    /// Its resource id.
    pub resource_id: String,
    /// Its firewall.
    pub firewall: Firewall,
}

/// A key, as its owner sees it.
#[derive(Clone, Debug, Serialize)]
pub struct AzureKeyInfo {
    /// Its URL.
    pub url: KeyUrl,
    /// What it is.
    pub kind: KeyKind,
    /// Whether it is deleted.
    pub deleted: bool,
    /// Its versions, oldest first.
    pub versions: Vec<KeyVersionInfo>,
}

/// A key's version, as its owner sees it.
#[derive(Clone, Debug, Serialize)]
pub struct KeyVersionInfo {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Whether it is enabled.
    pub enabled: bool,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}
