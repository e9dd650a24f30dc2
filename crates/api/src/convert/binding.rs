//! Bindings, save for what differs from cloud to cloud, which is in `cloud`.

use leasehold_envelope::Hierarchy;
use leasehold_tenant::{Binding, BindingState, NewBinding};

use super::cloud::{self, HandedOver};
use super::{context, timestamp};
use crate::{FieldError, v1};

/// What a message says about a binding that is to be created. The cloud's own settings are checked by its provider.
///
/// # Errors
/// [`FieldError`] with a path that begins with `binding.`.
pub fn new_binding(binding: v1::Binding) -> Result<NewBinding, FieldError> {
    let canary_context = context("binding.canary_context", binding.canary_context)?;
    let hierarchy = match v1::Hierarchy::try_from(binding.hierarchy) {
        Ok(v1::Hierarchy::Unspecified | v1::Hierarchy::Direct) => Hierarchy::Direct,
        Ok(v1::Hierarchy::Kek) => Hierarchy::Kek,
        Err(_) => {
            return Err(FieldError::new("binding.hierarchy", "must be HIERARCHY_DIRECT or HIERARCHY_KEK"));
        }
    };
    let HandedOver { provider, key, settings } = cloud::from_proto(binding.cloud)?;
    Ok(NewBinding { provider, key, settings, canary_context, hierarchy })
}

/// A binding as it travels, with the etag that the service gave it and without its lease.
#[must_use]
pub fn binding_from_model(binding: &Binding, etag: String) -> v1::Binding {
    let hierarchy = match binding.hierarchy {
        Hierarchy::Direct => v1::Hierarchy::Direct,
        Hierarchy::Kek => v1::Hierarchy::Kek,
    };
    v1::Binding {
        name: binding.name.to_string(),
        state: binding_state(binding.state).into(),
        cloud: cloud::to_proto(binding),
        canary_context: binding.canary_context.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        hierarchy: hierarchy.into(),
        external_id: binding.external_id.to_string(),
        version: binding.version.get(),
        etag,
        create_time: Some(timestamp(binding.created)),
        update_time: Some(timestamp(binding.updated)),
        lease: None,
    }
}

/// Where a binding is in its life.
#[must_use]
pub fn binding_state(state: BindingState) -> v1::BindingState {
    match state {
        BindingState::Pending => v1::BindingState::Pending,
        BindingState::Active => v1::BindingState::Active,
        BindingState::Retiring => v1::BindingState::Retiring,
        BindingState::Retired => v1::BindingState::Retired,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::SystemTime;

    use leasehold_tenant::{LeaseTerms, Tenant};
    use proptest::prelude::*;

    use super::*;

    fn message() -> v1::Binding {
        let azure = v1::AzureBinding {
            key_url: "https://acme.vault.azure.net/keys/main".into(),
            directory_id: "11112222-bbbb-3333-cccc-4444dddd5555".into(),
        };
        v1::Binding { cloud: Some(v1::binding::Cloud::Azure(azure)), ..Default::default() }
    }

    #[test]
    fn a_binding_comes_back_as_it_was_created() {
        let new = new_binding(message()).unwrap();
        let tenant = Tenant::new(
            "acme".parse().unwrap(),
            String::new(),
            LeaseTerms::default(),
            SystemTime::UNIX_EPOCH,
        );
        let id = "main".parse().unwrap();
        let tenant = tenant.with_binding(id, new, &"dev".parse().unwrap(), SystemTime::UNIX_EPOCH).unwrap();
        let back = binding_from_model(tenant.binding(&"main".parse().unwrap()).unwrap(), "e".into());
        assert_eq!(back.cloud, message().cloud);
        assert_eq!(
            (back.name.as_str(), back.state()),
            ("tenants/acme/bindings/main", v1::BindingState::Pending)
        );
    }

    #[test]
    fn what_is_missing_is_named_by_its_path() {
        assert_eq!(new_binding(v1::Binding::default()).unwrap_err().field(), "binding");
        let odd = v1::Binding { hierarchy: 9, ..message() };
        assert_eq!(new_binding(odd).unwrap_err().field(), "binding.hierarchy");
    }

    fn pairs() -> impl Strategy<Value = HashMap<String, String>> {
        proptest::collection::hash_map(any::<String>(), any::<String>(), 0..4)
    }

    proptest! {
        #[test]
        fn every_message_gives_a_value_or_names_a_field(
            cloud in proptest::option::of(Just(message().cloud.unwrap())),
            canary_context in pairs(),
            hierarchy in prop_oneof![0..3i32, any::<i32>()],
        ) {
            let binding = v1::Binding { cloud, canary_context, hierarchy, ..Default::default() };
            if let Err(error) = new_binding(binding) {
                prop_assert!(error.field().starts_with("binding"));
            }
        }
    }
}
