//! What the kit says; that it works, the tests against a simulator show.

use super::*;
use crate::cloud::Cloud;
use crate::settings::Plan;

const CLIENT: &str = "11111111-2222-3333-4444-555555555555";
const DIRECTORY: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";

fn kit_of(cloud: Cloud, key: &str) -> OnboardingKit {
    kit_with(cloud, key, None)
}

fn kit_with(cloud: Cloud, key: &str, reply_url: Option<&Url>) -> OnboardingKit {
    let key: crate::KeyUrl = key.parse().unwrap();
    let store = cloud.store(&key).unwrap();
    let plan =
        Plan { directory: DIRECTORY.parse().unwrap(), key, store, challenge: Some("lh-issued".to_owned()) };
    let client = CLIENT.parse().unwrap();
    kit(&Commands { plan: &plan, client: &client, cloud, reply_url }, "lh-issued", 20_000)
}

fn documents(kit: &OnboardingKit) -> Vec<Value> {
    let json = kit.sections.iter().filter(|section| section.format == KitFormat::Json);
    json.map(|section| serde_json::from_str(&section.body).unwrap()).collect()
}

fn body(kit: &OnboardingKit, format: KitFormat) -> String {
    kit.sections
        .iter()
        .filter(|section| section.format == format)
        .map(|section| section.body.as_str())
        .collect()
}

const KEY: &str = "https://acme.vault.azure.net/keys/main";
const HSM_KEY: &str = "https://pool.managedhsm.azure.net/keys/main";

#[test]
fn the_role_is_the_least_one_at_the_key_alone() {
    let documents = documents(&kit_of(Cloud::Public, KEY));
    let [assignment, tags, own_role] = &documents[..] else { panic!("{documents:?}") };
    assert_eq!(assignment["scope"], "${VAULT_ID}/keys/main");
    let definition = assignment["properties"]["roleDefinitionId"].as_str().unwrap();
    assert!(definition.ends_with("/e147488a-f6f5-4113-8e2d-b22465e65bf6"), "{definition}");
    assert_eq!(assignment["properties"]["principalType"], "ServicePrincipal");
    assert_eq!(*tags, json!({ "tags": { "leasehold-challenge": "lh-issued" } }));
    assert_eq!(own_role["DataActions"].as_array().unwrap().len(), 3);
    assert_eq!(own_role["Actions"], json!([]));
}

#[test]
fn commands_and_terraform_say_the_same() {
    let kit = kit_of(Cloud::Public, KEY);
    let (shell, terraform) = (body(&kit, KitFormat::Shell), body(&kit, KitFormat::Hcl));
    for body in [&shell, &terraform] {
        for part in
            [CLIENT, DIRECTORY, "acme", "main", "lh-issued", "leasehold-challenge", "ServicePrincipal"]
        {
            assert!(body.contains(part), "{part} is not in:\n{body}");
        }
        assert!(
            body.contains("az keyvault key show --id https://acme.vault.azure.net/keys/main --query tags")
        );
    }
    assert!(shell.contains(VAULT_ROLE) && terraform.contains("\"Key Vault Crypto Service Encryption User\""));
}

#[test]
fn terraform_never_manages_the_key() {
    for key in [KEY, HSM_KEY] {
        let terraform = body(&kit_of(Cloud::Public, key), KitFormat::Hcl);
        let resources: Vec<_> = terraform.lines().filter(|line| line.starts_with("resource ")).collect();
        assert!(resources.len() >= 2, "{terraform}");
        for resource in resources {
            let managed = ["azuread_service_principal", "role_assignment\"", "random_uuid"];
            assert!(managed.iter().any(|kind| resource.contains(kind)), "{resource}");
        }
        assert!(!terraform.contains("import"), "{terraform}");
    }
}

#[test]
fn terraform_is_whole_and_stays_as_it_was_applied() {
    for (cloud, key, environment) in [
        (Cloud::Public, KEY, "public"),
        (Cloud::Public, HSM_KEY, "public"),
        (Cloud::UsGovernment, "https://acme.vault.usgovcloudapi.net/keys/main", "usgovernment"),
        (Cloud::China, "https://acme.vault.azure.cn/keys/main", "china"),
    ] {
        let terraform = body(&kit_of(cloud, key), KitFormat::Hcl);
        for part in ["source  = \"hashicorp/azuread\"", "source  = \"hashicorp/azurerm\"", "  features {}\n"]
        {
            assert!(terraform.contains(part), "{part} is not in:\n{terraform}");
        }
        // Each provider is told which cloud.
        let environment = format!("environment = \"{environment}\"");
        let unspaced = terraform.replace("     = ", " = ");
        assert_eq!(unspaced.matches(&environment).count(), 2, "{terraform}");
        for variable in terraform.split("var.").skip(1) {
            let name = variable.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
            assert!(terraform.contains(&format!("variable \"{name}\" {{")), "{name}");
        }
        // An id without its subscription comes back with one, and the assignment would be replaced at every plan.
        assert!(!terraform.contains("\"/providers/Microsoft.Authorization"), "{terraform}");
        assert_eq!(terraform.matches('{').count(), terraform.matches('}').count(), "{terraform}");
    }
}

#[test]
fn the_vaults_subscription_is_chosen_before_a_vault_is_looked_for() {
    let shell = body(&kit_of(Cloud::Public, KEY), KitFormat::Shell);
    let (chosen, looked) = (shell.find("az account set --subscription"), shell.find("$(az keyvault show"));
    assert!(chosen.is_some() && chosen < looked, "{shell}");
}

#[test]
fn a_managed_hsm_has_roles_of_its_own() {
    let kit = kit_of(Cloud::Public, HSM_KEY);
    let documents = documents(&kit);
    let [assignment, _] = &documents[..] else { panic!("{documents:?}") };
    assert_eq!(assignment["scope"], "/keys/main");
    let commands = body(&kit, KitFormat::Shell);
    assert!(
        commands.contains("az keyvault role assignment create --hsm-name pool")
            && commands.contains(HSM_ROLE)
    );
    assert!(!commands.contains(VAULT_ROLE) && !commands.contains("set-policy"), "{commands}");
    assert!(kit.levers[0].revoke.contains("--hsm-name pool"));
    assert!(kit.levers.iter().all(|lever| !lever.revoke.contains("policy")), "a pool has no access policies");
}

#[test]
fn a_sovereign_cloud_is_chosen_first() {
    let kit = kit_of(Cloud::China, "https://acme.vault.azure.cn/keys/main");
    assert!(body(&kit, KitFormat::Shell).starts_with("az cloud set --name AzureChinaCloud\n"));
    assert!(!body(&kit_of(Cloud::Public, KEY), KitFormat::Shell).contains("az cloud set"));
}

#[test]
fn a_link_for_consent_is_offered_only_if_entra_knows_where_to_go_afterwards() {
    assert_eq!(body(&kit_of(Cloud::Public, KEY), KitFormat::Text), "");
    let reply = "https://leasehold.example/thanks?a=b&c".parse().unwrap();
    for (cloud, key, host) in [
        (Cloud::Public, KEY, "login.microsoftonline.com"),
        (Cloud::China, "https://acme.vault.azure.cn/keys/main", "login.chinacloudapi.cn"),
    ] {
        let text = body(&kit_with(cloud, key, Some(&reply)), KitFormat::Text);
        let reply = "redirect_uri=https%3A%2F%2Fleasehold.example%2Fthanks%3Fa%3Db%26c";
        let url = format!("https://{host}/{DIRECTORY}/adminconsent?client_id={CLIENT}&{reply}\n");
        assert!(text.starts_with(&url), "{text}");
    }
}

#[test]
fn restoring_the_key_enables_no_version_that_was_disabled_before() {
    let lever = &kit_of(Cloud::Public, KEY).levers[0];
    assert!(lever.revoke.starts_with(
        "az keyvault key list-versions --vault-name acme --name main --query '[?attributes.enabled].kid'"
    ));
    assert!(
        lever.revoke.contains(">> acme-main.versions"),
        "revoking twice forgets nothing: {}",
        lever.revoke
    );
    assert!(
        lever.restore.ends_with("done < acme-main.versions && rm acme-main.versions"),
        "{}",
        lever.restore
    );
    assert!(!lever.restore.contains("list-versions"), "{}", lever.restore);
}

#[test]
fn a_lever_says_what_it_does_not_reach() {
    let levers = kit_of(Cloud::Public, KEY).levers;
    let role = levers.iter().find(|lever| lever.revoke.contains("role assignment delete")).unwrap();
    assert!(
        role.reach.contains("subscription") && role.reach.contains("--include-inherited"),
        "{}",
        role.reach
    );
    assert!(!role.revoke.contains("--role"), "a role of the tenant's own is taken away too: {}", role.revoke);
}

#[test]
fn the_costs_are_those_of_one_token_and_one_unwrap() {
    let costs = kit_of(Cloud::Public, KEY).costs;
    assert_eq!(costs.log_events_per_month, 40_000);
    assert!((costs.usd_per_month - 0.30).abs() < 1e-9, "{}", costs.usd_per_month);
    let hsm = kit_of(Cloud::Public, HSM_KEY).costs;
    assert!(hsm.usd_per_month.abs() < 1e-9, "{}", hsm.usd_per_month);
}

#[test]
fn the_platforms_own_key_cannot_be_revoked_and_the_kit_says_so() {
    let kit = operator_kit("https://own.vault.azure.net/keys/main");
    assert!(kit.levers.is_empty() && kit.sections[0].body.contains("nothing that you could revoke"));
}
