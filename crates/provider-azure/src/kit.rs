//! What a tenant must paste to let us in, how they put us out again, and what the proofs cost them.

mod levers;
mod shell;
mod terraform;

use leasehold_provider::{CallCost, KitFormat, KitSection, OnboardingKit, ProofCosts};
use serde_json::{Value, json};
use url::Url;

use crate::cloud::Store;
use crate::commands::{CHALLENGE_TAG, Commands, DATA_ACTIONS, HSM_ROLE, VAULT_ROLE};

/// Stands for the object id of our service principal, which is known once it exists.
const PRINCIPAL: &str = "${PRINCIPAL_ID}";
/// Stands for the resource id of the vault, which names the tenant's subscription and resource group.
const VAULT: &str = "${VAULT_ID}";
/// Stands for the resource id of the vault's resource group.
const RESOURCE_GROUP: &str = "${RESOURCE_GROUP_ID}";

/// The kit of a tenant's binding.
pub(crate) fn kit(commands: &Commands<'_>, challenge: &str, proofs_per_month: u64) -> OnboardingKit {
    let section = |title: &str, format, body| KitSection { title: title.to_owned(), format, body };
    let tags = json!({ "tags": { CHALLENGE_TAG: challenge } });
    let mut sections = vec![
        section("Commands that set it all up", KitFormat::Shell, shell::set_up(commands, challenge)),
        section("The same as Terraform", KitFormat::Hcl, terraform::configuration(commands, challenge)),
        section(
            "Role assignment of our service principal at the key; the commands fill in the two ids",
            KitFormat::Json,
            format!("{:#}", assignment(commands)),
        ),
        section(
            "Tag of the key, which shows us that its owner deals with us",
            KitFormat::Json,
            format!("{tags:#}"),
        ),
    ];
    if commands.plan.store == Store::Vault {
        sections.push(section(
            "Role of your own, if you would rather not give a built-in one: the three actions that we use, and nothing else",
            KitFormat::Json,
            format!("{:#}", own_role(commands)),
        ));
    }
    if let Some(url) = commands.consent_url() {
        sections.push(section(
            "Consent: what an administrator of the directory may open, in place of az ad sp create",
            KitFormat::Text,
            consent(commands, &url),
        ));
    }
    OnboardingKit {
        sections,
        levers: levers::levers(commands),
        costs: costs(commands.plan.store, proofs_per_month),
    }
}

/// The kit of a binding to one of the platform's own keys.
pub(crate) fn operator_kit(key: &str) -> OnboardingKit {
    let body = format!(
        "{key} is the platform's own key. There is nothing to set up, and nothing that you could revoke: keys of this binding \
         are protected by the platform alone. To be able to revoke, create a binding to a key of your own."
    );
    let title = "The platform's own key".to_owned();
    OnboardingKit {
        sections: vec![KitSection { title, format: KitFormat::Text, body }],
        levers: Vec::new(),
        costs: ProofCosts::of(0, Vec::new(), vec!["The platform pays for its own key.".to_owned()]),
    }
}

fn consent(commands: &Commands<'_>, url: &Url) -> String {
    format!(
        "{url}\n\nIt makes a service principal of application {} in your directory {}. The application asks for no permission \
         there: what it may do with the key {} is what the role assignment says.",
        commands.client, commands.plan.directory, commands.plan.key
    )
}

/// The role assignment as Azure Resource Manager takes it; of Managed HSM, as its own interface does.
fn assignment(commands: &Commands<'_>) -> Value {
    let name = commands.plan.key.name();
    let (definitions, role, scope) = match commands.plan.store {
        Store::Vault => ("/providers/Microsoft.Authorization", VAULT_ROLE, format!("{VAULT}/keys/{name}")),
        Store::ManagedHsm => {
            ("Microsoft.KeyVault/providers/Microsoft.Authorization", HSM_ROLE, format!("/keys/{name}"))
        }
    };
    json!({
        "properties": {
            "roleDefinitionId": format!("{definitions}/roleDefinitions/{role}"),
            "principalId": PRINCIPAL,
            "principalType": "ServicePrincipal",
        },
        "scope": scope,
    })
}

/// The definition of a role with exactly what we use, as `az role definition create` takes it.
fn own_role(commands: &Commands<'_>) -> Value {
    json!({
        "Name": own_role_name(commands),
        "IsCustom": true,
        "Description": "Read the public part of keys, wrap and unwrap with them.",
        "Actions": [],
        "NotActions": [],
        "DataActions": DATA_ACTIONS,
        "NotDataActions": [],
        "AssignableScopes": [RESOURCE_GROUP],
    })
}

/// Names of roles are unique in a directory, and names of vaults in all of Azure.
fn own_role_name(commands: &Commands<'_>) -> String {
    format!("Leasehold in {}", commands.plan.key.vault())
}

fn costs(store: Store, proofs_per_month: u64) -> ProofCosts {
    let (price, note) = match store {
        Store::Vault => (
            0.15,
            "Prices are list prices of https://azure.microsoft.com/pricing/details/key-vault: $0.15 per 10,000 operations with \
             RSA keys of 3,072 and 4,096 bits, which the figure assumes; with 2,048 bits they are $0.03.",
        ),
        Store::ManagedHsm => (0.0, "A Managed HSM is paid by the hour, and its operations are free."),
    };
    let calls = vec![
        CallCost { operation: "Sign-in of the service principal", per_proof: 1, usd_per_10_000: 0.0 },
        CallCost { operation: "unwrapKey", per_proof: 1, usd_per_10_000: price },
    ];
    let notes = [
        note,
        "Tokens are free. Each leaves an event among the sign-ins of service principals; each unwrap leaves an AuditEvent if \
         the vault has a diagnostic setting.",
        "HSM-protected keys cost a monthly fee besides; requests of the engines come on top of the proofs.",
    ];
    ProofCosts::of(proofs_per_month, calls, notes.map(str::to_owned).into())
}

#[cfg(test)]
#[path = "kit_tests.rs"]
mod tests;
