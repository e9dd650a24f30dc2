//! What an Azure binding says, parsed into the calls that follow from it.

use leasehold_envelope::KeyId;
use leasehold_provider::{Fault, ProviderError};
use leasehold_tenant::Binding;

use crate::cloud::{Cloud, Store};
use crate::ids::{DirectoryId, KeyUrl};

/// The settings of an Azure binding as a tenant writes them.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The tenant's directory, in which our application has a service principal.
    directory_id: DirectoryId,
}

/// The settings of a binding to one of the platform's own keys: none.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

/// How to become a binding's principal, and the key that it is for. Everything in it was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Where our application's service principal is.
    pub(crate) directory: DirectoryId,
    pub(crate) key: KeyUrl,
    pub(crate) store: Store,
    /// What the key's tag must say; `None` for the platform's own keys.
    pub(crate) challenge: Option<String>,
}

impl Plan {
    /// The plan of a tenant's `binding`, if its key is in our `cloud`.
    pub(crate) fn of(binding: &Binding, cloud: Cloud) -> Result<Self, ProviderError> {
        let (key, store) = key_in(&binding.key, cloud).map_err(|why| misconfigured(format!("key: {why}")))?;
        let settings: Settings = parsed(binding)?;
        let challenge = Some(binding.external_id.as_str().to_owned());
        Ok(Self { directory: settings.directory_id, key, store, challenge })
    }

    /// The plan of a `binding` to one of the platform's own `keys`, in our own directory.
    pub(crate) fn of_operator(
        binding: &Binding,
        cloud: Cloud,
        keys: &[KeyId],
        own: &DirectoryId,
    ) -> Result<Self, ProviderError> {
        if !keys.contains(&binding.key) {
            return Err(misconfigured(
                "key: not one of the platform's own keys: choose one that the operator configured",
            ));
        }
        let (key, store) = key_in(&binding.key, cloud).map_err(|why| misconfigured(format!("key: {why}")))?;
        let NoSettings {} = parsed(binding)?;
        Ok(Self { directory: own.clone(), key, store, challenge: None })
    }
}

/// A key of this cloud, and what holds it.
pub(crate) fn key_in(key: &KeyId, cloud: Cloud) -> Result<(KeyUrl, Store), String> {
    let key: KeyUrl = key.as_str().parse().map_err(|e| format!("{e}"))?;
    let store = cloud.store(&key).ok_or_else(|| {
        format!(
            "{} is not a vault of this deployment's cloud: its hosts end in .{} or .{}",
            key.host(),
            cloud.vault_suffix(),
            cloud.hsm_suffix()
        )
    })?;
    Ok((key, store))
}

fn parsed<T: serde::de::DeserializeOwned>(binding: &Binding) -> Result<T, ProviderError> {
    let settings = serde_json::Value::Object(binding.settings.0.clone());
    serde_json::from_value(settings).map_err(|e| misconfigured(format!("settings: {e}")))
}

pub(crate) fn misconfigured(detail: impl Into<String>) -> ProviderError {
    ProviderError::new(Fault::Misconfigured, detail)
}
