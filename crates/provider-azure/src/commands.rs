//! Commands of Azure's own command line, with a binding's ids filled in.
//!
//! Everything written into one is a GUID, the URL of a key or what we issued; their parsers admit no character that means
//! anything to a shell.

use crate::cloud::{Cloud, Store};
use crate::ids::{ClientId, KeyUrl};
use crate::settings::Plan;

/// The tag of the key that shows that its owner deals with us, and for which binding.
pub(crate) const CHALLENGE_TAG: &str = "leasehold-challenge";

/// "Key Vault Crypto Service Encryption User": read, wrap and unwrap, and nothing else.
/// <https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/security>
pub(crate) const VAULT_ROLE: &str = "e147488a-f6f5-4113-8e2d-b22465e65bf6";
/// "Managed HSM Crypto Service Encryption User": the same for Managed HSM, which has roles of its own.
/// <https://learn.microsoft.com/azure/key-vault/managed-hsm/built-in-roles>
pub(crate) const HSM_ROLE: &str = "33413926-3206-4cdd-b39a-83574fe37a17";

/// Writes commands about one binding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Commands<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) client: &'a ClientId,
    pub(crate) cloud: Cloud,
}

impl Commands<'_> {
    /// The principal as we name it to people.
    pub(crate) fn principal(&self) -> String {
        format!("service principal of application {} in directory {}", self.client, self.plan.directory)
    }

    /// Where an administrator of the tenant lets our application in by a click.
    pub(crate) fn consent_url(&self) -> String {
        format!(
            "https://{}/{}/adminconsent?client_id={}",
            self.cloud.authority(),
            self.plan.directory,
            self.client
        )
    }

    pub(crate) fn sign_in(&self) -> String {
        let set = match self.cloud {
            Cloud::Public => String::new(),
            cloud => format!("az cloud set --name {}\n", cloud.cli_name()),
        };
        format!("{set}az login --tenant {}", self.plan.directory)
    }

    pub(crate) fn create_principal(&self) -> String {
        format!("az ad sp create --id {}", self.client)
    }

    pub(crate) fn delete_principal(&self) -> String {
        format!("az ad sp delete --id {}", self.client)
    }

    pub(crate) fn enable_principal(&self, enabled: bool) -> String {
        format!("az ad sp update --id {} --set accountEnabled={enabled}", self.client)
    }

    /// Looks up the principal's object id, which it has in the tenant's directory alone.
    pub(crate) fn principal_id(&self) -> String {
        format!("$(az ad sp show --id {} --query id --output tsv)", self.client)
    }

    /// Looks up the vault's resource id.
    pub(crate) fn vault_id(&self) -> String {
        format!("$(az keyvault show --name {} --query id --output tsv)", self.plan.key.vault())
    }

    /// Gives `principal` the role at the key.
    pub(crate) fn assign_role(&self, principal: &str) -> String {
        let (vault, name) = (self.plan.key.vault(), self.plan.key.name());
        match self.plan.store {
            Store::Vault => format!(
                "az role assignment create --role {VAULT_ROLE} --assignee-object-id {principal} \
                 --assignee-principal-type ServicePrincipal --scope {}/keys/{name}",
                self.vault_id()
            ),
            Store::ManagedHsm => format!(
                "az keyvault role assignment create --hsm-name {vault} --role {HSM_ROLE} --assignee-object-id {principal} \
                 --assignee-principal-type ServicePrincipal --scope /keys/{name}"
            ),
        }
    }

    /// Takes the role away again.
    pub(crate) fn remove_role(&self, principal: &str) -> String {
        let (vault, name) = (self.plan.key.vault(), self.plan.key.name());
        match self.plan.store {
            Store::Vault => format!(
                "az role assignment delete --role {VAULT_ROLE} --assignee {principal} --scope {}/keys/{name}",
                self.vault_id()
            ),
            Store::ManagedHsm => format!(
                "az keyvault role assignment delete --hsm-name {vault} --role {HSM_ROLE} --assignee-object-id {principal} \
                 --scope /keys/{name}"
            ),
        }
    }

    /// Switches every version of the key on or off: the URL without a version would mean the newest alone.
    pub(crate) fn enable_versions(&self, enabled: bool) -> String {
        format!(
            "for version in $(az keyvault key list-versions {} --name {} --query '[].kid' --output tsv); do\n  \
             az keyvault key set-attributes --id \"$version\" --enabled {enabled}\ndone",
            self.store_option(),
            self.plan.key.name()
        )
    }

    pub(crate) fn create_key(&self) -> String {
        let kind = match self.plan.store {
            Store::Vault => "RSA",
            Store::ManagedHsm => "RSA-HSM",
        };
        format!(
            "az keyvault key create {} --name {} --kty {kind} --size 3072 --ops wrapKey unwrapKey",
            self.store_option(),
            self.plan.key.name()
        )
    }

    /// How `az keyvault` is told which vault.
    pub(crate) fn store_option(&self) -> String {
        let option = match self.plan.store {
            Store::Vault => "--vault-name",
            Store::ManagedHsm => "--hsm-name",
        };
        format!("{option} {}", self.plan.key.vault())
    }
}

/// Tags the newest version of the key. It replaces all tags, so whoever has others repeats them.
pub(crate) fn tag(key: &KeyUrl, challenge: &str) -> String {
    format!("az keyvault key set-attributes --id {key} --tags {CHALLENGE_TAG}={challenge}")
}
