//! Bindings as tenants make them.

use std::time::SystemTime;

use leasehold_envelope::{EncryptionContext, Hierarchy};
use leasehold_ids::BindingName;
use leasehold_tenant::{Binding, CloudSettings, ExternalId, NewBinding};
use serde_json::Value;

/// A binding of `tenant` with this key and these settings.
pub(crate) fn binding(tenant: &str, key: &str, settings: &Value) -> Binding {
    let name = BindingName::new(tenant.parse().unwrap(), "main".parse().unwrap());
    let external_id = ExternalId::derive(&"test".parse().unwrap(), &name);
    let new = NewBinding {
        provider: "gcp".parse().unwrap(),
        key: key.parse().unwrap(),
        settings: CloudSettings(settings.as_object().unwrap().clone()),
        canary_context: EncryptionContext::empty(),
        hierarchy: Hierarchy::Direct,
    };
    Binding::pending(name, new, external_id, SystemTime::UNIX_EPOCH)
}

/// The same binding once it was activated: it has a canary.
pub(crate) fn activated(binding: &Binding) -> Binding {
    Binding { canary: Some(vec![0].try_into().unwrap()), ..binding.clone() }
}
