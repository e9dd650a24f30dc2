//! What the kit says, without a cloud.

use std::time::Duration;

use leasehold_provider::OwnIdentity;
use serde_json::json;

use super::*;
use crate::settings::tests::{ACCOUNT, KEY, binding};

const US: &str = "serviceAccount:leasehold@our-platform.iam.gserviceaccount.com";

fn kit_of(settings: Value) -> (OnboardingKit, String) {
    let binding = binding(KEY, &settings);
    let own = OwnIdentity { principal: US.to_owned(), account: "our-platform".to_owned() };
    let request = KitRequest {
        binding: &binding,
        own: &own,
        revocation_bound: Duration::from_secs(300),
        proofs_per_month: 20_000,
    };
    let plan = Plan::of(&binding, &[]).unwrap();
    (kit(&plan, &request), binding.external_id.to_string())
}

fn body<'a>(kit: &'a OnboardingKit, title: &str) -> &'a str {
    let found = kit.sections.iter().find(|section| section.title.contains(title));
    &found.unwrap_or_else(|| panic!("{title}: {:?}", kit.sections)).body
}

fn json_of(kit: &OnboardingKit, title: &str) -> Value {
    serde_json::from_str(body(kit, title)).unwrap()
}

#[test]
fn the_grants_name_us_and_allow_no_more_than_is_needed() {
    let (kit, challenge) = kit_of(json!({ "service_account": ACCOUNT }));
    let role = json_of(&kit, "Custom role projects/acme-prod/roles/leaseholdTokenCreator");
    assert_eq!(role["includedPermissions"], json!(["iam.serviceAccounts.getAccessToken"]));
    let role = json_of(&kit, "roles/leaseholdKeyUser");
    assert_eq!(role["includedPermissions"].as_array().unwrap().len(), 3);
    let account = json_of(&kit, "policy of the service account");
    assert_eq!(account["bindings"][0]["members"], json!([US]));
    let key = json_of(&kit, "policy of the key");
    assert_eq!(key["bindings"][0]["members"], json!([format!("serviceAccount:{ACCOUNT}")]));
    assert_eq!(json_of(&kit, "Label of the key")["labels"]["leasehold-challenge"], challenge.as_str());
}

#[test]
fn each_account_of_a_chain_trusts_the_one_before_it() {
    let first = "delegate@hop-one.iam.gserviceaccount.com";
    let (kit, _) = kit_of(json!({ "service_account": ACCOUNT, "delegates": [first] }));
    let policy = json_of(&kit, "policy of the service account delegate@");
    assert_eq!(policy["bindings"][0]["members"], json!([US]));
    assert_eq!(policy["bindings"][0]["role"], "projects/hop-one/roles/leaseholdDelegate");
    let role = json_of(&kit, "roles/leaseholdDelegate");
    assert_eq!(role["includedPermissions"], json!(["iam.serviceAccounts.implicitDelegation"]));
    let policy = json_of(&kit, "policy of the service account leasehold@acme-prod");
    assert_eq!(policy["bindings"][0]["members"], json!([format!("serviceAccount:{first}")]));
}

#[test]
fn commands_and_terraform_say_the_same_as_the_documents() {
    let (kit, challenge) = kit_of(json!({ "service_account": ACCOUNT }));
    for title in ["Commands", "Terraform"] {
        let body = body(&kit, title);
        for part in [
            US,
            ACCOUNT,
            challenge.as_str(),
            "leaseholdTokenCreator",
            "leaseholdKeyUser",
            "europe-west3",
            "cloudkms.cryptoKeys.get",
        ] {
            assert!(body.contains(part), "{title} lacks {part}:\n{body}");
        }
    }
    assert!(body(&kit, "Commands").contains("add-iam-policy-binding"));
}

#[test]
fn the_api_is_switched_on_for_the_key_and_for_whoever_uses_it() {
    let elsewhere = "leasehold@acme-identities.iam.gserviceaccount.com";
    for (account, projects) in [(ACCOUNT, &["acme-prod"][..]), (elsewhere, &["acme-prod", "acme-identities"])]
    {
        let (kit, _) = kit_of(json!({ "service_account": account }));
        let (commands, terraform) = (body(&kit, "Commands"), body(&kit, "Terraform"));
        for project in projects {
            let command = format!("gcloud services enable cloudkms.googleapis.com --project={project}\n");
            assert!(commands.contains(&command), "{commands}");
        }
        assert_eq!(commands.matches("gcloud services enable").count(), projects.len());
        assert_eq!(terraform.matches("\"google_project_service\"").count(), projects.len(), "{terraform}");
    }
}

#[test]
fn the_fastest_lever_comes_first_and_each_can_be_undone() {
    let (kit, _) = kit_of(json!({ "service_account": ACCOUNT }));
    assert_eq!(kit.levers.len(), 4);
    assert!(kit.levers[0].revoke.contains("versions disable"));
    assert!(kit.levers[0].propagation.contains("minute"));
    for lever in &kit.levers {
        assert!(lever.revoke != lever.restore && lever.revoke.contains("gcloud"), "{lever:?}");
    }
}

#[test]
fn costs_are_those_of_one_decrypt_a_proof() {
    let (kit, _) = kit_of(json!({ "service_account": ACCOUNT }));
    assert!((kit.costs.usd_per_month - 0.06).abs() < 1e-9, "{}", kit.costs.usd_per_month);
    assert!(kit.costs.notes.iter().any(|note| note.contains("off by default")));
}

#[test]
fn the_platforms_own_key_is_said_not_to_be_revocable() {
    let binding = binding(KEY, &json!({}));
    let own = OwnIdentity { principal: US.to_owned(), account: "our-platform".to_owned() };
    let request = KitRequest {
        binding: &binding,
        own: &own,
        revocation_bound: Duration::from_secs(300),
        proofs_per_month: 1,
    };
    let kit = kit(&Plan::of_operator(&binding, &[KEY.parse().unwrap()]).unwrap(), &request);
    assert!(kit.levers.is_empty() && kit.sections[0].body.contains("cannot revoke"));
}
