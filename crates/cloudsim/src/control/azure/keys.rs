//! Vaults and keys.

use std::collections::BTreeMap;

use super::AzureControl;
use super::model::{KeySpec, KeyValidity, VaultSpec};
use crate::azure::clouds::Cloud;
use crate::azure::ids::{KeyUrl, VaultName, is_key_name};
use crate::azure::key_vault;
use crate::azure::trail;
use crate::azure::world::EditKind;
use crate::azure::world::layered::{EditTime, Layered};
use crate::azure::world::vault::{Firewall, FirewallAction, Key, Vault, Version};
use crate::clock::Timestamp;
use crate::error::SimError;

impl AzureControl {
    /// Makes a vault in its directory's subscription and cloud; gives its URL.
    ///
    /// # Errors
    /// When its name is taken or its directory does not exist.
    pub fn put_vault(&self, name: &VaultName, spec: VaultSpec) -> Result<String, SimError> {
        if !(7..=90).contains(&spec.retention_days) {
            return Err(SimError::invalid("retention", "it is 7 to 90 days"));
        }
        if spec.managed_hsm && spec.access_policies {
            return Err(SimError::invalid("vault", "a Managed HSM has no access policies"));
        }
        let mut state = self.shared.azure.write();
        if state.vaults.contains_key(name) {
            return Err(SimError::Exists { what: "vault", name: name.to_string() });
        }
        let directory = state.directory_mut(&spec.directory)?;
        let domain = if spec.managed_hsm { Cloud::MANAGED_HSM } else { directory.cloud.vault_domain() };
        let host = format!("{name}.{domain}");
        let vault = Vault {
            name: name.clone(),
            host: host.clone(),
            cloud: directory.cloud,
            subscription: directory.subscription.clone(),
            directory: spec.directory,
            resource_group: spec.resource_group,
            location: spec.location,
            purge_protection: spec.purge_protection,
            retention_days: spec.retention_days,
            firewall: Layered::new(Firewall::new(FirewallAction::Allow)),
            access_policies: spec.access_policies.then(BTreeMap::new),
            limit: None,
            window: Default::default(),
            keys: BTreeMap::new(),
        };
        state.vaults.insert(name.clone(), vault);
        Ok(format!("https://{host}"))
    }

    /// Removes a vault and its keys at once: its host name is unknown from now on.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn delete_vault(&self, name: &VaultName) -> Result<(), SimError> {
        let removed = self.shared.azure.write().vaults.remove(name);
        removed.map(drop).ok_or_else(|| SimError::not_found("vault", name.as_str()))
    }

    /// Sets a vault's firewall, and removes the edits over it.
    ///
    /// # Errors
    /// When the vault does not exist.
    pub fn set_firewall(&self, vault: &VaultName, firewall: Firewall) -> Result<(), SimError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.azure.write();
        let time = state.edit_time(EditKind::KeyState, now);
        state.vault_mut(vault)?.firewall.set(firewall, time);
        let event = trail::of_vault(&state, vault);
        drop(state);
        self.record(event);
        Ok(())
    }

    /// Switches a vault's purge protection. The real one cannot be switched off again.
    ///
    /// # Errors
    /// When the vault does not exist.
    pub fn set_purge_protection(&self, vault: &VaultName, on: bool) -> Result<(), SimError> {
        self.shared.azure.write().vault_mut(vault)?.purge_protection = on;
        Ok(())
    }

    /// Sets how many requests a vault takes in ten seconds of simulated time before it answers 429; any number without.
    ///
    /// # Errors
    /// When the vault does not exist.
    pub fn set_vault_limit(&self, vault: &VaultName, limit: Option<u32>) -> Result<(), SimError> {
        self.shared.azure.write().vault_mut(vault)?.limit = limit;
        Ok(())
    }

    /// Makes a key.
    ///
    /// # Errors
    /// When the vault does not exist, or the name is taken or malformed.
    pub fn create_key(&self, spec: KeySpec) -> Result<KeyUrl, SimError> {
        if !is_key_name(&spec.name) {
            return Err(SimError::invalid("key name", "it is 1 to 127 letters, digits and hyphens"));
        }
        let material = key_vault::make_material(&self.shared, spec.kind, spec.key_size)?;
        let operations = spec.key_ops.unwrap_or_else(|| spec.kind.usual_operations());
        let version = Version::new(material, operations, spec.tags, self.shared.clock.now());
        let mut state = self.shared.azure.write();
        let vault = state.vault_mut(&spec.vault)?;
        let url = vault.key_url(&spec.name);
        let stored = spec.name.to_ascii_lowercase();
        if vault.keys.contains_key(&stored) {
            return Err(SimError::Exists { what: "key", name: url.to_string() });
        }
        let key = Key {
            url: url.clone(),
            kind: spec.kind,
            bits: spec.key_size,
            deleted: Layered::new(None),
            versions: vec![version],
        };
        vault.keys.insert(stored, key);
        Ok(url)
    }

    /// A key's resource id, at which roles are assigned.
    ///
    /// # Errors
    /// When its vault does not exist.
    pub fn key_scope(&self, key: &KeyUrl) -> Result<String, SimError> {
        let mut state = self.shared.azure.write();
        Ok(format!("{}/keys/{}", state.vault_mut(key.vault())?.resource_id(), key.name()))
    }

    /// Gives a key a new version with the tags of the one before; gives its id. The earlier ones go on unwrapping.
    ///
    /// # Errors
    /// When the key does not exist.
    pub fn rotate_key(&self, key: &KeyUrl) -> Result<String, SimError> {
        key_vault::add_version(&self.shared, key)
    }

    /// Enables or disables a version of a key; all of them without one.
    ///
    /// # Errors
    /// When the key or the version does not exist.
    pub fn set_key_enabled(
        &self,
        key: &KeyUrl,
        version: Option<&str>,
        enabled: bool,
    ) -> Result<(), SimError> {
        self.on_versions(key, version, |version, time| version.enabled.set(enabled, time))?;
        let event = trail::of_key(&self.shared.azure.read(), "KeyUpdate", key);
        self.record(event);
        Ok(())
    }

    /// Sets from when and until when a version of a key is valid; all of them without one.
    ///
    /// # Errors
    /// When the key or the version does not exist.
    pub fn set_key_validity(
        &self,
        key: &KeyUrl,
        version: Option<&str>,
        validity: KeyValidity,
    ) -> Result<(), SimError> {
        self.on_versions(key, version, |version, time| {
            let moment = |seconds: i64| Timestamp::from_unix_millis(time.now.unix_millis() + seconds * 1000);
            version.not_before.set(validity.not_before_in_seconds.map(moment), time);
            version.expires.set(validity.expires_in_seconds.map(moment), time);
        })
    }

    /// Sets which operations a key permits, for all its versions.
    ///
    /// # Errors
    /// When the key does not exist.
    pub fn set_key_ops(&self, key: &KeyUrl, operations: &[String]) -> Result<(), SimError> {
        self.on_versions(key, None, |version, _| version.operations = operations.to_vec())
    }

    /// Replaces the tags of a key's current version.
    ///
    /// # Errors
    /// When the key does not exist.
    pub fn set_tags(&self, key: &KeyUrl, tags: BTreeMap<String, String>) -> Result<(), SimError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.azure.write();
        let time = state.edit_time(EditKind::KeyState, now);
        let version = state.key_mut(key)?.version_mut(None);
        version.ok_or_else(|| SimError::not_found("key version", key.to_string()))?.set_tags(tags, time);
        Ok(())
    }

    /// Puts one tag on a key's current version.
    ///
    /// # Errors
    /// When the key does not exist.
    pub fn put_tag(&self, key: &KeyUrl, name: &str, value: &str) -> Result<(), SimError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.azure.write();
        let time = state.edit_time(EditKind::KeyState, now);
        let version = state.key_mut(key)?.version_mut(None);
        version
            .ok_or_else(|| SimError::not_found("key version", key.to_string()))?
            .put_tag(name, value, time);
        Ok(())
    }

    /// Deletes a key, recoverably.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn delete_key(&self, key: &KeyUrl) -> Result<(), SimError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.azure.write();
        let time = state.edit_time(EditKind::KeyState, now);
        state.key_mut(key)?.deleted.set(Some(time.effective), time);
        let event = trail::of_key(&state, "KeyDelete", key);
        drop(state);
        self.record(event);
        Ok(())
    }

    /// Recovers a deleted key.
    ///
    /// # Errors
    /// When there is none.
    pub fn recover_key(&self, key: &KeyUrl) -> Result<(), SimError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.azure.write();
        let time = state.edit_time(EditKind::KeyState, now);
        state.key_mut(key)?.deleted.set(None, time);
        let event = trail::of_key(&state, "KeyRecover", key);
        drop(state);
        self.record(event);
        Ok(())
    }

    /// Destroys a deleted key.
    ///
    /// # Errors
    /// When it is not deleted, or its vault protects it.
    pub fn purge_key(&self, key: &KeyUrl) -> Result<(), SimError> {
        let mut state = self.shared.azure.write();
        if state.key_mut(key)?.deleted.newest().is_none() {
            return Err(SimError::invalid("purge", "the key is not deleted"));
        }
        let vault = state.vault_mut(key.vault())?;
        if vault.purge_protection {
            return Err(SimError::invalid("purge", "the vault has purge protection"));
        }
        vault.keys.remove(&key.name().to_ascii_lowercase());
        Ok(())
    }

    fn on_versions(
        &self,
        key: &KeyUrl,
        version: Option<&str>,
        change: impl Fn(&mut Version, EditTime),
    ) -> Result<(), SimError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.azure.write();
        let time = state.edit_time(EditKind::KeyState, now);
        let key = state.key_mut(key)?;
        match version {
            None => key.versions.iter_mut().for_each(|version| {
                change(version, time);
                version.updated = now;
            }),
            Some(id) => {
                let version = key.version_mut(Some(id));
                let version = version.ok_or_else(|| SimError::not_found("key version", id))?;
                change(version, time);
                version.updated = now;
            }
        }
        Ok(())
    }
}
