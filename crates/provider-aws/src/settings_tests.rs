//! Settings that are taken, and all that is refused with advice.

use std::time::SystemTime;

use leasehold_envelope::{EncryptionContext, Hierarchy};
use leasehold_ids::BindingName;
use leasehold_tenant::{CloudSettings, ExternalId, NewBinding};
use serde_json::{Value, json};

use super::*;

const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/k";
const ROLE: &str = "arn:aws:iam::111122223333:role/tenant";

fn binding(tenant: &str, key: &str, settings: Value) -> Binding {
    let name = BindingName::new(tenant.parse().unwrap(), "main".parse().unwrap());
    let external_id = ExternalId::derive(&"test".parse().unwrap(), &name);
    let Value::Object(settings) = settings else { panic!("an object") };
    let new = NewBinding {
        provider: "aws".parse().unwrap(),
        key: key.parse().unwrap(),
        settings: CloudSettings(settings),
        canary_context: EncryptionContext::empty(),
        hierarchy: Hierarchy::Direct,
    };
    Binding::pending(name, new, external_id, SystemTime::UNIX_EPOCH)
}

fn plan(settings: Value) -> Result<Plan, ProviderError> {
    Plan::of(&binding("acme", KEY, settings), |region| region.as_str() == "eu-central-1")
}

fn refusal(settings: Value) -> String {
    let error = plan(settings.clone()).expect_err(&settings.to_string());
    assert_eq!(error.fault(), &Fault::Misconfigured);
    error.detail().to_owned()
}

fn chain(hops: usize) -> Value {
    let hop = |i| json!({ "role_arn": format!("arn:aws:iam::44445555666{i}:role/hop"), "external_id": format!("hop-{i}") });
    Value::Array((0..hops).map(hop).collect())
}

#[test]
fn the_last_hop_presents_the_external_id_that_we_issued() {
    let plan = plan(json!({ "role_arn": ROLE })).unwrap();
    let issued = binding("acme", KEY, json!({})).external_id;
    let [hop] = plan.hops.as_slice() else { panic!("one hop") };
    assert_eq!(hop.external_id.as_deref(), Some(issued.as_str()));
    assert_eq!((hop.role.as_str(), plan.session_name.as_str()), (ROLE, "leasehold-acme"));
    assert!(hop.tags.is_empty() && hop.source_identity.is_none());
    assert!(hop.policy.contains(KEY));
}

#[test]
fn the_external_id_of_the_last_hop_cannot_be_chosen_by_the_tenant() {
    assert!(refusal(json!({ "role_arn": ROLE, "external_id": "mine" })).contains("external_id"));
}

#[test]
fn each_hop_of_a_chain_has_its_own_external_id_and_may_only_become_the_next() {
    let plan = plan(json!({ "role_arn": ROLE, "chain": chain(2) })).unwrap();
    let ids: Vec<_> = plan.hops.iter().map(|hop| hop.external_id.as_deref().unwrap()).collect();
    assert_eq!(&ids[..2], ["hop-0", "hop-1"]);
    assert!(ids[2].starts_with("lh-"));
    assert!(plan.hops[0].policy.contains("444455556661:role/hop") && !plan.hops[0].policy.contains("kms:"));
    assert!(plan.hops[1].policy.contains(ROLE) && !plan.hops[1].policy.contains("kms:"));
    assert!(plan.hops[2].policy.contains(KEY) && !plan.hops[2].policy.contains("sts:"));
    assert!(refusal(json!({ "role_arn": ROLE, "chain": chain(3) })).contains("at most two"));
}

#[test]
fn tags_and_source_identity_are_set_where_they_last() {
    let declared = json!({
        "role_arn": ROLE, "chain": chain(2), "source_identity": "leasehold",
        "session_tags": { "team": "db", "env": "prod" }, "transitive_tag_keys": ["env"],
    });
    let plan = plan(declared).unwrap();
    let tags: Vec<Vec<&str>> =
        plan.hops.iter().map(|h| h.tags.iter().map(|(k, _)| k.as_str()).collect()).collect();
    assert_eq!(tags, [vec!["env"], vec![], vec!["team"]]);
    assert_eq!(plan.hops[0].transitive_tag_keys, ["env"]);
    assert!(plan.hops[1..].iter().all(|h| h.transitive_tag_keys.is_empty() && h.source_identity.is_none()));
    assert_eq!(plan.hops[0].source_identity.as_deref(), Some("leasehold"));
    assert!(plan.hops[0].policy.contains("sts:SetSourceIdentity"));
}

#[test]
fn a_single_hop_sets_all_tags_at_once() {
    let declared =
        json!({ "role_arn": ROLE, "session_tags": { "a": "1", "b": "2" }, "transitive_tag_keys": ["b"] });
    let mut keys: Vec<_> = plan(declared).unwrap().hops[0].tags.iter().map(|(k, _)| k.clone()).collect();
    keys.sort();
    assert_eq!(keys, ["a", "b"]);
}

#[test]
fn settings_that_cannot_work_are_refused_with_what_to_change() {
    let many: serde_json::Map<_, _> = (0..51).map(|i| (format!("k{i}"), json!("v"))).collect();
    for (extra, word) in [
        (json!({ "role": ROLE }), "unknown field"),
        (json!({ "role_arn": "tenant" }), "named by its ARN"),
        (json!({ "role_arn": 7 }), "string"),
        (json!({ "role_arn": "arn:aws-cn:iam::111122223333:role/r" }), "partition"),
        (json!({ "chain": [{ "role_arn": ROLE, "external_id": "x" }] }), "external_id"),
        (json!({ "chain": [{ "role_arn": ROLE, "external_id": "a b" }] }), "external_id"),
        (json!({ "chain": [{ "role_arn": ROLE, "extra": 1 }] }), "unknown field"),
        (json!({ "source_identity": "x" }), "source_identity"),
        (json!({ "source_identity": "AWS:x" }), "source_identity"),
        (json!({ "session_tags": { "aws:x": "v" } }), "aws:"),
        (json!({ "session_tags": { "": "v" } }), "1 to 128"),
        (json!({ "session_tags": { "k": "v".repeat(257) } }), "256"),
        (json!({ "session_tags": { "k": "*" } }), "letters"),
        (json!({ "session_tags": { "k": "a\nb" } }), "letters"),
        (json!({ "session_tags": { "k": "1", "K": "2" } }), "case"),
        (json!({ "session_tags": many }), "at most 50"),
        (json!({ "transitive_tag_keys": ["k"] }), "transitive_tag_keys"),
        (json!({ "session_tags": { "k": "v" }, "transitive_tag_keys": ["k", "k"] }), "once"),
    ] {
        let mut settings = json!({ "role_arn": ROLE });
        settings.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let detail = refusal(settings.clone());
        assert!(detail.contains(word), "{settings}: {detail}");
    }
    assert!(refusal(json!({})).contains("role_arn"));
}

#[test]
fn a_key_that_cannot_be_used_is_refused_with_what_to_change() {
    for (key, word) in [
        ("alias/tenant", "alias"),
        ("arn:aws:kms:eu-central-1:111122223333:alias/tenant", "alias"),
        ("1234abcd-12ab-34cd-56ef-1234567890ab", "key ARN"),
        ("arn:aws:kms:us-east-1:111122223333:key/k", "allowed_regions"),
    ] {
        let binding = binding("acme", key, json!({ "role_arn": ROLE }));
        let error = Plan::of(&binding, |region| region.as_str() == "eu-central-1").unwrap_err();
        assert_eq!(error.fault(), &Fault::Misconfigured);
        assert!(error.detail().contains(word), "{key}: {error}");
    }
}

#[test]
fn session_names_fit_whatever_the_tenant_is_called() {
    let name = |tenant: &str| session_name(&tenant.parse().unwrap());
    assert_eq!(name(&"a".repeat(54)), format!("leasehold-{}", "a".repeat(54)));
    let (one, other) = (name(&"a".repeat(63)), name(&"b".repeat(63)));
    assert!(one.len() <= 64 && one.bytes().all(is_name_byte), "{one}");
    assert_ne!(one, other);
}
