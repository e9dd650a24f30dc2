//! Each cloud's message, there and back.

use std::time::SystemTime;

use leasehold_envelope::{EncryptionContext, Hierarchy};
use leasehold_tenant::{ExternalId, NewBinding};
use proptest::prelude::*;

use super::*;

fn aws() -> Cloud {
    Cloud::Aws(v1::AwsBinding {
        kms_key_arn: "arn:aws:kms:eu-west-1:111122223333:key/1234".into(),
        role_arn: "arn:aws:iam::111122223333:role/leasehold".into(),
        chain: vec![v1::AwsHop { role_arn: "arn:aws:iam::1:role/hop".into(), external_id: "x1".into() }],
        session_tags: HashMap::from([("team".to_owned(), "storage".to_owned())]),
        transitive_tag_keys: vec!["team".into()],
        source_identity: "leasehold".into(),
    })
}

fn azure() -> Cloud {
    Cloud::Azure(v1::AzureBinding {
        key_url: "https://acme.vault.azure.net/keys/main".into(),
        directory_id: "11112222-bbbb-3333-cccc-4444dddd5555".into(),
    })
}

fn gcp(delegates: &[&str]) -> Cloud {
    Cloud::Gcp(v1::GcpBinding {
        kms_key_name: "projects/acme/locations/europe-west3/keyRings/ring/cryptoKeys/main".into(),
        service_account: "leasehold@acme.iam.gserviceaccount.com".into(),
        delegates: delegates.iter().map(ToString::to_string).collect(),
    })
}

fn operator() -> Cloud {
    Cloud::Operator(v1::OperatorBinding { key_id: "arn:aws:kms:eu-west-1:999988887777:key/own".into() })
}

/// The message of the binding that `cloud` hands over.
fn back(cloud: Cloud) -> Option<Cloud> {
    let HandedOver { provider, key, settings } = from_proto(Some(cloud)).ok()?;
    let new = NewBinding {
        provider,
        key,
        settings,
        canary_context: EncryptionContext::empty(),
        hierarchy: Hierarchy::Direct,
    };
    let name = "tenants/acme/bindings/main".parse().unwrap();
    let external_id = ExternalId::derive(&"dev".parse().unwrap(), &name);
    to_proto(&Binding::pending(name, new, external_id, SystemTime::UNIX_EPOCH))
}

#[test]
fn settings_have_the_names_that_the_providers_read() {
    for (cloud, provider, settings) in [
        (
            aws(),
            "aws",
            json!({
                "role_arn": "arn:aws:iam::111122223333:role/leasehold",
                "chain": [{"role_arn": "arn:aws:iam::1:role/hop", "external_id": "x1"}],
                "session_tags": {"team": "storage"},
                "transitive_tag_keys": ["team"],
                "source_identity": "leasehold",
            }),
        ),
        (azure(), "azure", json!({ "directory_id": "11112222-bbbb-3333-cccc-4444dddd5555" })),
        (gcp(&[]), "gcp", json!({ "service_account": "leasehold@acme.iam.gserviceaccount.com" })),
        (
            gcp(&["hop@platform.iam.gserviceaccount.com"]),
            "gcp",
            json!({
                "service_account": "leasehold@acme.iam.gserviceaccount.com",
                "delegates": ["hop@platform.iam.gserviceaccount.com"],
            }),
        ),
        (operator(), "operator", json!({})),
    ] {
        let handed_over = from_proto(Some(cloud)).unwrap();
        assert_eq!(handed_over.provider.as_str(), provider);
        assert_eq!(Value::Object(handed_over.settings.0), settings);
    }
}

#[test]
fn a_key_that_is_none_is_named_by_its_path() {
    for (cloud, path) in [
        (Cloud::Aws(v1::AwsBinding::default()), "binding.aws.kms_key_arn"),
        (Cloud::Azure(v1::AzureBinding::default()), "binding.azure.key_url"),
        (Cloud::Gcp(v1::GcpBinding::default()), "binding.gcp.kms_key_name"),
        (Cloud::Operator(v1::OperatorBinding::default()), "binding.operator.key_id"),
    ] {
        assert_eq!(from_proto(Some(cloud)).unwrap_err().field(), path);
    }
    assert!(from_proto(None).unwrap_err().what().contains("operator"), "the clouds are named");
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "arn:aws:[a-z]{3}::[0-9]{1,12}:[a-z/]{1,20}", Just(String::new())]
}

fn any_texts() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(any_text(), 0..3)
}

fn any_aws() -> impl Strategy<Value = Cloud> {
    let hop = (any_text(), any_text());
    let hop = hop.prop_map(|(role_arn, external_id)| v1::AwsHop { role_arn, external_id });
    let tags = proptest::collection::hash_map(any_text(), any_text(), 0..4);
    let lists = (proptest::collection::vec(hop, 0..3), any_texts());
    (any_text(), any_text(), lists, tags, any_text()).prop_map(
        |(kms_key_arn, role_arn, (chain, transitive_tag_keys), session_tags, source_identity)| {
            Cloud::Aws(v1::AwsBinding {
                kms_key_arn,
                role_arn,
                chain,
                session_tags,
                transitive_tag_keys,
                source_identity,
            })
        },
    )
}

fn any_cloud() -> impl Strategy<Value = Cloud> {
    let azure = (any_text(), any_text());
    let azure =
        azure.prop_map(|(key_url, directory_id)| Cloud::Azure(v1::AzureBinding { key_url, directory_id }));
    let gcp = (any_text(), any_text(), any_texts());
    let gcp = gcp.prop_map(|(kms_key_name, service_account, delegates)| {
        Cloud::Gcp(v1::GcpBinding { kms_key_name, service_account, delegates })
    });
    let operator = any_text().prop_map(|key_id| Cloud::Operator(v1::OperatorBinding { key_id }));
    prop_oneof![any_aws(), azure, gcp, operator]
}

proptest! {
    #[test]
    fn every_message_comes_back_as_it_was_or_names_a_field(cloud in any_cloud()) {
        match from_proto(Some(cloud.clone())) {
            Ok(_) => prop_assert_eq!(back(cloud.clone()), Some(cloud)),
            Err(error) => prop_assert!(error.field().starts_with("binding.")),
        }
    }
}
