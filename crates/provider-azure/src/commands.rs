//! Commands of Azure's own command line, with a binding's ids filled in.
//!
//! Everything written into one is a GUID, the URL of a key or what we issued; their parsers admit no character that means
//! anything to a shell.

use url::Url;

use crate::cloud::{Cloud, Store};
use crate::ids::{ClientId, KeyUrl};
use crate::settings::Plan;

/// The tag of the key that shows that its owner deals with us, and for which binding.
pub(crate) const CHALLENGE_TAG: &str = "leasehold-challenge";

/// Microsoft's own role for services that wrap and unwrap with a tenant's key: read, wrap and unwrap. It may manage Event Grid
/// subscriptions too; at a key, which publishes no events, that comes to nothing.
/// <https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/security#key-vault-crypto-service-encryption-user>
pub(crate) const VAULT_ROLE: &str = "e147488a-f6f5-4113-8e2d-b22465e65bf6";
/// What [`VAULT_ROLE`] is called, in every cloud.
pub(crate) const VAULT_ROLE_NAME: &str = "Key Vault Crypto Service Encryption User";
/// All that we use of that role.
pub(crate) const DATA_ACTIONS: [&str; 3] = [
    "Microsoft.KeyVault/vaults/keys/read",
    "Microsoft.KeyVault/vaults/keys/wrap/action",
    "Microsoft.KeyVault/vaults/keys/unwrap/action",
];
/// "Managed HSM Crypto Service Encryption User": the same three actions for Managed HSM, which has roles of its own.
/// <https://learn.microsoft.com/azure/key-vault/managed-hsm/built-in-roles>
pub(crate) const HSM_ROLE: &str = "33413926-3206-4cdd-b39a-83574fe37a17";

/// Writes commands about one binding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Commands<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) client: &'a ClientId,
    pub(crate) cloud: Cloud,
    /// An address that is registered with our application for replies.
    pub(crate) reply_url: Option<&'a Url>,
}

impl Commands<'_> {
    /// The principal as we name it to people.
    pub(crate) fn principal(&self) -> String {
        format!("service principal of application {} in directory {}", self.client, self.plan.directory)
    }

    /// Where an administrator of the tenant lets our application in by a click. `None` without a reply address: Entra ID
    /// refuses to ask for consent if it does not know where to go afterwards (AADSTS500113, AADSTS900971).
    /// <https://learn.microsoft.com/entra/identity-platform/v2-admin-consent>
    pub(crate) fn consent_url(&self) -> Option<Url> {
        let mut url =
            Url::parse(&format!("https://{}/{}/adminconsent", self.cloud.authority(), self.plan.directory))
                .ok()?;
        url.query_pairs_mut()
            .append_pair("client_id", self.client.as_str())
            .append_pair("redirect_uri", self.reply_url?.as_str());
        Some(url)
    }

    /// Who runs what changes the directory.
    pub(crate) fn administrator(&self) -> String {
        format!("# For the {}, as an administrator there:", self.principal())
    }

    /// Signs an administrator of the tenant in, and chooses the vault's subscription: `az` looks for vaults in one only.
    pub(crate) fn sign_in(&self) -> String {
        let cloud = match self.cloud {
            Cloud::Public => String::new(),
            cloud => format!("az cloud set --name {}\n", cloud.cli_name()),
        };
        let subscription = match self.plan.store {
            Store::Vault => format!(
                "\naz account set --subscription \"${{SUBSCRIPTION:?set it to the subscription of the vault {}}}\"",
                self.plan.key.vault()
            ),
            Store::ManagedHsm => String::new(),
        };
        format!("{cloud}az login --tenant {}{subscription}", self.plan.directory)
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

    /// Takes the role at the key away again, whichever it is.
    pub(crate) fn remove_role(&self, principal: &str) -> String {
        let (vault, name) = (self.plan.key.vault(), self.plan.key.name());
        match self.plan.store {
            Store::Vault => {
                format!(
                    "az role assignment delete --assignee {principal} --scope {}/keys/{name}",
                    self.vault_id()
                )
            }
            Store::ManagedHsm => format!(
                "az keyvault role assignment delete --hsm-name {vault} --assignee-object-id {principal} --scope /keys/{name}"
            ),
        }
    }

    /// Lists the roles of `principal` that reach the key, those that were given above it included.
    pub(crate) fn list_roles(&self, principal: &str) -> String {
        let (vault, name) = (self.plan.key.vault(), self.plan.key.name());
        match self.plan.store {
            Store::Vault => format!(
                "az role assignment list --assignee {principal} --include-inherited --scope {}/keys/{name}",
                self.vault_id()
            ),
            Store::ManagedHsm => {
                format!(
                    "az keyvault role assignment list --hsm-name {vault} --assignee-object-id {principal}"
                )
            }
        }
    }

    /// Lets `principal` use every key of a vault that has access policies.
    pub(crate) fn set_policy(&self, principal: &str) -> String {
        format!(
            "az keyvault set-policy --name {} --object-id {principal} --key-permissions get wrapKey unwrapKey",
            self.plan.key.vault()
        )
    }

    /// Takes that away again.
    pub(crate) fn delete_policy(&self, principal: &str) -> String {
        format!("az keyvault delete-policy --name {} --object-id {principal}", self.plan.key.vault())
    }

    /// Disables every version of the key that is enabled, and keeps their names in a file: the URL without a version would
    /// mean the newest alone, and a version that was disabled before must stay so.
    pub(crate) fn disable_versions(&self) -> String {
        let file = self.versions_file();
        format!(
            "{} >> {file}\nwhile read -r version; do\n  az keyvault key set-attributes --id \"$version\" --enabled false < \
             /dev/null\ndone < {file}",
            self.list_versions("attributes.enabled")
        )
    }

    /// Enables the versions that [`Self::disable_versions`] disabled.
    pub(crate) fn enable_versions(&self) -> String {
        let file = self.versions_file();
        format!(
            "while read -r version; do\n  az keyvault key set-attributes --id \"$version\" --enabled true < /dev/null\ndone < \
             {file} && rm {file}"
        )
    }

    /// Lists the versions of the key that are disabled.
    pub(crate) fn list_disabled_versions(&self) -> String {
        self.list_versions("attributes.enabled == `false`")
    }

    fn list_versions(&self, condition: &str) -> String {
        format!(
            "az keyvault key list-versions {} --name {} --query '[?{condition}].kid' --output tsv",
            self.store_option(),
            self.plan.key.name()
        )
    }

    fn versions_file(&self) -> String {
        format!("{}-{}.versions", self.plan.key.vault(), self.plan.key.name())
    }

    pub(crate) fn create_key(&self, name: &str) -> String {
        let kind = match self.plan.store {
            Store::Vault => "RSA",
            Store::ManagedHsm => "RSA-HSM",
        };
        format!(
            "az keyvault key create {} --name {name} --kty {kind} --size 3072 --ops wrapKey unwrapKey",
            self.store_option(),
        )
    }

    /// How `az keyvault show` is told which vault.
    pub(crate) fn vault_option(&self) -> String {
        match self.plan.store {
            Store::Vault => format!("--name {}", self.plan.key.vault()),
            Store::ManagedHsm => self.store_option(),
        }
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

/// Shows the tags that the newest version of the key has.
pub(crate) fn show_tags(key: &KeyUrl) -> String {
    format!("az keyvault key show --id {key} --query tags")
}

/// Tags the newest version of the key. It replaces all tags, so whoever has others repeats them.
pub(crate) fn tag(key: &KeyUrl, challenge: &str) -> String {
    format!("az keyvault key set-attributes --id {key} --tags {CHALLENGE_TAG}={challenge}")
}
