//! Azure's separate clouds, and which host belongs to which service in each.

use azure_core::cloud::CloudConfiguration;

use crate::ids::KeyUrl;

/// One of Azure's clouds. Nothing crosses between them: a deployment serves one.
/// <https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#dns-suffixes-for-object-identifiers>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cloud {
    /// Azure as most know it.
    #[default]
    Public,
    /// Azure Government.
    UsGovernment,
    /// Azure operated by 21Vianet.
    China,
}

/// What holds a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// A vault of Azure Key Vault.
    Vault,
    /// A pool of Azure Managed HSM, which has its own roles and its own tokens.
    ManagedHsm,
}

impl Store {
    /// Microsoft's application that tokens for it are for, the same in every directory.
    /// <https://learn.microsoft.com/troubleshoot/entra/entra-id/governance/verify-first-party-apps-sign-in>
    pub(crate) fn application(self) -> &'static str {
        match self {
            Self::Vault => "cfa8b339-82a2-471a-a3c9-0fc0be7a4093",
            Self::ManagedHsm => "589d5083-6f11-4d30-a62a-a4b316a14abf",
        }
    }
}

impl Cloud {
    /// The host that gives out tokens.
    #[must_use]
    pub fn authority(self) -> &'static str {
        match self {
            Self::Public => "login.microsoftonline.com",
            Self::UsGovernment => "login.microsoftonline.us",
            Self::China => "login.chinacloudapi.cn",
        }
    }

    /// What the host of every vault ends in, after a dot.
    #[must_use]
    pub fn vault_suffix(self) -> &'static str {
        match self {
            Self::Public => "vault.azure.net",
            Self::UsGovernment => "vault.usgovcloudapi.net",
            Self::China => "vault.azure.cn",
        }
    }

    /// What the host of every Managed HSM ends in, after a dot.
    #[must_use]
    pub fn hsm_suffix(self) -> &'static str {
        match self {
            Self::Public => "managedhsm.azure.net",
            Self::UsGovernment => "managedhsm.usgovcloudapi.net",
            Self::China => "managedhsm.azure.cn",
        }
    }

    /// What holds the key with this URL; `None` if this cloud has no such host.
    pub(crate) fn store(self, key: &KeyUrl) -> Option<Store> {
        match key.suffix() {
            suffix if suffix == self.vault_suffix() => Some(Store::Vault),
            suffix if suffix == self.hsm_suffix() => Some(Store::ManagedHsm),
            _ => None,
        }
    }

    /// The resource that a token for this kind of store is for.
    pub(crate) fn resource(self, store: Store) -> String {
        match store {
            Store::Vault => format!("https://{}", self.vault_suffix()),
            Store::ManagedHsm => format!("https://{}", self.hsm_suffix()),
        }
    }

    /// The scope of a request for such a token.
    pub(crate) fn scope(self, store: Store) -> String {
        format!("{}/.default", self.resource(store))
    }

    /// The audience of a managed identity's token that is exchanged for one of our application.
    /// <https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity>
    pub(crate) fn exchange_audience(self) -> &'static str {
        match self {
            Self::Public => "api://AzureADTokenExchange",
            Self::UsGovernment => "api://AzureADTokenExchangeUSGov",
            Self::China => "api://AzureADTokenExchangeChina",
        }
    }

    /// What `az cloud set --name` calls it.
    pub(crate) fn cli_name(self) -> &'static str {
        match self {
            Self::Public => "AzureCloud",
            Self::UsGovernment => "AzureUSGovernment",
            Self::China => "AzureChinaCloud",
        }
    }

    pub(crate) fn configuration(self) -> CloudConfiguration {
        match self {
            Self::Public => CloudConfiguration::AzurePublic,
            Self::UsGovernment => CloudConfiguration::AzureGovernment,
            Self::China => CloudConfiguration::AzureChina,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cloud_knows_its_own_hosts_only() {
        for (cloud, url, store) in [
            (Cloud::Public, "https://v.vault.azure.net/keys/k", Some(Store::Vault)),
            (Cloud::Public, "https://v.managedhsm.azure.net/keys/k", Some(Store::ManagedHsm)),
            (Cloud::Public, "https://v.vault.azure.cn/keys/k", None),
            (Cloud::Public, "https://v.privatelink.vaultcore.azure.net/keys/k", None),
            (Cloud::Public, "https://v.evil.vault.azure.net/keys/k", None),
            (Cloud::Public, "https://v.vault.azure.net.evil.example/keys/k", None),
            (Cloud::UsGovernment, "https://v.vault.usgovcloudapi.net/keys/k", Some(Store::Vault)),
            (Cloud::UsGovernment, "https://v.vault.azure.net/keys/k", None),
            (Cloud::China, "https://v.managedhsm.azure.cn/keys/k", Some(Store::ManagedHsm)),
        ] {
            assert_eq!(cloud.store(&url.parse().unwrap()), store, "{url} in {cloud:?}");
        }
    }

    #[test]
    fn a_token_is_for_the_service_that_holds_the_key() {
        assert_eq!(Cloud::Public.scope(Store::Vault), "https://vault.azure.net/.default");
        assert_eq!(Cloud::Public.scope(Store::ManagedHsm), "https://managedhsm.azure.net/.default");
        assert_eq!(Cloud::China.scope(Store::Vault), "https://vault.azure.cn/.default");
    }
}
