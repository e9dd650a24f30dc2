//! What a vault's owner does to keys: making, changing, rotating, deleting and recovering them.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;

use super::{VaultCall, describe, lookup};
use crate::azure::error::AzureError;
use crate::azure::ids::KeyUrl;
use crate::azure::world::EditKind;
use crate::azure::world::layered::{EditTime, Layered};
use crate::azure::world::material::Material;
use crate::azure::world::vault::{Key, KeyKind, Version};
use crate::clock::Timestamp;
use crate::error::SimError;
use crate::simulator::Shared;

/// Makes a key, or a new version of one that exists, which has no tag that the request does not give.
pub(super) fn create(call: &VaultCall, shared: &Shared) -> Result<Value, AzureError> {
    let name = lookup::name(call)?;
    let body = call.json()?;
    let kind = body.get("kty").cloned().and_then(|kind| serde_json::from_value::<KeyKind>(kind).ok());
    let kind = kind.ok_or_else(|| AzureError::bad_parameter("Property kty has invalid value\r\n"))?;
    let bits = body.get("key_size").and_then(Value::as_u64).unwrap_or(2048);
    let bits = u32::try_from(bits).unwrap_or(0);
    let material = make(shared, kind, bits).map_err(|error| match error {
        SimError::Invalid { .. } => AzureError::bad_parameter("Property key_size has invalid value\r\n"),
        _ => AzureError::internal(),
    })?;
    let operations = texts(&body, "key_ops").unwrap_or_else(|| kind.usual_operations());
    let now = shared.clock.now();
    let mut version = Version::new(material, operations, tags(&body).unwrap_or_default(), now);
    // What a version is made with is in effect at once.
    set_attributes(&mut version, &body, EditTime { now, effective: now });
    let mut state = shared.azure.write();
    let vault = state.vaults.get_mut(&call.vault).ok_or_else(AzureError::internal)?;
    let url = vault.key_url(name);
    let stored = name.to_ascii_lowercase();
    if vault.keys.get(&stored).is_some_and(|key| lookup::deleted(key, vault, now).is_some()) {
        let message = format!(
            "Key {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, \
             the key can only be recovered or purged."
        );
        let error = AzureError::new(StatusCode::CONFLICT, "Conflict", message);
        return Err(AzureError { inner: Some("ObjectIsDeletedButRecoverable".into()), ..error });
    }
    vault.keys.retain(|known, key| *known != stored || key.deleted.at(now).is_none());
    let key = vault.keys.entry(stored.clone()).or_insert_with(|| Key {
        url,
        kind,
        bits,
        deleted: Layered::new(None),
        versions: Vec::new(),
    });
    key.versions.push(version);
    let (vault, key) = (call.vault(&state)?, &call.vault(&state)?.keys[&stored]);
    let version = key.version(None).ok_or_else(AzureError::internal)?;
    Ok(describe::bundle(vault, key, version, now))
}

/// Changes attributes, operations or tags of a version.
pub(super) fn update(call: &VaultCall, shared: &Shared) -> Result<Value, AzureError> {
    let body = call.json()?;
    let now = shared.clock.now();
    let url = {
        let state = shared.azure.read();
        lookup::version(call, &state, now)?.0.url.clone()
    };
    let mut state = shared.azure.write();
    let time = state.edit_time(EditKind::KeyState, now);
    let key = state.key_mut(&url).map_err(|_| AzureError::internal())?;
    let version = key.version_mut(call.version.as_deref()).ok_or_else(AzureError::internal)?;
    if let Some(operations) = texts(&body, "key_ops") {
        version.operations = operations;
    }
    if let Some(tags) = tags(&body) {
        version.set_tags(tags, time);
    }
    set_attributes(version, &body, time);
    version.updated = now;
    drop(state);
    describe::get_key(call, &shared.azure.read(), now)
}

/// Gives a key a new version of its kind with the tags of the one before.
pub(super) fn rotate(call: &VaultCall, shared: &Shared) -> Result<Value, AzureError> {
    let now = shared.clock.now();
    let url = lookup::key(call, &shared.azure.read(), now)?.url.clone();
    add_version(shared, &url).map_err(|_| AzureError::internal())?;
    describe::get_key(call, &shared.azure.read(), now)
}

/// Deletes a key, recoverably.
pub(super) fn delete(call: &VaultCall, shared: &Shared) -> Result<Value, AzureError> {
    let now = shared.clock.now();
    let url = lookup::key(call, &shared.azure.read(), now)?.url.clone();
    let mut state = shared.azure.write();
    let time = state.edit_time(EditKind::KeyState, now);
    let key = state.key_mut(&url).map_err(|_| AzureError::internal())?;
    key.deleted.set(Some(time.effective), time);
    let vault = call.vault(&state)?;
    let key = vault.keys.get(&url.name.to_ascii_lowercase()).ok_or_else(AzureError::internal)?;
    describe::deleted_bundle(vault, key, time.effective, now)
}

/// Recovers a deleted key.
pub(super) fn recover(call: &VaultCall, shared: &Shared) -> Result<Value, AzureError> {
    let now = shared.clock.now();
    let url = deleted_url(call, shared, now)?;
    {
        let mut state = shared.azure.write();
        let time = state.edit_time(EditKind::KeyState, now);
        state.key_mut(&url).map_err(|_| AzureError::internal())?.deleted.set(None, time);
    }
    let state = shared.azure.read();
    let vault = call.vault(&state)?;
    let key = vault.keys.get(&url.name.to_ascii_lowercase()).ok_or_else(AzureError::internal)?;
    Ok(describe::bundle(vault, key, key.version(None).ok_or_else(AzureError::internal)?, now))
}

/// Destroys a deleted key, unless the vault protects it from that.
pub(super) fn purge(call: &VaultCall, shared: &Shared) -> Result<Value, AzureError> {
    let now = shared.clock.now();
    let url = deleted_url(call, shared, now)?;
    let mut state = shared.azure.write();
    let vault = state.vaults.get_mut(&call.vault).ok_or_else(AzureError::internal)?;
    if vault.purge_protection {
        let message = "Operation \"purge\" is not allowed because purge protection is enabled for this vault. Key Vault \
                       service will automatically purge it after the retention period has passed.";
        return Err(AzureError::forbidden("PurgeProtectionEnabled", message).denied());
    }
    vault.keys.remove(&url.name.to_ascii_lowercase());
    Ok(Value::Null)
}

fn deleted_url(call: &VaultCall, shared: &Shared, now: Timestamp) -> Result<KeyUrl, AzureError> {
    let name = lookup::name(call)?;
    let state = shared.azure.read();
    let vault = call.vault(&state)?;
    let key = vault.keys.get(&name.to_ascii_lowercase()).and_then(|key| lookup::deleted(key, vault, now));
    key.map(|(key, _)| key.url.clone()).ok_or_else(|| lookup::not_found(name, None))
}

/// Makes material of a kind. It takes a while, so not under the world's lock.
pub(crate) fn make(shared: &Shared, kind: KeyKind, bits: u32) -> Result<Arc<Material>, SimError> {
    if kind == KeyKind::Ec {
        return Material::ec();
    }
    let number = shared.azure.write().next_material(bits);
    Material::rsa(bits, number)
}

/// Adds a version of the key's kind with the tags of the one before; gives its id.
pub(crate) fn add_version(shared: &Shared, url: &KeyUrl) -> Result<String, SimError> {
    let (kind, bits) = {
        let mut state = shared.azure.write();
        let key = state.key_mut(url)?;
        (key.kind, key.bits)
    };
    let material = make(shared, kind, bits)?;
    let now = shared.clock.now();
    let mut state = shared.azure.write();
    let key = state.key_mut(url)?;
    let (operations, tags) = match key.versions.last() {
        Some(last) => (last.operations.clone(), last.newest_tags()),
        None => (kind.usual_operations(), BTreeMap::new()),
    };
    let version = Version::new(material, operations, tags, now);
    let id = version.id.clone();
    key.versions.push(version);
    Ok(id)
}

fn set_attributes(version: &mut Version, body: &Value, time: EditTime) {
    let attribute = |name: &str| body.get("attributes").and_then(|attributes| attributes.get(name));
    let moment = |name: &str| attribute(name).and_then(Value::as_i64).map(Timestamp::from_unix_seconds);
    if let Some(enabled) = attribute("enabled").and_then(Value::as_bool) {
        version.enabled.set(enabled, time);
    }
    if let Some(from) = moment("nbf") {
        version.not_before.set(Some(from), time);
    }
    if let Some(expires) = moment("exp") {
        version.expires.set(Some(expires), time);
    }
}

fn texts(body: &Value, name: &str) -> Option<Vec<String>> {
    let list = body.get(name)?.as_array()?;
    Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

fn tags(body: &Value) -> Option<BTreeMap<String, String>> {
    serde_json::from_value(body.get("tags")?.clone()).ok()
}
