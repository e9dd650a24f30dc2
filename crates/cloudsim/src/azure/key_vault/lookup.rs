//! Finds keys and versions, and says what their states permit.

use http::StatusCode;

use super::VaultCall;
use crate::azure::error::AzureError;
use crate::azure::ids::is_key_name;
use crate::azure::world::State;
use crate::azure::world::vault::{Key, Vault, Version};
use crate::clock::Timestamp;

/// The key's name as the request gives it.
pub(super) fn name(call: &VaultCall) -> Result<&str, AzureError> {
    let name = call.key.as_deref().unwrap_or_default();
    let message = "The request URI contains an invalid name: it is 1 to 127 letters, digits and hyphens.";
    is_key_name(name).then_some(name).ok_or_else(|| AzureError::bad_parameter(message))
}

/// What is said of a key, or of a version of it, that is not there.
pub(super) fn not_found(name: &str, version: Option<&str>) -> AzureError {
    let name = version.map_or_else(|| name.to_owned(), |version| format!("{name}/{version}"));
    let message = format!(
        "A key with (name/id) {name} was not found in this key vault. If you recently deleted this key you may be able \
         to recover it using the correct recovery command. For help resolving this issue, please see \
         https://go.microsoft.com/fwlink/?linkid=2125182"
    );
    AzureError::new(StatusCode::NOT_FOUND, "KeyNotFound", message)
}

/// The key that a request names.
pub(super) fn key<'a>(call: &VaultCall, state: &'a State, now: Timestamp) -> Result<&'a Key, AzureError> {
    let name = name(call)?;
    let key = call.vault(state)?.keys.get(&name.to_ascii_lowercase());
    key.filter(|key| key.deleted.at(now).is_none()).ok_or_else(|| not_found(name, None))
}

/// The key and the version that a request names, the current one if it names none.
pub(super) fn version<'a>(
    call: &VaultCall,
    state: &'a State,
    now: Timestamp,
) -> Result<(&'a Key, &'a Version), AzureError> {
    let key = key(call, state, now)?;
    let version = key.version(call.version.as_deref());
    version.map(|version| (key, version)).ok_or_else(|| not_found(&key.url.name, call.version.as_deref()))
}

/// A deleted key whose retention has not ended.
pub(super) fn deleted<'a>(key: &'a Key, vault: &Vault, now: Timestamp) -> Option<(&'a Key, Timestamp)> {
    let at = (*key.deleted.at(now))?;
    (at.plus(vault.retention()) > now).then_some((key, at))
}

/// Whether a version may be used for an operation now.
///
/// An expired key, or one that is not valid yet, goes on decrypting and unwrapping:
/// <https://learn.microsoft.com/en-us/azure/key-vault/keys/about-keys-details#key-attributes>
pub(super) fn check_use(version: &Version, operation: &str, now: Timestamp) -> Result<(), AzureError> {
    if !*version.enabled.at(now) {
        let message = format!("Operation {operation} is not allowed on a disabled key.");
        return Err(AzureError::forbidden("KeyDisabled", message));
    }
    let reads = matches!(operation, "unwrapKey" | "decrypt");
    if !reads && version.not_before.at(now).is_some_and(|from| now < from) {
        let message = format!("Operation {operation} is not allowed on a key that is not yet valid.");
        return Err(AzureError::forbidden("KeyNotYetValid", message));
    }
    if !reads && version.expires.at(now).is_some_and(|expires| expires <= now) {
        let message = format!("Operation {operation} is not allowed on an expired key.");
        return Err(AzureError::forbidden("KeyExpired", message));
    }
    if !version.operations.iter().any(|known| known == operation) {
        let message = format!("Operation {operation} is not permitted on this key.");
        return Err(AzureError::forbidden("KeyOperationForbidden", message));
    }
    Ok(())
}
