//! The names of things in Azure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::clouds::Cloud;
use crate::error::SimError;

/// Serialises and deserialises a name as its text.
macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// A name that is a GUID, in lower case.
macro_rules! guid {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Its text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = SimError;

            fn from_str(text: &str) -> Result<Self, SimError> {
                let parsed = uuid::Uuid::try_parse(text).ok().filter(|_| text.len() == 36);
                parsed
                    .map(|guid| Self(guid.to_string()))
                    .ok_or_else(|| SimError::invalid($what, format!("{text:?} is no GUID")))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        as_text!($name);
    };
}

guid!(
    /// A directory of Entra ID, also called a tenant.
    DirectoryId,
    "directory id"
);
guid!(
    /// An application, by its client id. It is the same in every directory that lets the application in.
    AppId,
    "application id"
);
guid!(
    /// An object of one directory: here always a service principal, which is what roles are assigned to.
    ObjectId,
    "object id"
);
guid!(
    /// A subscription: what vaults are paid from, and the root of their resource ids.
    SubscriptionId,
    "subscription id"
);

impl ObjectId {
    /// A new random one.
    pub(crate) fn generate() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }
}

impl SubscriptionId {
    /// A new random one.
    pub(crate) fn generate() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }
}

/// The name of a vault: 3 to 24 letters, digits and hyphens, unique in all of Azure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VaultName(String);

impl VaultName {
    /// Its text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VaultName {
    type Err = SimError;

    fn from_str(text: &str) -> Result<Self, SimError> {
        let fits = (3..=24).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && text.starts_with(|first: char| first.is_ascii_alphabetic());
        let invalid = || SimError::invalid("vault name", format!("{text:?}"));
        fits.then(|| Self(text.to_ascii_lowercase())).ok_or_else(invalid)
    }
}

impl fmt::Display for VaultName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

as_text!(VaultName);

/// A key without its version: `https://acme-vault.vault.azure.net/keys/main`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyUrl {
    pub(crate) host: String,
    pub(crate) vault: VaultName,
    pub(crate) name: String,
}

impl KeyUrl {
    /// The vault that holds it.
    pub fn vault(&self) -> &VaultName {
        &self.vault
    }

    /// The key's name in its vault.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for KeyUrl {
    type Err = SimError;

    fn from_str(text: &str) -> Result<Self, SimError> {
        let invalid = || SimError::invalid("key URL", format!("{text:?}"));
        let (host, path) =
            text.strip_prefix("https://").and_then(|rest| rest.split_once('/')).ok_or_else(invalid)?;
        let name = path.strip_prefix("keys/").ok_or_else(invalid)?;
        let (_, vault) = Cloud::of_vault_host(host).ok_or_else(invalid)?;
        if !is_key_name(name) {
            return Err(invalid());
        }
        Ok(Self { host: host.to_ascii_lowercase(), vault: vault.parse()?, name: name.to_owned() })
    }
}

impl fmt::Display for KeyUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "https://{}/keys/{}", self.host, self.name)
    }
}

as_text!(KeyUrl);

/// 1 to 127 letters, digits and hyphens.
pub(crate) fn is_key_name(text: &str) -> bool {
    (1..=127).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_azure_writes_them_and_nothing_else_is() {
        let key: KeyUrl = "https://Acme-Vault.vault.azure.net/keys/main".parse().unwrap();
        assert_eq!(key.to_string(), "https://acme-vault.vault.azure.net/keys/main");
        for malformed in [
            "http://acme.vault.azure.net/keys/main",
            "https://acme.vault.azure.net/keys/",
            "https://acme.vault.azure.net/keys/main/1",
            "https://acme.example.net/keys/main",
            "https://a.b.vault.azure.net/keys/main",
            "https://acme.vault.azure.net/secrets/main",
        ] {
            assert!(malformed.parse::<KeyUrl>().is_err(), "{malformed}");
        }
        let guid = "72F988BF-86F1-41AF-91AB-2D7CD011DB47";
        assert_eq!(guid.parse::<DirectoryId>().unwrap().as_str(), guid.to_ascii_lowercase());
        assert!("72f988bf86f141af91ab2d7cd011db47".parse::<AppId>().is_err());
        assert!("1vault".parse::<VaultName>().is_err());
    }
}
