//! What the control interface takes and gives.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::aws::arn::{AccountId, KeyArn, Region, RoleArn};
use crate::aws::world::key::{KeyOrigin, KeySpec, KeyState, KeyUsage};
use crate::secret::SecretText;

/// An IAM user.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UserSpec {
    /// Identity policies by name.
    pub identity_policies: BTreeMap<String, Value>,
    /// Permission boundary.
    pub boundary: Option<Value>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Its access key; a random one when absent.
    pub access_key: Option<AccessKeySpec>,
}

/// A static access key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessKeySpec {
    /// `AKIA…`.
    pub access_key_id: String,
    /// The secret.
    pub secret_access_key: SecretText,
}

/// An IAM role.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleSpec {
    /// Who may assume it.
    pub trust_policy: Value,
    /// Identity policies by name.
    #[serde(default)]
    pub identity_policies: BTreeMap<String, Value>,
    /// Permission boundary.
    #[serde(default)]
    pub boundary: Option<Value>,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Seconds, 3600 to 43200. Default: 3600.
    #[serde(default = "hour")]
    pub max_session_seconds: u32,
}

fn hour() -> u32 {
    3600
}

/// A KMS key to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyInput {
    /// The owner.
    pub account: AccountId,
    /// Where.
    pub region: Region,
    /// The key id; a random UUID when absent.
    #[serde(default)]
    pub key_id: Option<String>,
    /// Default: symmetric.
    #[serde(default)]
    pub spec: KeySpec,
    /// Default: what keys of that kind are for.
    #[serde(default)]
    pub usage: Option<KeyUsage>,
    /// Default: KMS itself.
    #[serde(default)]
    pub origin: KeyOrigin,
    /// Default: enabled.
    #[serde(default)]
    pub state: Option<KeyState>,
    /// Default: the account decides by its identity policies.
    #[serde(default)]
    pub policy: Option<Value>,
    /// Alias names, `alias/…`.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Free text.
    #[serde(default)]
    pub description: String,
}

/// An OpenID Connect provider of an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcProviderSpec {
    /// `https://` and host and path.
    pub issuer: String,
    /// Audiences accepted.
    pub audiences: Vec<String>,
    /// The issuer's public keys, a JSON Web Key Set. Absent: those of the simulator's test issuer of that URL.
    #[serde(default)]
    pub jwks: Option<Value>,
}

/// A test issuer to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSpec {
    /// `https://` and host and path.
    pub issuer: String,
}

/// What exists; no secret is in it.
#[derive(Clone, Debug, Serialize)]
pub struct WorldInfo {
    /// All accounts.
    pub accounts: Vec<AccountId>,
    /// All users, as ARNs, with their access key ids.
    pub users: BTreeMap<String, Vec<String>>,
    /// All roles.
    pub roles: Vec<RoleInfo>,
    /// All keys.
    pub keys: Vec<KeyInfo>,
}

/// A role, as its owner sees it: with the newest policies, in effect or not.
#[derive(Clone, Debug, Serialize)]
pub struct RoleInfo {
    /// Its ARN.
    pub arn: RoleArn,
    /// Its trust policy.
    pub trust_policy: Value,
    /// Its identity policies.
    pub identity_policies: Vec<Value>,
}

/// A key, as its owner sees it.
#[derive(Clone, Debug, Serialize)]
pub struct KeyInfo {
    /// Its ARN.
    pub arn: KeyArn,
    /// Its state.
    pub state: KeyState,
    /// Its kind.
    pub spec: KeySpec,
    /// Its policy.
    pub policy: Value,
    /// Generations of its material.
    pub generations: usize,
}
