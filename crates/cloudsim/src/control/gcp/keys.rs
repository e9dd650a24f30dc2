//! Key rings, keys and their versions.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{GcpControl, KeyInput};
use crate::error::SimError;
use crate::gcp::name::{KeyName, KeyRingName};
use crate::gcp::trail;
use crate::gcp::world::key::{ExternalAnswer, Key, KeyRing, VersionState};
use crate::gcp::world::layered::Layered;
use crate::gcp::world::{EditKind, State};

impl GcpControl {
    /// Makes a key ring, if it does not exist.
    ///
    /// # Errors
    /// When its project does not exist.
    pub fn put_key_ring(&self, name: &KeyRingName) -> Result<(), SimError> {
        let now = self.shared.clock.now();
        ring_of(&mut self.shared.gcp.write(), name, now).map(drop)
    }

    /// Makes a key.
    ///
    /// # Errors
    /// When the project does not exist, the name is taken, or a label is malformed.
    pub fn create_key(&self, input: KeyInput) -> Result<(), SimError> {
        check_labels(&input.labels)?;
        let now = self.shared.clock.now();
        let name = input.name;
        let mut key = Key::new(name.clone(), now)?;
        key.purpose = input.purpose;
        key.protection = input.protection_level;
        key.labels = Layered::new(input.labels);
        key.import_only = input.import_only;
        if let Some(seconds) = input.destroy_scheduled_seconds {
            key.destroy_scheduled = Duration::from_secs(seconds);
        }
        key.rotation_period = input.rotation_period_seconds.map(Duration::from_secs);
        key.next_rotation = key.rotation_period.map(|period| now.plus(period));
        if let Some(state) = input.first_version {
            key.add_version(state, now)?;
        }
        let mut state = self.shared.gcp.write();
        let ring = ring_of(&mut state, &name.ring, now)?;
        if ring.keys.contains_key(&name.id) {
            return Err(SimError::Exists { what: "key", name: name.to_string() });
        }
        ring.keys.insert(name.id.clone(), key);
        Ok(())
    }

    /// Deletes a key at once, as no call to the real service could.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn delete_key(&self, name: &KeyName) -> Result<(), SimError> {
        let mut state = self.shared.gcp.write();
        let removed = state.key_ring_mut(&name.ring)?.keys.remove(&name.id);
        removed.map(drop).ok_or_else(|| SimError::not_found("key", name.to_string()))
    }

    /// Replaces a key's labels, and with them the edits laid over the old ones.
    ///
    /// # Errors
    /// When the key does not exist or a label is malformed.
    pub fn set_labels(&self, name: &KeyName, labels: BTreeMap<String, String>) -> Result<(), SimError> {
        check_labels(&labels)?;
        let time = self.edit_time(EditKind::Label);
        self.shared.gcp.write().key_mut(name)?.labels.replace(labels, time);
        self.record(trail::of_key("UpdateCryptoKey", name, None));
        Ok(())
    }

    /// Adds a label to a key, or changes it.
    ///
    /// # Errors
    /// When the key does not exist or the label is malformed.
    pub fn set_label(&self, name: &KeyName, label: &str, value: &str) -> Result<(), SimError> {
        let added = BTreeMap::from([(label.to_owned(), value.to_owned())]);
        check_labels(&added)?;
        let time = self.edit_time(EditKind::Label);
        self.shared.gcp.write().key_mut(name)?.labels.change(time, |labels| labels.extend(added));
        self.record(trail::of_key("UpdateCryptoKey", name, None));
        Ok(())
    }

    /// Gives a key a new version that encrypts from now on, and gives its number; the earlier ones go on decrypting.
    ///
    /// # Errors
    /// When the key does not exist.
    pub fn rotate_key(&self, name: &KeyName) -> Result<u32, SimError> {
        let time = self.edit_time(EditKind::KeyState);
        let mut state = self.shared.gcp.write();
        let key = state.key_mut(name)?;
        let number = key.add_version(VersionState::Enabled, time.now)?;
        key.set_primary(number, time)?;
        drop(state);
        self.record(trail::of_key("CreateCryptoKeyVersion", name, Some(number)));
        self.record(trail::of_key("UpdateCryptoKeyPrimaryVersion", name, Some(number)));
        Ok(number)
    }

    /// Gives a key a new version in a state, without making it the one that encrypts, and gives its number.
    ///
    /// # Errors
    /// When the key does not exist.
    pub fn add_version(&self, name: &KeyName, version: VersionState) -> Result<u32, SimError> {
        let number = self.shared.gcp.write().key_mut(name)?.add_version(version, self.shared.clock.now())?;
        self.record(trail::of_key("CreateCryptoKeyVersion", name, Some(number)));
        Ok(number)
    }

    /// Makes a version the one that encrypts.
    ///
    /// # Errors
    /// When the key or the version does not exist.
    pub fn set_primary(&self, name: &KeyName, number: u32) -> Result<(), SimError> {
        let time = self.edit_time(EditKind::KeyState);
        self.shared.gcp.write().key_mut(name)?.set_primary(number, time)?;
        self.record(trail::of_key("UpdateCryptoKeyPrimaryVersion", name, Some(number)));
        Ok(())
    }

    /// Puts a version in a state, whatever state it is in.
    ///
    /// # Errors
    /// When the key or the version does not exist.
    pub fn set_version_state(
        &self,
        name: &KeyName,
        number: u32,
        wanted: VersionState,
    ) -> Result<(), SimError> {
        let time = self.edit_time(EditKind::KeyState);
        let mut state = self.shared.gcp.write();
        let key = state.key_mut(name)?;
        let waits = key.destroy_scheduled;
        let version = key.version_mut(number)?;
        let (operation, destroy_at) = match (version.newest_state(time.now), wanted) {
            (_, VersionState::DestroyScheduled) => ("DestroyCryptoKeyVersion", Some(time.now.plus(waits))),
            (_, VersionState::Destroyed) => ("DestroyCryptoKeyVersion", Some(time.now)),
            (VersionState::DestroyScheduled, _) => ("RestoreCryptoKeyVersion", None),
            _ => ("UpdateCryptoKeyVersion", None),
        };
        version.set_state(wanted, destroy_at, time);
        drop(state);
        self.record(trail::of_key(operation, name, Some(number)));
        Ok(())
    }

    /// Says what the external key manager of a key answers, whatever it said of single versions. Keys that Google holds do not
    /// depend on it.
    ///
    /// # Errors
    /// When the key does not exist.
    pub fn set_external(&self, name: &KeyName, answer: ExternalAnswer) -> Result<(), SimError> {
        let mut state = self.shared.gcp.write();
        let key = state.key_mut(name)?;
        key.external = answer;
        key.versions.values_mut().for_each(|version| version.external = None);
        Ok(())
    }

    /// Says what the external key manager answers of one version of a key: each has a URI of its own.
    ///
    /// # Errors
    /// When the key or the version does not exist.
    pub fn set_version_external(
        &self,
        name: &KeyName,
        number: u32,
        answer: ExternalAnswer,
    ) -> Result<(), SimError> {
        self.shared.gcp.write().key_mut(name)?.version_mut(number)?.external = Some(answer);
        Ok(())
    }
}

fn ring_of<'s>(
    state: &'s mut State,
    name: &KeyRingName,
    now: crate::clock::Timestamp,
) -> Result<&'s mut KeyRing, SimError> {
    let rings = &mut state.project_mut(&name.project)?.key_rings;
    Ok(rings.entry((name.location.clone(), name.id.clone())).or_insert_with(|| KeyRing::new(now)))
}

/// <https://cloud.google.com/kms/docs/labeling-keys>
fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), SimError> {
    let allowed = |c: char| c.is_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    let well_formed = |text: &str| text.chars().count() <= 63 && text.chars().all(allowed);
    let bad = labels.iter().find(|(name, value)| {
        !name.starts_with(char::is_lowercase) || !well_formed(name) || !well_formed(value)
    });
    match bad {
        None if labels.len() <= 64 => Ok(()),
        None => Err(SimError::invalid("labels", "there are more than 64")),
        Some((name, value)) => Err(SimError::invalid("label", format!("{name:?}: {value:?}"))),
    }
}
