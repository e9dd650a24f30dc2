//! The kit as Terraform.
//!
//! The key is looked up and not managed. It is the tenant's, and may be another configuration's: one that managed it too
//! would want its own size, operations and tags, and would delete the key, and with it all that it wrapped, when it is
//! destroyed.

use crate::Cloud;
use crate::cloud::Store;
use crate::commands::{Commands, HSM_ROLE, VAULT_ROLE_NAME, show_tags, tag};

/// A configuration of the providers `hashicorp/azuread` and `hashicorp/azurerm`.
pub(super) fn configuration(commands: &Commands<'_>, challenge: &str) -> String {
    let grant = match commands.plan.store {
        Store::Vault => vault(commands),
        Store::ManagedHsm => managed_hsm(commands),
    };
    let key = &commands.plan.key;
    format!(
        "{providers}# One for all bindings of this directory. If there is one already, make it `data` here, and below.\n\
         resource \"azuread_service_principal\" \"leasehold\" {{\n  client_id = \"{client}\"\n}}\n\n\
         # What is left to do by hand is the key's tag, so that nothing here manages the key. The second command replaces all \
         tags\n# that the key has: repeat them in it. If another configuration manages the key, add the tag there instead.\n\
         #   {show_tags}\n#   {tag}\n\n{grant}",
        providers = providers(commands),
        client = commands.client,
        show_tags = show_tags(key),
        tag = tag(key, challenge),
    )
}

fn providers(commands: &Commands<'_>) -> String {
    let directory = &commands.plan.directory;
    // Both providers know these names.
    let environment = match commands.cloud {
        Cloud::Public => "public",
        Cloud::UsGovernment => "usgovernment",
        Cloud::China => "china",
    };
    let random = match commands.plan.store {
        Store::Vault => "",
        Store::ManagedHsm => "    random = {\n      source = \"hashicorp/random\"\n    }\n",
    };
    format!(
        "terraform {{\n  required_providers {{\n    azuread = {{\n      source  = \"hashicorp/azuread\"\n      version = \">= \
         3.0\"\n    }}\n    azurerm = {{\n      source  = \"hashicorp/azurerm\"\n      version = \">= 4.0\"\n    }}\n{random}  \
         }}\n}}\n\n\
         variable \"subscription_id\" {{\n  type        = string\n  description = \"The subscription of {vault}.\"\n}}\n\n\
         provider \"azuread\" {{\n  tenant_id   = \"{directory}\"\n  environment = \"{environment}\"\n}}\n\n\
         provider \"azurerm\" {{\n  features {{}}\n  tenant_id       = \"{directory}\"\n  subscription_id = \
         var.subscription_id\n  environment     = \"{environment}\"\n}}\n\n",
        vault = commands.plan.key.vault(),
    )
}

/// By its name, because an id without its subscription would have the assignment replaced at every plan:
/// <https://github.com/hashicorp/terraform-provider-azurerm/issues/4258>.
fn vault(commands: &Commands<'_>) -> String {
    let (vault, name) = (commands.plan.key.vault(), commands.plan.key.name());
    format!(
        "variable \"resource_group_name\" {{\n  type        = string\n  description = \"The resource group of {vault}.\"\n}}\n\n\
         data \"azurerm_key_vault\" \"leasehold\" {{\n  name                = \"{vault}\"\n  resource_group_name = \
         var.resource_group_name\n}}\n\n\
         data \"azurerm_key_vault_key\" \"leasehold\" {{\n  name         = \"{name}\"\n  key_vault_id = \
         data.azurerm_key_vault.leasehold.id\n}}\n\n\
         resource \"azurerm_role_assignment\" \"leasehold\" {{\n  scope                = \
         data.azurerm_key_vault_key.leasehold.resource_versionless_id\n  role_definition_name = \"{VAULT_ROLE_NAME}\"\n  \
         principal_id         = azuread_service_principal.leasehold.object_id\n  principal_type       = \
         \"ServicePrincipal\"\n}}\n"
    )
}

fn managed_hsm(commands: &Commands<'_>) -> String {
    let (pool, name) = (commands.plan.key.vault(), commands.plan.key.name());
    format!(
        "variable \"managed_hsm_id\" {{\n  type        = string\n  description = \"The resource id of {pool}.\"\n}}\n\n\
         data \"azurerm_key_vault_managed_hardware_security_module_role_definition\" \"leasehold\" {{\n  managed_hsm_id = \
         var.managed_hsm_id\n  name           = \"{HSM_ROLE}\"\n}}\n\n\
         resource \"random_uuid\" \"leasehold\" {{}}\n\n\
         resource \"azurerm_key_vault_managed_hardware_security_module_role_assignment\" \"leasehold\" {{\n  name               \
         = random_uuid.leasehold.result\n  managed_hsm_id     = var.managed_hsm_id\n  scope              = \
         \"/keys/{name}\"\n  role_definition_id = \
         data.azurerm_key_vault_managed_hardware_security_module_role_definition.leasehold.resource_manager_id\n  \
         principal_id       = azuread_service_principal.leasehold.object_id\n}}\n"
    )
}
