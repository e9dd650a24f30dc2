//! What a GCP binding says, parsed into the calls that follow from it.

use leasehold_ids::TenantId;
use leasehold_provider::{Fault, ProviderError};
use leasehold_tenant::Binding;

use crate::name::{KeyName, Location, ServiceAccount};

/// Most hops of a chain, the tenant's own service account included.
const MAX_HOPS: usize = 3;

/// The settings of a GCP binding as a tenant writes them.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The tenant's service account that may use the key.
    service_account: ServiceAccount,
    /// Service accounts to go through before it, in order.
    #[serde(default)]
    delegates: Vec<ServiceAccount>,
}

/// How to become a binding's principal, and the key that it is for. Everything in it was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) key: KeyName,
    pub(crate) tenant: TenantId,
    /// 1 to 3, the last one being the tenant's service account that uses the key; none if we use the key as ourselves.
    pub(crate) hops: Vec<ServiceAccount>,
    /// What the key's label must say; `None` if the key is the operator's own.
    pub(crate) challenge: Option<Box<str>>,
    /// Whether the binding was activated, for which the label was looked at. Whoever made one that was not may have named
    /// somebody else's key, and is told nothing about it.
    pub(crate) activated: bool,
}

impl Plan {
    /// The plan of a tenant's `binding`, if its key is in one of the `allowed` locations.
    pub(crate) fn of(binding: &Binding, allowed: &[Location]) -> Result<Self, ProviderError> {
        let key: KeyName = binding.key.as_str().parse().map_err(|e| misconfigured(format!("key: {e}")))?;
        if !is_allowed(&key, allowed) {
            return Err(misconfigured(format!(
                "key: location {} is not among this deployment's allowed_locations: use a key in one that is, or ask \
                 the operator",
                key.location()
            )));
        }
        let settings = serde_json::Value::Object(binding.settings.0.clone());
        let Settings { service_account, delegates: mut hops } =
            serde_json::from_value(settings).map_err(|e| misconfigured(format!("settings: {e}")))?;
        hops.push(service_account);
        if hops.len() > MAX_HOPS {
            return Err(misconfigured(
                "delegates: at most two service accounts may come before service_account",
            ));
        }
        if (1..hops.len()).any(|i| hops[..i].contains(&hops[i])) {
            return Err(misconfigured("delegates: a service account comes twice in the chain"));
        }
        let challenge = Some(binding.external_id.as_str().into());
        let activated = binding.canary.is_some();
        Ok(Self { key, tenant: binding.name.tenant().clone(), hops, challenge, activated })
    }

    /// The plan of a `binding` to one of the operator's own `keys`.
    pub(crate) fn of_operator(binding: &Binding, keys: &[KeyName]) -> Result<Self, ProviderError> {
        if !binding.settings.0.is_empty() {
            return Err(misconfigured("settings: a binding to the platform's own key has none"));
        }
        let key = keys.iter().find(|key| key.as_str() == binding.key.as_str()).ok_or_else(|| {
            misconfigured("key: not one of the platform's own keys; ask the operator which there are")
        })?;
        Ok(Self {
            key: key.clone(),
            tenant: binding.name.tenant().clone(),
            hops: Vec::new(),
            challenge: None,
            activated: binding.canary.is_some(),
        })
    }

    /// The service account that uses the key; `None` if we use it as ourselves.
    pub(crate) fn principal(&self) -> Option<&ServiceAccount> {
        self.hops.last()
    }
}

/// No list allows every location.
pub(crate) fn is_allowed(key: &KeyName, allowed: &[Location]) -> bool {
    allowed.is_empty() || allowed.contains(key.location())
}

pub(crate) fn misconfigured(detail: impl Into<String>) -> ProviderError {
    ProviderError::new(Fault::Misconfigured, detail)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::SystemTime;

    use leasehold_envelope::{EncryptionContext, Hierarchy};
    use leasehold_ids::BindingName;
    use leasehold_tenant::{CloudSettings, ExternalId, NewBinding};
    use serde_json::{Value, json};

    use super::*;

    pub(crate) const KEY: &str = "projects/acme-prod/locations/europe-west3/keyRings/ring/cryptoKeys/key";
    pub(crate) const ACCOUNT: &str = "leasehold@acme-prod.iam.gserviceaccount.com";

    pub(crate) fn binding(key: &str, settings: &Value) -> Binding {
        let name = BindingName::new("acme".parse().unwrap(), "main".parse().unwrap());
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

    fn refusal(key: &str, settings: &Value, allowed: &[Location]) -> String {
        let error = Plan::of(&binding(key, settings), allowed).expect_err(&settings.to_string());
        assert_eq!(error.fault(), &Fault::Misconfigured);
        error.detail().to_owned()
    }

    fn delegate(i: usize) -> String {
        format!("delegate-{i}@acme-prod.iam.gserviceaccount.com")
    }

    #[test]
    fn delegates_come_before_the_tenants_service_account() {
        let settings = json!({ "service_account": ACCOUNT, "delegates": [delegate(1), delegate(2)] });
        let plan = Plan::of(&binding(KEY, &settings), &[]).unwrap();
        let hops: Vec<_> = plan.hops.iter().map(ServiceAccount::email).collect();
        assert_eq!(hops, [delegate(1).as_str(), delegate(2).as_str(), ACCOUNT]);
        assert!(plan.challenge.is_some_and(|challenge| challenge.starts_with("lh-")));
    }

    #[test]
    fn settings_that_cannot_work_are_refused_with_what_to_change() {
        for (settings, word) in [
            (json!({}), "service_account"),
            (json!({ "service_account": "leasehold" }), "email"),
            (json!({ "service_account": 7 }), "string"),
            (json!({ "service_account": ACCOUNT, "role": "x" }), "unknown field"),
            (json!({ "service_account": "1-compute@developer.gserviceaccount.com" }), "default"),
            (json!({ "service_account": ACCOUNT, "delegates": ["x"] }), "email"),
            (json!({ "service_account": ACCOUNT, "delegates": [ACCOUNT] }), "twice"),
            (
                json!({ "service_account": ACCOUNT, "delegates": [delegate(1), delegate(2), delegate(3)] }),
                "at most two",
            ),
        ] {
            let detail = refusal(KEY, &settings, &[]);
            assert!(detail.contains(word), "{settings}: {detail}");
        }
    }

    #[test]
    fn a_key_that_cannot_be_used_is_refused_with_what_to_change() {
        let settings = json!({ "service_account": ACCOUNT });
        let allowed = ["europe-west1".parse().unwrap()];
        assert!(refusal(KEY, &settings, &allowed).contains("allowed_locations"));
        assert!(refusal(&format!("{KEY}/cryptoKeyVersions/1"), &settings, &[]).contains("without a version"));
        assert!(refusal(&KEY.replace("acme-prod", "12345678"), &settings, &[]).contains("number"));
    }

    #[test]
    fn an_operators_binding_names_one_of_the_operators_keys_and_no_more() {
        let keys = [KEY.parse().unwrap()];
        assert!(Plan::of_operator(&binding(KEY, &json!({})), &keys).unwrap().hops.is_empty());
        for (key, settings) in [
            (KEY.replace("cryptoKeys/key", "cryptoKeys/other"), json!({})),
            (KEY.to_owned(), json!({ "service_account": ACCOUNT })),
        ] {
            let error = Plan::of_operator(&binding(&key, &settings), &keys).unwrap_err();
            assert_eq!(error.fault(), &Fault::Misconfigured);
        }
    }
}
