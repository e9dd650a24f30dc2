//! What the kit says. That it works, the tests against the simulator show.

use std::time::{Duration, SystemTime};

use leasehold_envelope::{EncryptionContext, Hierarchy};
use leasehold_ids::BindingName;
use leasehold_provider::OwnIdentity;
use leasehold_tenant::{Binding, CloudSettings, ExternalId, NewBinding};
use serde_json::json;

use super::*;

const US: &str = "arn:aws:iam::999988887777:role/leasehold";

fn kit_of(settings: Value) -> (OnboardingKit, String) {
    let name = BindingName::new("acme".parse().unwrap(), "main".parse().unwrap());
    let external_id = ExternalId::derive(&"test".parse().unwrap(), &name);
    let new = NewBinding {
        provider: "aws".parse().unwrap(),
        key: "arn:aws:kms:eu-central-1:111122223333:key/k".parse().unwrap(),
        settings: CloudSettings(settings.as_object().unwrap().clone()),
        canary_context: EncryptionContext::empty(),
        hierarchy: Hierarchy::Direct,
    };
    let binding = Binding::pending(name, new, external_id.clone(), SystemTime::UNIX_EPOCH);
    let plan = Plan::of(&binding, |_| true).unwrap();
    let own = OwnIdentity { principal: US.into(), account: "999988887777".into() };
    let revocation_bound = Duration::from_secs(300);
    let request = KitRequest { binding: &binding, own: &own, revocation_bound, proofs_per_month: 20_000 };
    (kit(&plan, &request), external_id.to_string())
}

/// The statement of the JSON section whose title begins like this.
fn statement(kit: &OnboardingKit, title: &str) -> Value {
    let section = kit.sections.iter().find(|section| section.title.starts_with(title)).unwrap();
    assert_eq!(section.format, KitFormat::Json);
    let mut document: Value = serde_json::from_str(&section.body).unwrap();
    match document["Statement"].as_array_mut() {
        Some(statements) => {
            assert_eq!(statements.len(), 1);
            statements.remove(0)
        }
        None => document,
    }
}

fn body(kit: &OnboardingKit, format: KitFormat) -> &str {
    &kit.sections.iter().find(|section| section.format == format).unwrap().body
}

#[test]
fn the_trust_policy_names_us_and_allows_nothing_without_the_external_id() {
    let (kit, external_id) = kit_of(json!({ "role_arn": "arn:aws:iam::111122223333:role/path/tenant" }));
    let trust = statement(&kit, "Trust policy of the role arn:aws:iam::111122223333:role/path/tenant");
    assert_eq!(trust["Principal"]["AWS"], US);
    assert_eq!(trust["Action"], json!(["sts:AssumeRole", "sts:TagSession"]));
    assert_eq!(trust["Condition"], json!({ "StringEquals": { "sts:ExternalId": external_id } }));
}

#[test]
fn a_declared_source_identity_is_allowed_and_no_other() {
    let hop = json!({ "role_arn": "arn:aws:iam::444455556666:role/hop", "external_id": "hop-id" });
    let settings = json!({
        "role_arn": "arn:aws:iam::111122223333:role/t", "source_identity": "leasehold", "chain": [hop],
    });
    let (kit, external_id) = kit_of(settings);
    let first = statement(&kit, "Trust policy of the role arn:aws:iam::444455556666");
    assert_eq!(first["Action"], json!(["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]));
    let required = json!({ "sts:ExternalId": "hop-id", "sts:SourceIdentity": "leasehold" });
    assert_eq!(first["Condition"]["StringEquals"], required);
    let second = statement(&kit, "Trust policy of the role arn:aws:iam::111122223333");
    assert_eq!(second["Action"], first["Action"]);
    assert_eq!(second["Condition"]["StringEquals"], json!({ "sts:ExternalId": external_id }));
}

#[test]
fn each_role_of_a_chain_trusts_the_one_before_it() {
    let hop = json!({ "role_arn": "arn:aws:iam::444455556666:role/hop", "external_id": "hop-id" });
    let (kit, _) = kit_of(json!({ "role_arn": "arn:aws:iam::111122223333:role/t", "chain": [hop] }));
    let first = "arn:aws:iam::444455556666:role/hop";
    let last = "arn:aws:iam::111122223333:role/t";
    assert_eq!(statement(&kit, &format!("Trust policy of the role {first}"))["Principal"]["AWS"], US);
    assert_eq!(statement(&kit, &format!("Permissions of the role {first}"))["Resource"], last);
    assert_eq!(statement(&kit, &format!("Trust policy of the role {last}"))["Principal"]["AWS"], first);
    assert_eq!(statement(&kit, "Statement to add")["Principal"]["AWS"], last);
}

#[test]
fn a_role_needs_permissions_only_for_what_is_in_another_account() {
    let permissions = "Permissions of the role";
    let has = |kit: &OnboardingKit| kit.sections.iter().any(|section| section.title.starts_with(permissions));
    let (same, _) = kit_of(json!({ "role_arn": "arn:aws:iam::111122223333:role/t" }));
    assert!(!has(&same));
    let (other, _) = kit_of(json!({ "role_arn": "arn:aws:iam::444455556666:role/t" }));
    assert_eq!(statement(&other, permissions)["Resource"], "arn:aws:kms:eu-central-1:111122223333:key/k");
}

#[test]
fn the_commands_name_path_region_and_key() {
    let (kit, _) = kit_of(json!({ "role_arn": "arn:aws:iam::111122223333:role/path/tenant" }));
    let commands = body(&kit, KitFormat::Shell);
    for part in ["--role-name tenant --path /path/", "--region eu-central-1", "key/k", "put-key-policy"] {
        assert!(commands.contains(part), "{part}");
    }
}

#[test]
fn terraform_has_a_provider_for_each_of_several_accounts() {
    let (one, _) = kit_of(json!({ "role_arn": "arn:aws:iam::111122223333:role/t" }));
    assert!(!body(&one, KitFormat::Hcl).contains("provider"));
    let (two, _) = kit_of(json!({ "role_arn": "arn:aws:iam::444455556666:role/t" }));
    let text = body(&two, KitFormat::Hcl);
    assert_eq!(text.matches("provider \"aws\" {").count(), 2);
    assert_eq!(text.matches("provider = aws.account_444455556666").count(), 2, "{text}");
    assert_eq!(text.matches("provider = aws.account_111122223333").count(), 2, "{text}");
}

#[test]
fn the_fastest_lever_comes_first_and_each_names_what_it_reaches() {
    let (kit, _) = kit_of(json!({ "role_arn": "arn:aws:iam::444455556666:role/t" }));
    let titles: Vec<_> = kit.levers.iter().map(|lever| lever.title.as_str()).collect();
    assert_eq!(titles.len(), 5);
    assert_eq!(titles[0], "Disable the key");
    assert!(kit.levers[0].reach.starts_with("Everybody"));
    assert!(kit.levers.iter().all(|lever| lever.propagation.contains("minutes")));
    assert!(kit.levers[3].propagation.contains("sessions that exist live on"));
}

#[test]
fn a_proof_costs_an_assume_for_each_hop_and_one_decrypt() {
    let hop = json!({ "role_arn": "arn:aws:iam::444455556666:role/hop" });
    let (kit, _) = kit_of(json!({ "role_arn": "arn:aws:iam::111122223333:role/t", "chain": [hop] }));
    assert_eq!(kit.costs.log_events_per_month, 60_000);
    assert!((kit.costs.usd_per_month - 0.06).abs() < 1e-9, "{}", kit.costs.usd_per_month);
    assert!(kit.costs.notes[0].contains("300 s"));
}
