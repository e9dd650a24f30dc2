//! Azure's clouds: the public one and the sovereign ones, which differ in their host names.

use serde::{Deserialize, Serialize};

/// A cloud. Directories, vaults and tokens of one are unknown in the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cloud {
    /// `login.microsoftonline.com`, `vault.azure.net`.
    #[default]
    Public,
    /// US government: `login.microsoftonline.us`, `vault.usgovcloudapi.net`.
    UsGovernment,
    /// China, operated by 21Vianet: `login.partner.microsoftonline.cn`, `vault.azure.cn`.
    China,
}

const ALL: [Cloud; 3] = [Cloud::Public, Cloud::UsGovernment, Cloud::China];

impl Cloud {
    /// The domain of managed HSMs, which here are vaults of the public cloud.
    pub(crate) const MANAGED_HSM: &str = "managedhsm.azure.net";

    /// The names of Entra ID; the first is what it calls itself.
    pub(crate) fn login_hosts(self) -> &'static [&'static str] {
        match self {
            Self::Public => &["login.microsoftonline.com", "login.windows.net", "login.microsoft.com"],
            Self::UsGovernment => &["login.microsoftonline.us"],
            Self::China => &["login.partner.microsoftonline.cn", "login.chinacloudapi.cn"],
        }
    }

    /// What Entra ID calls itself.
    pub(crate) fn login_host(self) -> &'static str {
        self.login_hosts()[0]
    }

    /// The domain that vaults are under, which is also the resource that their tokens are for.
    pub(crate) fn vault_domain(self) -> &'static str {
        match self {
            Self::Public => "vault.azure.net",
            Self::UsGovernment => "vault.usgovcloudapi.net",
            Self::China => "vault.azure.cn",
        }
    }

    /// The start of the issuer of version 1 tokens, which resources such as Key Vault get.
    pub(crate) fn sts(self) -> &'static str {
        match self {
            Self::Public | Self::UsGovernment => "https://sts.windows.net",
            Self::China => "https://sts.chinacloudapi.cn",
        }
    }

    /// The audience that client assertions of federated credentials are for.
    pub(crate) fn token_exchange(self) -> &'static str {
        match self {
            Self::Public => "api://AzureADTokenExchange",
            Self::UsGovernment => "api://AzureADTokenExchangeUSGov",
            Self::China => "api://AzureADTokenExchangeChina",
        }
    }

    /// The resources that every directory of this cloud knows.
    pub(crate) fn resources(self) -> [String; 4] {
        let (management, graph) = match self {
            Self::Public => ("https://management.azure.com", "https://graph.microsoft.com"),
            Self::UsGovernment => ("https://management.usgovcloudapi.net", "https://graph.microsoft.us"),
            Self::China => ("https://management.chinacloudapi.cn", "https://microsoftgraph.chinacloudapi.cn"),
        };
        let hsm = if self == Self::Public { Self::MANAGED_HSM } else { self.vault_domain() };
        [
            format!("https://{}", self.vault_domain()),
            format!("https://{hsm}"),
            management.to_owned(),
            graph.to_owned(),
        ]
    }

    /// The cloud whose Entra ID has this name.
    pub(crate) fn of_login_host(host: &str) -> Option<Self> {
        ALL.into_iter().find(|cloud| cloud.login_hosts().iter().any(|known| known.eq_ignore_ascii_case(host)))
    }

    /// The cloud and the name of the vault that has this host name.
    pub(crate) fn of_vault_host(host: &str) -> Option<(Self, String)> {
        let host = host.to_ascii_lowercase();
        let (vault, domain) = host.split_once('.')?;
        let cloud = if domain == Self::MANAGED_HSM {
            Self::Public
        } else {
            ALL.into_iter().find(|cloud| cloud.vault_domain() == domain)?
        };
        Some((cloud, vault.to_owned()))
    }

    /// The names that the simulator's certificate is for.
    pub(crate) fn host_patterns() -> Vec<String> {
        let mut names =
            vec!["localhost".to_owned(), "127.0.0.1".to_owned(), format!("*.{}", Self::MANAGED_HSM)];
        for cloud in ALL {
            names.extend(cloud.login_hosts().iter().map(|host| (*host).to_owned()));
            names.push(format!("*.{}", cloud.vault_domain()));
        }
        names
    }
}
