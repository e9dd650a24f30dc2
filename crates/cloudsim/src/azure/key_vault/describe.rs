//! What vaults say about their keys.

use serde_json::{Value, json};

use super::{VaultCall, lookup};
use crate::azure::error::AzureError;
use crate::azure::world::State;
use crate::azure::world::vault::{Key, Vault, Version};
use crate::clock::Timestamp;

/// Items on a page unless the request says otherwise, and at most.
const PAGE: usize = 25;

/// The public part of a key, also of a disabled or expired one.
pub(super) fn get_key(call: &VaultCall, state: &State, now: Timestamp) -> Result<Value, AzureError> {
    let vault = call.vault(state)?;
    let (key, version) = lookup::version(call, state, now)?;
    Ok(bundle(vault, key, version, now))
}

pub(super) fn get_keys(call: &VaultCall, state: &State, now: Timestamp) -> Result<Value, AzureError> {
    let vault = call.vault(state)?;
    let present = vault.keys.values().filter(|key| key.deleted.at(now).is_none());
    let items = present.filter_map(|key| Some(item(vault, key, key.version(None)?, false, now)));
    page(call, vault, "keys", items.collect())
}

pub(super) fn get_key_versions(call: &VaultCall, state: &State, now: Timestamp) -> Result<Value, AzureError> {
    let vault = call.vault(state)?;
    let key = lookup::key(call, state, now)?;
    let items = key.versions.iter().map(|version| item(vault, key, version, true, now));
    page(call, vault, &format!("keys/{}/versions", key.url.name), items.collect())
}

pub(super) fn get_deleted_key(call: &VaultCall, state: &State, now: Timestamp) -> Result<Value, AzureError> {
    let vault = call.vault(state)?;
    let name = lookup::name(call)?;
    let stored = vault.keys.get(&name.to_ascii_lowercase());
    let (key, at) = stored
        .and_then(|key| lookup::deleted(key, vault, now))
        .ok_or_else(|| lookup::not_found(name, None))?;
    deleted_bundle(vault, key, at, now)
}

pub(super) fn get_deleted_keys(call: &VaultCall, state: &State, now: Timestamp) -> Result<Value, AzureError> {
    let vault = call.vault(state)?;
    let deleted = vault.keys.values().filter_map(|key| lookup::deleted(key, vault, now));
    let items = deleted.filter_map(|(key, at)| {
        let mut item = item(vault, key, key.version(None)?, false, now);
        add_deletion(&mut item, vault, key, at);
        Some(item)
    });
    page(call, vault, "deletedkeys", items.collect())
}

/// A key as GetKey gives it.
pub(super) fn bundle(vault: &Vault, key: &Key, version: &Version, now: Timestamp) -> Value {
    let mut jwk = json!({
        "kid": format!("{}/{}", key.url, version.id),
        "kty": key.kind.name(),
        "key_ops": version.operations,
    });
    for (name, value) in version.material.public() {
        jwk[name] = value.clone();
    }
    let mut bundle = json!({"key": jwk, "attributes": attributes(vault, version, now)});
    add_tags(&mut bundle, version, now);
    bundle
}

/// A key as DeleteKey gives it.
pub(super) fn deleted_bundle(
    vault: &Vault,
    key: &Key,
    at: Timestamp,
    now: Timestamp,
) -> Result<Value, AzureError> {
    let version = key.version(None).ok_or_else(AzureError::internal)?;
    let mut bundle = bundle(vault, key, version, now);
    add_deletion(&mut bundle, vault, key, at);
    Ok(bundle)
}

fn add_deletion(item: &mut Value, vault: &Vault, key: &Key, at: Timestamp) {
    item["recoveryId"] = json!(format!("https://{}/deletedkeys/{}", vault.host, key.url.name));
    item["deletedDate"] = json!(at.unix_seconds());
    item["scheduledPurgeDate"] = json!(at.plus(vault.retention()).unix_seconds());
}

fn item(vault: &Vault, key: &Key, version: &Version, versioned: bool, now: Timestamp) -> Value {
    let kid = if versioned { format!("{}/{}", key.url, version.id) } else { key.url.to_string() };
    let mut item = json!({"kid": kid, "attributes": attributes(vault, version, now)});
    add_tags(&mut item, version, now);
    item
}

fn attributes(vault: &Vault, version: &Version, now: Timestamp) -> Value {
    let mut attributes = json!({
        "enabled": version.enabled.at(now),
        "created": version.created.unix_seconds(),
        "updated": version.updated.unix_seconds(),
        "recoveryLevel": vault.recovery_level(),
        "recoverableDays": vault.retention_days,
        "exportable": false,
    });
    for (name, moment) in [("nbf", version.not_before.at(now)), ("exp", version.expires.at(now))] {
        if let Some(moment) = moment {
            attributes[name] = json!(moment.unix_seconds());
        }
    }
    attributes
}

fn add_tags(value: &mut Value, version: &Version, now: Timestamp) {
    let tags = version.tags_at(now);
    if !tags.is_empty() {
        value["tags"] = json!(tags);
    }
}

fn page(call: &VaultCall, vault: &Vault, path: &str, items: Vec<Value>) -> Result<Value, AzureError> {
    let number = |name: &str, default: usize| match call.query.get(name) {
        None => Ok(default),
        Some(text) => {
            text.parse().map_err(|_| AzureError::bad_parameter(format!("Query parameter {name} is invalid.")))
        }
    };
    let size = number("maxresults", PAGE)?;
    if !(1..=PAGE).contains(&size) {
        let message = format!("invalid maxresults: it is 1 to {PAGE}");
        return Err(AzureError::bad_parameter(message));
    }
    let start = number("$skiptoken", 0)?;
    let end = start.saturating_add(size);
    let next = (end < items.len()).then(|| {
        let version = call.query.get("api-version").map_or("", String::as_str);
        format!("https://{}/{path}?api-version={version}&$skiptoken={end}&maxresults={size}", vault.host)
    });
    let value: Vec<Value> = items.into_iter().skip(start).take(size).collect();
    Ok(json!({"value": value, "nextLink": next}))
}
