//! Vaults, keys and their versions.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::layered::{EditTime, Layered};
use super::material::Material;
use crate::azure::clouds::Cloud;
use crate::azure::edits::EditId;
use crate::azure::ids::{DirectoryId, KeyUrl, ObjectId, SubscriptionId, VaultName};
use crate::clock::Timestamp;

/// A vault.
#[derive(Debug)]
pub(crate) struct Vault {
    pub(crate) name: VaultName,
    pub(crate) host: String,
    pub(crate) cloud: Cloud,
    pub(crate) directory: DirectoryId,
    pub(crate) subscription: SubscriptionId,
    pub(crate) resource_group: String,
    pub(crate) location: String,
    /// Whether deleted keys cannot be purged before their retention ends.
    pub(crate) purge_protection: bool,
    /// 7 to 90.
    pub(crate) retention_days: u32,
    pub(crate) firewall: Layered<Firewall>,
    /// Who may do what with its keys, if it goes by access policies; one that goes by roles has none.
    pub(crate) access_policies: Option<BTreeMap<ObjectId, Layered<Vec<String>>>>,
    /// Requests that it takes in ten seconds.
    pub(crate) limit: Option<u32>,
    pub(crate) window: Window,
    /// By name in lower case.
    pub(crate) keys: BTreeMap<String, Key>,
}

/// The requests of the ten seconds at hand.
#[derive(Debug, Default)]
pub(crate) struct Window {
    number: i64,
    requests: u32,
}

impl Vault {
    /// Its resource id in Azure Resource Manager.
    pub(crate) fn resource_id(&self) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.KeyVault/vaults/{}",
            self.subscription, self.resource_group, self.name
        )
    }

    pub(crate) fn key_url(&self, name: &str) -> KeyUrl {
        KeyUrl { host: self.host.clone(), vault: self.name.clone(), name: name.to_owned() }
    }

    /// Counts a request; says whether it is within the limit.
    pub(crate) fn admit(&mut self, now: Timestamp) -> bool {
        let number = now.unix_seconds().div_euclid(10);
        if self.window.number != number {
            self.window = Window { number, requests: 0 };
        }
        self.window.requests = self.window.requests.saturating_add(1);
        self.limit.is_none_or(|limit| self.window.requests <= limit)
    }

    /// Whether its access policies give a principal this permission, in any case; nothing if it goes by roles.
    pub(crate) fn policy_permits(
        &self,
        principal: &ObjectId,
        permission: &str,
        now: Timestamp,
    ) -> Option<bool> {
        let given = self.access_policies.as_ref()?.get(principal).map(|policy| policy.at(now).iter());
        Some(given.is_some_and(|mut given| given.any(|known| known.eq_ignore_ascii_case(permission))))
    }

    /// What becomes of keys that are deleted from it.
    pub(crate) fn recovery_level(&self) -> &'static str {
        if self.purge_protection { "Recoverable" } else { "Recoverable+Purgeable" }
    }

    pub(crate) fn retention(&self) -> Duration {
        Duration::from_secs(u64::from(self.retention_days) * 24 * 3600)
    }
}

/// Who is let through to a vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Firewall {
    /// What happens to everyone whom no rule names.
    pub default_action: FirewallAction,
    /// Addresses that are let through in any case.
    #[serde(default)]
    pub ip_rules: Vec<IpAddr>,
}

/// What a firewall does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FirewallAction {
    /// Lets through.
    Allow,
    /// Refuses with `ForbiddenByFirewall`.
    Deny,
}

impl Firewall {
    /// A firewall without rules.
    pub fn new(default_action: FirewallAction) -> Self {
        Self { default_action, ip_rules: Vec::new() }
    }

    pub(crate) fn admits(&self, address: Option<IpAddr>) -> bool {
        self.default_action == FirewallAction::Allow
            || address.is_some_and(|address| self.ip_rules.contains(&address))
    }
}

/// What a key is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyKind {
    /// A software-protected RSA key.
    #[default]
    #[serde(rename = "RSA")]
    Rsa,
    /// An RSA key in a hardware module.
    #[serde(rename = "RSA-HSM")]
    RsaHsm,
    /// An elliptic-curve key: exists for the refusals that it causes.
    #[serde(rename = "EC")]
    Ec,
}

impl KeyKind {
    /// Its name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rsa => "RSA",
            Self::RsaHsm => "RSA-HSM",
            Self::Ec => "EC",
        }
    }

    /// The operations that a key of this kind permits unless its maker says otherwise.
    pub(crate) fn usual_operations(self) -> Vec<String> {
        let names: &[&str] = match self {
            Self::Rsa | Self::RsaHsm => &["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"],
            Self::Ec => &["sign", "verify"],
        };
        names.iter().map(|name| (*name).to_owned()).collect()
    }
}

/// A key: its versions, of which the last is the current one.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) url: KeyUrl,
    pub(crate) kind: KeyKind,
    pub(crate) bits: u32,
    /// When it was deleted, if it is.
    pub(crate) deleted: Layered<Option<Timestamp>>,
    /// Oldest first, never empty.
    pub(crate) versions: Vec<Version>,
}

/// A version of a key. In Key Vault attributes and tags are a version's, not the key's.
#[derive(Debug)]
pub(crate) struct Version {
    /// 32 hexadecimal digits.
    pub(crate) id: String,
    pub(crate) material: Arc<Material>,
    pub(crate) operations: Vec<String>,
    pub(crate) enabled: Layered<bool>,
    pub(crate) not_before: Layered<Option<Timestamp>>,
    pub(crate) expires: Layered<Option<Timestamp>>,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    /// A tag that is gone has no value.
    pub(crate) tags: BTreeMap<String, Layered<Option<String>>>,
}

impl Version {
    pub(crate) fn new(
        material: Arc<Material>,
        operations: Vec<String>,
        tags: BTreeMap<String, String>,
        now: Timestamp,
    ) -> Self {
        Self {
            id: uuid::Uuid::new_v4().simple().to_string(),
            material,
            operations,
            enabled: Layered::new(true),
            not_before: Layered::new(None),
            expires: Layered::new(None),
            created: now,
            updated: now,
            tags: tags.into_iter().map(|(name, value)| (name, Layered::new(Some(value)))).collect(),
        }
    }

    /// The tags in effect at `now`.
    pub(crate) fn tags_at(&self, now: Timestamp) -> BTreeMap<&str, &str> {
        self.tags
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.at(now).as_deref()?)))
            .collect()
    }

    /// The newest tags, in effect or not.
    pub(crate) fn newest_tags(&self) -> BTreeMap<String, String> {
        self.tags.iter().filter_map(|(name, value)| Some((name.clone(), value.newest().clone()?))).collect()
    }

    /// Replaces all tags.
    pub(crate) fn set_tags(&mut self, tags: BTreeMap<String, String>, time: EditTime) {
        for (name, value) in &mut self.tags {
            if !tags.contains_key(name) {
                value.set(None, time);
            }
        }
        for (name, value) in tags {
            self.put_tag(&name, &value, time);
        }
        self.updated = time.now;
    }

    /// Puts one tag, and leaves the others and the edits over them alone.
    pub(crate) fn put_tag(&mut self, name: &str, value: &str, time: EditTime) {
        let tag = self.tags.entry(name.to_owned()).or_insert_with(|| Layered::new(None));
        tag.set(Some(value.to_owned()), time);
        self.updated = time.now;
    }

    fn lift(&mut self, id: EditId, time: EditTime) -> bool {
        let mut lifted = self.enabled.lift(id, time);
        lifted |= self.not_before.lift(id, time);
        lifted |= self.expires.lift(id, time);
        for tag in self.tags.values_mut() {
            lifted |= tag.lift(id, time);
        }
        lifted
    }
}

impl Key {
    /// A version by its id; the current one without.
    pub(crate) fn version(&self, id: Option<&str>) -> Option<&Version> {
        match id {
            Some(id) => self.versions.iter().find(|version| version.id.eq_ignore_ascii_case(id)),
            None => self.versions.last(),
        }
    }

    /// As [`Key::version`].
    pub(crate) fn version_mut(&mut self, id: Option<&str>) -> Option<&mut Version> {
        match id {
            Some(id) => self.versions.iter_mut().find(|version| version.id.eq_ignore_ascii_case(id)),
            None => self.versions.last_mut(),
        }
    }

    pub(crate) fn lift(&mut self, id: EditId, time: EditTime) -> bool {
        let mut lifted = self.deleted.lift(id, time);
        for version in &mut self.versions {
            lifted |= version.lift(id, time);
        }
        lifted
    }
}
