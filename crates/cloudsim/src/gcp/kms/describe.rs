//! Keys, versions, key rings and locations, as Google shows them.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::resource::Resource;
use super::{KmsCall, malformed, version_not_found};
use crate::clock::Timestamp;
use crate::gcp::error::GcpError;
use crate::gcp::world::State;
use crate::gcp::world::key::{Key, Purpose, Version, VersionState};

/// The page size when none or zero is asked for, and the largest.
const MAX_PAGE: usize = 1000;

impl KmsCall<'_> {
    pub(super) fn get_key(&self, state: &State, resource: &Resource) -> Result<Value, GcpError> {
        self.key(state, resource, "cloudkms.cryptoKeys.get").map(|key| shown(key, self.now))
    }

    pub(super) fn get_version(&self, state: &State, resource: &Resource) -> Result<Value, GcpError> {
        let Resource::Version(_, number) = resource else { return Err(malformed(resource)) };
        let key = self.key(state, resource, "cloudkms.cryptoKeyVersions.get")?;
        let missing = || version_not_found(&key.version_name(*number));
        key.versions.get(number).map(|version| shown_version(key, version, self.now)).ok_or_else(missing)
    }

    pub(super) fn list_keys(&self, state: &State, resource: &Resource) -> Result<Value, GcpError> {
        let Resource::Ring(name) = resource else { return Err(malformed(resource)) };
        self.check(state, resource, "cloudkms.cryptoKeys.list")?;
        let ring = state.key_ring(name).ok_or_else(|| not_found("KeyRing", name))?;
        let keys = ring.keys.values().map(|key| shown(key, self.now)).collect();
        self.page("cryptoKeys", keys)
    }

    pub(super) fn list_versions(&self, state: &State, resource: &Resource) -> Result<Value, GcpError> {
        let key = self.key(state, resource, "cloudkms.cryptoKeyVersions.list")?;
        let versions = key.versions.values().map(|version| shown_version(key, version, self.now));
        // The one filter that is used of versions; others are refused rather than passed over.
        let filter = self.call.query.get("filter").filter(|filter| !filter.is_empty());
        let wanted = match filter.map(|filter| filter.replace([' ', '"'], "")) {
            None => None,
            Some(filter) => match filter.split_once(['=', ':']) {
                Some(("state", state)) => Some(state.to_owned()),
                _ => return Err(GcpError::invalid_argument("The filter is not supported.")),
            },
        };
        let matching = |shown: &Value| wanted.as_ref().is_none_or(|wanted| shown["state"] == **wanted);
        self.page("cryptoKeyVersions", versions.filter(matching).collect())
    }

    pub(super) fn get_key_ring(&self, state: &State, resource: &Resource) -> Result<Value, GcpError> {
        let Resource::Ring(name) = resource else { return Err(malformed(resource)) };
        self.check(state, resource, "cloudkms.keyRings.get")?;
        let ring = state.key_ring(name).ok_or_else(|| not_found("KeyRing", name))?;
        Ok(json!({"name": name.to_string(), "createTime": ring.created_at.to_string()}))
    }

    pub(super) fn get_location(&self, state: &State, resource: &Resource) -> Result<Value, GcpError> {
        let Resource::Location { project, location } = resource else { return Err(malformed(resource)) };
        self.check(state, resource, "cloudkms.locations.get")?;
        Ok(json!({
            "name": format!("projects/{project}/locations/{location}"),
            "locationId": location,
            "metadata": {"hsmAvailable": true, "ekmAvailable": true},
        }))
    }

    /// A page of a list. Its token is the number of items before it.
    fn page(&self, field: &str, items: Vec<Value>) -> Result<Value, GcpError> {
        let number = |name: &str| match self.call.query.get(name).filter(|text| !text.is_empty()) {
            None => Ok(0),
            Some(text) => text
                .parse::<usize>()
                .map_err(|_| GcpError::invalid_argument("Invalid page size or page token.")),
        };
        let total = items.len();
        let size = match number("pageSize")? {
            0 => MAX_PAGE,
            size => size.min(MAX_PAGE),
        };
        let start = number("pageToken")?;
        let page: Vec<_> = items.into_iter().skip(start).take(size).collect();
        let mut answer = Map::from_iter([("totalSize".to_owned(), json!(total))]);
        if start + page.len() < total {
            answer.insert("nextPageToken".to_owned(), (start + page.len()).to_string().into());
        }
        answer.insert(field.to_owned(), page.into());
        Ok(Value::Object(answer))
    }
}

/// A key. Its state is the newest, because its owner reads its own writes.
pub(super) fn shown(key: &Key, now: Timestamp) -> Value {
    let mut shown = json!({
        "name": key.name.to_string(),
        "purpose": key.purpose,
        "createTime": key.created_at.to_string(),
        "versionTemplate": {"protectionLevel": key.protection, "algorithm": algorithm(key)},
        "destroyScheduledDuration": seconds(key.destroy_scheduled),
    });
    let primary = key.primary.newest().and_then(|number| key.versions.get(&number));
    if let Some(version) = primary.filter(|_| key.purpose == Purpose::EncryptDecrypt) {
        shown["primary"] = shown_version(key, version, now);
    }
    let labels = key.labels.newest();
    if !labels.is_empty() {
        shown["labels"] = json!(labels);
    }
    if let Some(period) = key.rotation_period {
        shown["rotationPeriod"] = seconds(period).into();
    }
    if let Some(next) = key.next_rotation {
        shown["nextRotationTime"] = next.to_string().into();
    }
    if key.import_only {
        shown["importOnly"] = true.into();
    }
    shown
}

/// A version.
pub(super) fn shown_version(key: &Key, version: &Version, now: Timestamp) -> Value {
    let state = version.newest_state(now);
    let mut shown = json!({
        "name": key.version_name(version.number),
        "state": state,
        "protectionLevel": key.protection,
        "algorithm": algorithm(key),
        "createTime": version.created_at.to_string(),
    });
    if !matches!(state, VersionState::PendingGeneration | VersionState::PendingImport) {
        shown["generateTime"] = version.created_at.to_string().into();
    }
    if let Some(at) = version.destruction(now) {
        shown["destroyTime"] = at.to_string().into();
    }
    if state == VersionState::Destroyed {
        shown["destroyEventTime"] = version.destruction(now).unwrap_or(now).to_string().into();
    }
    shown
}

fn algorithm(key: &Key) -> &'static str {
    use crate::gcp::world::key::ProtectionLevel::{External, ExternalVpc};
    match (key.purpose, key.protection) {
        (Purpose::EncryptDecrypt, External | ExternalVpc) => "EXTERNAL_SYMMETRIC_ENCRYPTION",
        (Purpose::EncryptDecrypt, _) => "GOOGLE_SYMMETRIC_ENCRYPTION",
        (Purpose::AsymmetricSign, _) => "EC_SIGN_P256_SHA256",
        (Purpose::AsymmetricDecrypt, _) => "RSA_DECRYPT_OAEP_2048_SHA256",
        (Purpose::RawEncryptDecrypt, _) => "AES_256_GCM",
        (Purpose::Mac, _) => "HMAC_SHA256",
    }
}

fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs())
}

fn not_found(kind: &str, name: &impl std::fmt::Display) -> GcpError {
    GcpError::not_found(format!("{kind} {name} not found."))
}
