//! What a tenant must paste to let us in, how they put us out again, and what the proofs cost them.

use leasehold_provider::{CallCost, KitFormat, KitSection, Lever, OnboardingKit, ProofCosts};
use serde_json::{Value, json};

use crate::cloud::Store;
use crate::commands::{CHALLENGE_TAG, Commands, HSM_ROLE, VAULT_ROLE, tag};

/// Stands for the object id of our service principal, which is known once it exists.
const PRINCIPAL: &str = "${PRINCIPAL_ID}";
/// Stands for the resource id of the vault, which names the tenant's subscription and resource group.
const VAULT: &str = "${VAULT_ID}";

/// The kit of a tenant's binding.
pub(crate) fn kit(commands: &Commands<'_>, challenge: &str, proofs_per_month: u64) -> OnboardingKit {
    let section = |title: &str, format, body| KitSection { title: title.to_owned(), format, body };
    let assignment = assignment(commands);
    let tags = json!({ "tags": { CHALLENGE_TAG: challenge } });
    OnboardingKit {
        sections: vec![
            section(
                "Consent: what an administrator of the directory opens, in place of the first command",
                KitFormat::Text,
                consent(commands),
            ),
            section(
                "Role assignment of our service principal at the key; the commands fill in the two ids",
                KitFormat::Json,
                format!("{assignment:#}"),
            ),
            section(
                "Tag of the key, which shows us that its owner deals with us",
                KitFormat::Json,
                format!("{tags:#}"),
            ),
            section("Commands that set it all up", KitFormat::Shell, set_up(commands, challenge)),
            section("The same as Terraform", KitFormat::Hcl, terraform(commands, challenge)),
        ],
        levers: levers(commands),
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

fn consent(commands: &Commands<'_>) -> String {
    format!(
        "{}\n\nIt makes a service principal of application {} in your directory {}. The application asks for no permission \
         there: what it may do with the key {} is what the role assignment says.",
        commands.consent_url(),
        commands.client,
        commands.plan.directory,
        commands.plan.key
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

fn set_up(commands: &Commands<'_>, challenge: &str) -> String {
    let policy = match commands.plan.store {
        Store::Vault => format!(
            "# If the vault has access policies in place of roles, which cannot be given for one key alone:\n\
             # az keyvault set-policy --name {} --object-id \"$PRINCIPAL_ID\" --key-permissions get wrapKey unwrapKey\n",
            commands.plan.key.vault()
        ),
        Store::ManagedHsm => String::new(),
    };
    format!(
        "{sign_in}\n\n# If the key is yet to be made:\n# {create_key}\n\n# 1. Let our application into the directory.\n\
         {create_principal}\nPRINCIPAL_ID=\"{principal_id}\"\n\n# 2. Let it read, wrap and unwrap with this key, and nothing \
         else.\n{assign}\n{policy}\n# 3. Tag the key with what we issued for this binding. Repeat the key's other tags, \
         because these replace them all,\n#    and tag new versions as well.\n{tag}\n",
        sign_in = commands.sign_in(),
        create_key = commands.create_key(),
        create_principal = commands.create_principal(),
        principal_id = commands.principal_id(),
        assign = commands.assign_role("\"$PRINCIPAL_ID\""),
        tag = tag(&commands.plan.key, challenge),
    )
}

fn terraform(commands: &Commands<'_>, challenge: &str) -> String {
    let plan = commands.plan;
    let (vault, name, client) = (plan.key.vault(), plan.key.name(), commands.client);
    let environment = match commands.cloud {
        crate::Cloud::Public => "public",
        crate::Cloud::UsGovernment => "usgovernment",
        crate::Cloud::China => "china",
    };
    let principal = format!(
        "provider \"azuread\" {{\n  tenant_id   = \"{directory}\"\n  environment = \"{environment}\"\n}}\n\n\
         resource \"azuread_service_principal\" \"leasehold\" {{\n  client_id = \"{client}\"\n}}\n\n",
        directory = plan.directory,
    );
    let rest = match plan.store {
        Store::Vault => format!(
            "data \"azurerm_key_vault\" \"leasehold\" {{\n  name                = \"{vault}\"\n  resource_group_name = \
             var.resource_group_name\n}}\n\n\
             # Add these tags to the key if it is there already: terraform import azurerm_key_vault_key.leasehold {key}/VERSION\n\
             resource \"azurerm_key_vault_key\" \"leasehold\" {{\n  name         = \"{name}\"\n  key_vault_id = \
             data.azurerm_key_vault.leasehold.id\n  key_type     = \"RSA\"\n  key_size     = 3072\n  key_opts     = \
             [\"wrapKey\", \"unwrapKey\"]\n  tags         = {{ {CHALLENGE_TAG} = \"{challenge}\" }}\n}}\n\n\
             resource \"azurerm_role_assignment\" \"leasehold\" {{\n  scope              = \
             azurerm_key_vault_key.leasehold.resource_versionless_id\n  role_definition_id = \
             \"/providers/Microsoft.Authorization/roleDefinitions/{VAULT_ROLE}\"\n  principal_id       = \
             azuread_service_principal.leasehold.object_id\n  principal_type     = \"ServicePrincipal\"\n}}\n\n\
             variable \"resource_group_name\" {{\n  type = string\n}}\n",
            key = plan.key,
        ),
        Store::ManagedHsm => format!(
            "resource \"azurerm_key_vault_managed_hardware_security_module_key\" \"leasehold\" {{\n  name           = \
             \"{name}\"\n  managed_hsm_id = var.managed_hsm_id\n  key_type       = \"RSA-HSM\"\n  key_size       = 3072\n  \
             key_opts       = [\"wrapKey\", \"unwrapKey\"]\n  tags           = {{ {CHALLENGE_TAG} = \"{challenge}\" }}\n}}\n\n\
             resource \"random_uuid\" \"leasehold\" {{}}\n\n\
             resource \"azurerm_key_vault_managed_hardware_security_module_role_assignment\" \"leasehold\" {{\n  name               \
             = random_uuid.leasehold.result\n  managed_hsm_id     = var.managed_hsm_id\n  scope              = \
             \"/keys/{name}\"\n  role_definition_id = \
             \"/Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/{HSM_ROLE}\"\n  principal_id       = \
             azuread_service_principal.leasehold.object_id\n}}\n\n\
             variable \"managed_hsm_id\" {{\n  type        = string\n  description = \"Resource id of {vault}.\"\n}}\n",
        ),
    };
    principal + &rest
}

/// The fastest first. What each takes is Microsoft's word or what was seen; our own bound comes on top.
fn levers(commands: &Commands<'_>) -> Vec<Lever> {
    let principal_id = format!("\"{}\"", commands.principal_id());
    let create = commands.create_principal();
    vec![
        Lever {
            title: "Disable every version of the key".to_owned(),
            revoke: commands.enable_versions(false),
            restore: commands.enable_versions(true),
            propagation: "Seconds: the next use of the key is refused.".to_owned(),
            reach: "Every other user of the key. One version alone can be disabled too: then what that version wrapped is \
                    revoked. Letting the key expire does not revoke, because Key Vault goes on unwrapping with it."
                .to_owned(),
        },
        Lever {
            title: "Disable our service principal".to_owned(),
            revoke: commands.enable_principal(false),
            restore: commands.enable_principal(true),
            propagation: "Usually within a minute or two for new tokens; Microsoft states no bound. Tokens given out before \
                          last for 60 to 90 minutes, but every proof of ours takes a new one."
                .to_owned(),
            reach: "All bindings of this directory to us; nobody else.".to_owned(),
        },
        Lever {
            title: "Take the role away".to_owned(),
            revoke: commands.remove_role(&principal_id),
            restore: commands.assign_role(&principal_id),
            propagation: "Up to 10 minutes, as Microsoft says of role assignments, \
                          https://learn.microsoft.com/azure/role-based-access-control/troubleshooting; as long to restore."
                .to_owned(),
            reach: "This key alone; nobody else.".to_owned(),
        },
        Lever {
            title: "Delete our service principal".to_owned(),
            revoke: commands.delete_principal(),
            restore: format!("{create}\n{}", commands.assign_role(&principal_id)),
            propagation: "As disabling it; a new one has another object id, so its roles must be given anew, which takes up \
                          to 10 minutes."
                .to_owned(),
            reach: "All bindings of this directory to us; nobody else.".to_owned(),
        },
    ]
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
