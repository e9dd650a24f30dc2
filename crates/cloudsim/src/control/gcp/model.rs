//! What the control interface of the simulated Google Cloud takes and gives.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::gcp::name::{KeyName, KeyRingName, PoolName, ProjectId, RoleName, ServiceAccountEmail};
use crate::gcp::{ProtectionLevel, Purpose, VersionState};

/// What has an allow policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyPlace {
    /// A project.
    Project(ProjectId),
    /// A key ring.
    KeyRing(KeyRingName),
    /// A key.
    Key(KeyName),
    /// A service account.
    ServiceAccount(ServiceAccountEmail),
}

/// A key to make, with its first version. Its key ring is made with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyInput {
    /// Its name.
    pub name: KeyName,
    /// Default: encryption and decryption.
    #[serde(default)]
    pub purpose: Purpose,
    /// Default: software.
    #[serde(default)]
    pub protection_level: ProtectionLevel,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Seconds from one rotation to the next, for show: keys do not rotate by themselves here.
    #[serde(default)]
    pub rotation_period_seconds: Option<u64>,
    /// Whether all of its material is imported.
    #[serde(default)]
    pub import_only: bool,
    /// Seconds that a version waits for its destruction. Default: 30 days.
    #[serde(default)]
    pub destroy_scheduled_seconds: Option<u64>,
    /// The state of its first version. Default: enabled. Without one the key has no version.
    #[serde(default = "enabled")]
    pub first_version: Option<VersionState>,
}

fn enabled() -> Option<VersionState> {
    Some(VersionState::Enabled)
}

impl KeyInput {
    /// A symmetric key in software, with one enabled version.
    pub fn new(name: KeyName) -> Self {
        Self {
            name,
            purpose: Purpose::default(),
            protection_level: ProtectionLevel::default(),
            labels: BTreeMap::new(),
            rotation_period_seconds: None,
            import_only: false,
            destroy_scheduled_seconds: None,
            first_version: enabled(),
        }
    }
}

/// An OpenID Connect provider of a workload identity pool.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSpec {
    /// The issuer's URL.
    pub issuer: String,
    /// The audiences that tokens may be for; the provider's own name when empty.
    #[serde(default)]
    pub allowed_audiences: Vec<String>,
    /// From `google.subject` and so on to expressions over `assertion`.
    pub attribute_mapping: BTreeMap<String, String>,
    /// An expression over `assertion`, `google` and `attribute` that has to be true.
    #[serde(default)]
    pub attribute_condition: Option<String>,
    /// The issuer's public keys, a JSON Web Key Set. Absent: those of the simulator's test issuer of that URL.
    #[serde(default)]
    pub jwks: Option<Value>,
    /// Whether it takes no tokens.
    #[serde(default)]
    pub disabled: bool,
}

/// What exists; no secret is in it.
#[derive(Clone, Debug, Serialize)]
pub struct WorldInfo {
    /// All projects.
    pub projects: BTreeMap<ProjectId, ProjectInfo>,
    /// The service account of the platform's machine.
    pub instance_service_account: Option<ServiceAccountEmail>,
}

/// A project, as its owner sees it: with the newest policies, in effect or not.
#[derive(Clone, Debug, Serialize)]
pub struct ProjectInfo {
    /// Its number.
    pub number: u64,
    /// Its allow policy.
    pub policy: Value,
    /// Its deny policies by id.
    pub deny_policies: BTreeMap<String, Value>,
    /// Its custom roles.
    pub roles: BTreeMap<RoleName, Value>,
    /// Its service accounts.
    pub service_accounts: Vec<ServiceAccountInfo>,
    /// Its key rings with their policies.
    pub key_rings: BTreeMap<KeyRingName, Value>,
    /// Its keys.
    pub keys: Vec<KeyInfo>,
    /// Its workload identity pools, with their providers' ids.
    pub pools: BTreeMap<PoolName, Vec<String>>,
}

/// A service account, as its owner sees it.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceAccountInfo {
    /// Its email.
    pub email: ServiceAccountEmail,
    /// Its unique id.
    pub unique_id: String,
    /// Whether it is disabled.
    pub disabled: bool,
    /// Its allow policy.
    pub policy: Value,
    /// The ids of its keys.
    pub keys: Vec<String>,
}

/// A key, as its owner sees it.
#[derive(Clone, Debug, Serialize)]
pub struct KeyInfo {
    /// Its name.
    pub name: KeyName,
    /// What it is for.
    pub purpose: Purpose,
    /// Where its material is.
    pub protection_level: ProtectionLevel,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its allow policy.
    pub policy: Value,
    /// The version that encrypts.
    pub primary: Option<u32>,
    /// Its versions.
    pub versions: Vec<VersionInfo>,
}

/// A version of a key.
#[derive(Clone, Debug, Serialize)]
pub struct VersionInfo {
    /// Its number.
    pub number: u32,
    /// Its state.
    pub state: VersionState,
}
