//! What the kit says; that it works, the tests against a simulator show.

use super::*;
use crate::cloud::Cloud;
use crate::settings::Plan;

const CLIENT: &str = "11111111-2222-3333-4444-555555555555";
const DIRECTORY: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";

fn kit_of(cloud: Cloud, key: &str) -> OnboardingKit {
    let key: crate::KeyUrl = key.parse().unwrap();
    let store = cloud.store(&key).unwrap();
    let plan =
        Plan { directory: DIRECTORY.parse().unwrap(), key, store, challenge: Some("lh-issued".to_owned()) };
    let client = CLIENT.parse().unwrap();
    kit(&Commands { plan: &plan, client: &client, cloud }, "lh-issued", 20_000)
}

fn body(kit: &OnboardingKit, format: KitFormat) -> String {
    kit.sections
        .iter()
        .filter(|section| section.format == format)
        .map(|section| section.body.as_str())
        .collect()
}

#[test]
fn the_role_is_the_least_one_at_the_key_alone() {
    let kit = kit_of(Cloud::Public, "https://acme.vault.azure.net/keys/main");
    let assignment: Value = serde_json::from_str(&kit.sections[1].body).unwrap();
    assert_eq!(assignment["scope"], "${VAULT_ID}/keys/main");
    let definition = assignment["properties"]["roleDefinitionId"].as_str().unwrap();
    assert!(definition.ends_with("/e147488a-f6f5-4113-8e2d-b22465e65bf6"), "{definition}");
    assert_eq!(assignment["properties"]["principalType"], "ServicePrincipal");
    let tags: Value = serde_json::from_str(&kit.sections[2].body).unwrap();
    assert_eq!(tags, json!({ "tags": { "leasehold-challenge": "lh-issued" } }));
}

#[test]
fn commands_and_terraform_say_the_same() {
    let kit = kit_of(Cloud::Public, "https://acme.vault.azure.net/keys/main");
    for format in [KitFormat::Shell, KitFormat::Hcl] {
        let body = body(&kit, format);
        for part in [
            CLIENT,
            DIRECTORY,
            VAULT_ROLE,
            "acme",
            "main",
            "lh-issued",
            "leasehold-challenge",
            "ServicePrincipal",
        ] {
            assert!(body.contains(part), "{part} is not in the {} section:\n{body}", format.as_str());
        }
    }
    let consent = body(&kit, KitFormat::Text);
    assert!(
        consent.contains(&format!(
            "https://login.microsoftonline.com/{DIRECTORY}/adminconsent?client_id={CLIENT}"
        ))
    );
}

#[test]
fn a_managed_hsm_has_roles_of_its_own() {
    let kit = kit_of(Cloud::Public, "https://pool.managedhsm.azure.net/keys/main");
    let assignment: Value = serde_json::from_str(&kit.sections[1].body).unwrap();
    assert_eq!(assignment["scope"], "/keys/main");
    let commands = body(&kit, KitFormat::Shell);
    assert!(
        commands.contains("az keyvault role assignment create --hsm-name pool")
            && commands.contains(HSM_ROLE)
    );
    assert!(!commands.contains(VAULT_ROLE) && !commands.contains("set-policy"), "{commands}");
    assert!(kit.levers[0].revoke.contains("--hsm-name pool"));
}

#[test]
fn a_sovereign_cloud_is_chosen_first() {
    let kit = kit_of(Cloud::China, "https://acme.vault.azure.cn/keys/main");
    assert!(body(&kit, KitFormat::Shell).starts_with("az cloud set --name AzureChinaCloud\n"));
    assert!(body(&kit, KitFormat::Text).contains("https://login.chinacloudapi.cn/"));
    assert!(body(&kit, KitFormat::Hcl).contains("environment = \"china\""));
    let public = kit_of(Cloud::Public, "https://acme.vault.azure.net/keys/main");
    assert!(!body(&public, KitFormat::Shell).contains("az cloud set"));
}

#[test]
fn the_costs_are_those_of_one_token_and_one_unwrap() {
    let costs = kit_of(Cloud::Public, "https://acme.vault.azure.net/keys/main").costs;
    assert_eq!(costs.log_events_per_month, 40_000);
    assert!((costs.usd_per_month - 0.30).abs() < 1e-9, "{}", costs.usd_per_month);
    let hsm = kit_of(Cloud::Public, "https://pool.managedhsm.azure.net/keys/main").costs;
    assert!(hsm.usd_per_month.abs() < 1e-9, "{}", hsm.usd_per_month);
}

#[test]
fn the_platforms_own_key_cannot_be_revoked_and_the_kit_says_so() {
    let kit = operator_kit("https://own.vault.azure.net/keys/main");
    assert!(kit.levers.is_empty() && kit.sections[0].body.contains("nothing that you could revoke"));
}
