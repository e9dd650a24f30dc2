//! What a key's administrator does to it: labels, rotation, and the states of its versions.

use serde_json::Value;

use super::describe::{shown, shown_version};
use super::resource::Resource;
use super::{KmsCall, malformed, version_not_found};
use crate::gcp::error::GcpError;
use crate::gcp::name::KeyName;
use crate::gcp::world::key::{Key, Labels, VersionState};
use crate::gcp::world::layered::EditTime;
use crate::gcp::world::{EditKind, State};

impl KmsCall<'_> {
    /// Changes labels; that is all of a key that this part of the simulator changes by a call.
    pub(super) fn update_key(&self, state: &mut State, resource: &Resource) -> Result<Value, GcpError> {
        let (name, _) = self.named(state, resource, "cloudkms.cryptoKeys.update")?;
        if self.call.query.get("updateMask").map(String::as_str) != Some("labels") {
            return Err(GcpError::invalid_argument("Only labels can be updated."));
        }
        let labels = self.call.input.get("labels").cloned().unwrap_or_else(|| serde_json::json!({}));
        let labels: Labels = serde_json::from_value(labels)
            .map_err(|_| GcpError::invalid_argument("Invalid value at 'crypto_key.labels'."))?;
        let time = state.edit_time(EditKind::Label, self.now);
        let key = key_mut(state, name)?;
        key.labels.replace(labels, time);
        Ok(shown(key, self.now))
    }

    pub(super) fn update_primary(&self, state: &mut State, resource: &Resource) -> Result<Value, GcpError> {
        let (name, time) = self.named(state, resource, "cloudkms.cryptoKeys.update")?;
        let number = self.call.text("cryptoKeyVersionId").and_then(|text| text.parse().ok());
        let number =
            number.ok_or_else(|| GcpError::invalid_argument("Invalid value at 'crypto_key_version_id'."))?;
        let key = key_mut(state, name)?;
        key.set_primary(number, time).map_err(|_| version_not_found(&key.version_name(number)))?;
        Ok(shown(key, self.now))
    }

    pub(super) fn create_version(&self, state: &mut State, resource: &Resource) -> Result<Value, GcpError> {
        let (name, _) = self.named(state, resource, "cloudkms.cryptoKeyVersions.create")?;
        let key = key_mut(state, name)?;
        let number = key.add_version(VersionState::Enabled, self.now).map_err(|_| GcpError::internal())?;
        self.version(key, number)
    }

    pub(super) fn update_version(&self, state: &mut State, resource: &Resource) -> Result<Value, GcpError> {
        // Clients write enumerations by their names or by their numbers.
        let named = self.call.input.get("state").unwrap_or(&Value::Null);
        let wanted = match (named.as_str(), named.as_u64()) {
            (Some("ENABLED"), _) | (_, Some(1)) => VersionState::Enabled,
            (Some("DISABLED"), _) | (_, Some(2)) => VersionState::Disabled,
            _ => return Err(GcpError::invalid_argument("Invalid value at 'crypto_key_version.state'.")),
        };
        let from = [VersionState::Enabled, VersionState::Disabled];
        self.move_version(state, resource, "cloudkms.cryptoKeyVersions.update", &from, wanted)
    }

    pub(super) fn destroy_version(&self, state: &mut State, resource: &Resource) -> Result<Value, GcpError> {
        let from = [VersionState::Enabled, VersionState::Disabled];
        let permission = "cloudkms.cryptoKeyVersions.destroy";
        self.move_version(state, resource, permission, &from, VersionState::DestroyScheduled)
    }

    pub(super) fn restore_version(&self, state: &mut State, resource: &Resource) -> Result<Value, GcpError> {
        let from = [VersionState::DestroyScheduled];
        let permission = "cloudkms.cryptoKeyVersions.restore";
        self.move_version(state, resource, permission, &from, VersionState::Disabled)
    }

    /// Takes a version from one of some states to another.
    fn move_version(
        &self,
        state: &mut State,
        resource: &Resource,
        permission: &str,
        from: &[VersionState],
        to: VersionState,
    ) -> Result<Value, GcpError> {
        let Resource::Version(_, number) = resource else { return Err(malformed(resource)) };
        let (name, time) = self.named(state, resource, permission)?;
        let key = key_mut(state, name)?;
        let (version_name, waits) = (key.version_name(*number), key.destroy_scheduled);
        let version = key.version_mut(*number).map_err(|_| version_not_found(&version_name))?;
        let current = version.newest_state(self.now);
        if !from.contains(&current) {
            let message =
                format!("{version_name} cannot become {}: its state is {}.", to.name(), current.name());
            let kind = format!("KEY_{}", current.name());
            return Err(GcpError::precondition(message, Some(&kind), &version_name));
        }
        let destroy_at = (to == VersionState::DestroyScheduled).then(|| self.now.plus(waits));
        version.set_state(to, destroy_at, time);
        self.version(key, *number)
    }

    /// The key's name, after the caller was found to have a permission on it, and when a change takes effect.
    fn named<'r>(
        &self,
        state: &State,
        resource: &'r Resource,
        permission: &str,
    ) -> Result<(&'r KeyName, EditTime), GcpError> {
        let name = match resource {
            Resource::Key(name) | Resource::Version(name, _) => name,
            other => return Err(malformed(other)),
        };
        self.check(state, resource, permission)?;
        Ok((name, state.edit_time(EditKind::KeyState, self.now)))
    }

    fn version(&self, key: &Key, number: u32) -> Result<Value, GcpError> {
        let missing = || version_not_found(&key.version_name(number));
        key.versions.get(&number).map(|version| shown_version(key, version, self.now)).ok_or_else(missing)
    }
}

fn key_mut<'s>(state: &'s mut State, name: &KeyName) -> Result<&'s mut Key, GcpError> {
    state.key_mut(name).map_err(|_| GcpError::not_found(format!("CryptoKey {name} not found.")))
}
