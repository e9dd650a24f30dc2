//! Bindings: the one place, outside a cloud's own crate, that knows the names of its settings.

use std::collections::HashMap;

use leasehold_envelope::{Hierarchy, KeyId};
use leasehold_ids::ProviderKind;
use leasehold_tenant::{Binding, BindingState, CloudSettings, NewBinding};
use serde_json::{Map, Value, json};

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
    let (provider, key, settings) = match binding.cloud {
        Some(v1::binding::Cloud::Aws(aws)) => aws_settings(aws)?,
        None => return Err(FieldError::new("binding.aws", "is required: a binding names a cloud")),
    };
    Ok(NewBinding { provider, key, settings, canary_context, hierarchy })
}

/// A binding as it travels, with the etag that the service gave it and without its lease.
#[must_use]
pub fn binding_from_model(binding: &Binding, etag: String) -> v1::Binding {
    let state = match binding.state {
        BindingState::Pending => v1::BindingState::Pending,
        BindingState::Active => v1::BindingState::Active,
        BindingState::Retiring => v1::BindingState::Retiring,
        BindingState::Retired => v1::BindingState::Retired,
    };
    let hierarchy = match binding.hierarchy {
        Hierarchy::Direct => v1::Hierarchy::Direct,
        Hierarchy::Kek => v1::Hierarchy::Kek,
    };
    v1::Binding {
        name: binding.name.to_string(),
        state: state.into(),
        cloud: cloud(binding),
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

/// None for a cloud that this release of the contract cannot say.
fn cloud(binding: &Binding) -> Option<v1::binding::Cloud> {
    match binding.provider.as_str() {
        "aws" => Some(v1::binding::Cloud::Aws(aws_from_settings(&binding.key, &binding.settings.0))),
        _ => None,
    }
}

// === AWS ===

/// The settings as `leasehold-provider-aws` reads them. What is empty is left out.
fn aws_settings(aws: v1::AwsBinding) -> Result<(ProviderKind, KeyId, CloudSettings), FieldError> {
    let key = aws.kms_key_arn.parse();
    let key = key.map_err(|_| {
        FieldError::new(
            "binding.aws.kms_key_arn",
            "must be the ARN of a KMS key, arn:aws:kms:{region}:{account}:key/{id}",
        )
    })?;
    let chain: Vec<Value> = aws.chain.into_iter().map(hop_to_json).collect();
    let mut settings = Map::new();
    settings.insert("role_arn".into(), aws.role_arn.into());
    insert_unless_empty(&mut settings, "chain", chain.is_empty(), json!(chain));
    insert_unless_empty(&mut settings, "session_tags", aws.session_tags.is_empty(), json!(aws.session_tags));
    let (tags, source) = (aws.transitive_tag_keys, aws.source_identity);
    insert_unless_empty(&mut settings, "transitive_tag_keys", tags.is_empty(), json!(tags));
    insert_unless_empty(&mut settings, "source_identity", source.is_empty(), json!(source));
    let provider = "aws".parse().map_err(|error| FieldError::new("binding.aws", error))?;
    Ok((provider, key, CloudSettings(settings)))
}

fn hop_to_json(hop: v1::AwsHop) -> Value {
    let mut object = Map::new();
    object.insert("role_arn".into(), hop.role_arn.into());
    insert_unless_empty(&mut object, "external_id", hop.external_id.is_empty(), hop.external_id.into());
    Value::Object(object)
}

fn insert_unless_empty(into: &mut Map<String, Value>, name: &str, empty: bool, value: Value) {
    if !empty {
        into.insert(name.into(), value);
    }
}

fn aws_from_settings(key: &KeyId, settings: &Map<String, Value>) -> v1::AwsBinding {
    let hop = |hop: &Value| v1::AwsHop {
        role_arn: text(hop.get("role_arn")),
        external_id: text(hop.get("external_id")),
    };
    v1::AwsBinding {
        kms_key_arn: key.to_string(),
        role_arn: text(settings.get("role_arn")),
        chain: list(settings.get("chain")).iter().map(hop).collect(),
        session_tags: texts_by_name(settings.get("session_tags")),
        transitive_tag_keys: list(settings.get("transitive_tag_keys"))
            .iter()
            .map(|t| text(Some(t)))
            .collect(),
        source_identity: text(settings.get("source_identity")),
    }
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn texts_by_name(value: Option<&Value>) -> HashMap<String, String> {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    entries.map(|(name, value)| (name.clone(), text(Some(value)))).collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use leasehold_tenant::{LeaseTerms, Tenant};
    use proptest::prelude::*;

    use super::*;

    fn aws() -> v1::AwsBinding {
        v1::AwsBinding {
            kms_key_arn: "arn:aws:kms:eu-west-1:111122223333:key/1234".into(),
            role_arn: "arn:aws:iam::111122223333:role/leasehold".into(),
            chain: vec![v1::AwsHop { role_arn: "arn:aws:iam::1:role/hop".into(), external_id: "x1".into() }],
            session_tags: HashMap::from([("team".to_owned(), "storage".to_owned())]),
            transitive_tag_keys: vec!["team".into()],
            source_identity: "leasehold".into(),
        }
    }

    fn message(aws: v1::AwsBinding) -> v1::Binding {
        v1::Binding { cloud: Some(v1::binding::Cloud::Aws(aws)), ..Default::default() }
    }

    #[test]
    fn aws_settings_have_the_names_that_the_provider_reads() {
        let new = new_binding(message(aws())).unwrap();
        assert_eq!(new.provider.as_str(), "aws");
        assert_eq!(
            Value::Object(new.settings.0),
            json!({
                "role_arn": "arn:aws:iam::111122223333:role/leasehold",
                "chain": [{"role_arn": "arn:aws:iam::1:role/hop", "external_id": "x1"}],
                "session_tags": {"team": "storage"},
                "transitive_tag_keys": ["team"],
                "source_identity": "leasehold",
            })
        );
    }

    #[test]
    fn a_binding_comes_back_as_it_was_created() {
        let new = new_binding(message(aws())).unwrap();
        let tenant = Tenant::new(
            "acme".parse().unwrap(),
            String::new(),
            LeaseTerms::default(),
            SystemTime::UNIX_EPOCH,
        );
        let id = "main".parse().unwrap();
        let tenant = tenant.with_binding(id, new, &"dev".parse().unwrap(), SystemTime::UNIX_EPOCH).unwrap();
        let back = binding_from_model(tenant.binding(&"main".parse().unwrap()).unwrap(), "e".into());
        assert_eq!(back.cloud, Some(v1::binding::Cloud::Aws(aws())));
        assert_eq!(
            (back.name.as_str(), back.state()),
            ("tenants/acme/bindings/main", v1::BindingState::Pending)
        );
    }

    #[test]
    fn what_is_missing_is_named_by_its_path() {
        assert_eq!(new_binding(v1::Binding::default()).unwrap_err().field(), "binding.aws");
        let no_key = v1::AwsBinding { kms_key_arn: String::new(), ..aws() };
        assert_eq!(new_binding(message(no_key)).unwrap_err().field(), "binding.aws.kms_key_arn");
        let odd = v1::Binding { hierarchy: 9, ..message(aws()) };
        assert_eq!(new_binding(odd).unwrap_err().field(), "binding.hierarchy");
    }

    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![any::<String>(), "arn:aws:[a-z]{3}::[0-9]{1,12}:[a-z/]{1,20}", Just(String::new())]
    }

    fn pairs() -> impl Strategy<Value = HashMap<String, String>> {
        proptest::collection::hash_map(texts(), texts(), 0..4)
    }

    fn settings() -> impl Strategy<Value = v1::AwsBinding> {
        let hop = (texts(), texts()).prop_map(|(role_arn, external_id)| v1::AwsHop { role_arn, external_id });
        let lists = (proptest::collection::vec(hop, 0..3), proptest::collection::vec(texts(), 0..3));
        (texts(), texts(), lists, pairs(), texts()).prop_map(|(key, role, (chain, keys), tags, source)| {
            v1::AwsBinding {
                kms_key_arn: key,
                role_arn: role,
                chain,
                session_tags: tags,
                transitive_tag_keys: keys,
                source_identity: source,
            }
        })
    }

    proptest! {
        #[test]
        fn every_message_gives_a_value_or_names_a_field(
            cloud in proptest::option::of(settings()),
            canary_context in pairs(),
            hierarchy in prop_oneof![0..3i32, any::<i32>()],
        ) {
            let cloud = cloud.map(v1::binding::Cloud::Aws);
            let binding = v1::Binding { cloud, canary_context, hierarchy, ..Default::default() };
            if let Err(error) = new_binding(binding) {
                prop_assert!(error.field().starts_with("binding."));
            }
        }

        #[test]
        fn settings_survive_the_way_there_and_back(aws in settings()) {
            if let Ok((_, key, settings)) = aws_settings(aws.clone()) {
                prop_assert_eq!(aws_from_settings(&key, &settings.0), aws);
            }
        }
    }
}
