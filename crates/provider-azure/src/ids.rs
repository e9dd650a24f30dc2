//! Azure's names, parsed: directories, applications and keys.

use std::fmt;
use std::str::FromStr;

/// A name that is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Not a GUID.
    #[error("not a GUID, such as 00000000-1111-2222-3333-444444444444")]
    Guid,
    /// Not the URL of a key.
    #[error("not the URL of a key: https://, the vault's host in lower case, /keys/ and the key's name")]
    KeyUrl,
    /// The URL of one version of a key.
    #[error(
        "the URL names one version: leave the last part out, because versions are chosen anew when the key rotates"
    )]
    Versioned,
}

macro_rules! guid {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// The GUID in lower case.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                guid(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.into_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

guid!(
    /// An Entra ID directory, also called a tenant: its GUID. A domain name would do for Entra, but may come to mean another
    /// directory.
    DirectoryId
);
guid!(
    /// An application: its client id, the same GUID in every directory.
    ClientId
);

fn guid(text: &str) -> Result<Box<str>, IdError> {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths = groups.iter().map(|group| group.len());
    if !lengths.eq([8, 4, 4, 4, 12]) || !text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()) {
        return Err(IdError::Guid);
    }
    Ok(text.to_ascii_lowercase().into())
}

/// A key in Key Vault or Managed HSM: `https://{vault}.{suffix}/keys/{name}`, without a version.
/// <https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#object-identifiers>
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyUrl {
    text: Box<str>,
    /// Where the host ends in `text`.
    host_end: usize,
}

const SCHEME: &str = "https://";
const COLLECTION: &str = "/keys/";
/// Longest name of a vault, and of a key.
const MAX_VAULT: usize = 24;
const MAX_NAME: usize = 127;

impl KeyUrl {
    /// The whole URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The vault's URL, without a slash at its end.
    #[must_use]
    pub fn vault_url(&self) -> &str {
        &self.text[..self.host_end]
    }

    /// The vault's host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.text[SCHEME.len()..self.host_end]
    }

    /// The vault's name: the first label of its host.
    #[must_use]
    pub fn vault(&self) -> &str {
        self.host().split_once('.').map_or(self.host(), |(vault, _)| vault)
    }

    /// What comes after the vault's name and a dot.
    #[must_use]
    pub fn suffix(&self) -> &str {
        self.host().split_once('.').map_or("", |(_, suffix)| suffix)
    }

    /// The key's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[self.host_end + COLLECTION.len()..]
    }
}

impl FromStr for KeyUrl {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let rest = text.strip_prefix(SCHEME).ok_or(IdError::KeyUrl)?;
        let (host, name) = rest.split_once(COLLECTION).ok_or(IdError::KeyUrl)?;
        let (vault, suffix) = host.split_once('.').ok_or(IdError::KeyUrl)?;
        let is_vault = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let valid_host = (1..=MAX_VAULT).contains(&vault.len())
            && vault.bytes().all(is_vault)
            && !suffix.is_empty()
            && suffix.bytes().all(|b| is_vault(b) || b == b'.');
        if !valid_host {
            return Err(IdError::KeyUrl);
        }
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if let Some((name, version)) = name.split_once('/') {
            let versioned = !name.is_empty() && is_version(&version.to_ascii_lowercase());
            return Err(if versioned { IdError::Versioned } else { IdError::KeyUrl });
        }
        if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(is_name) {
            return Err(IdError::KeyUrl);
        }
        Ok(Self { text: text.into(), host_end: SCHEME.len() + host.len() })
    }
}

impl fmt::Display for KeyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether `text` could be a version of a key: 32 hexadecimal digits in lower case, as both services write them. They take
/// them in upper case too, but here a version has one name, because leases go by it.
pub(crate) fn is_version(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_url_has_a_vault_and_a_name() {
        let key: KeyUrl = "https://contoso-1.vault.azure.net/keys/Main-Key".parse().unwrap();
        assert_eq!((key.vault(), key.name()), ("contoso-1", "Main-Key"));
        assert_eq!((key.host(), key.suffix()), ("contoso-1.vault.azure.net", "vault.azure.net"));
        assert_eq!(key.vault_url(), "https://contoso-1.vault.azure.net");
        assert_eq!(key.to_string(), "https://contoso-1.vault.azure.net/keys/Main-Key");
    }

    #[test]
    fn what_is_no_key_url_is_refused() {
        for bad in [
            "",
            "https://",
            "http://v.vault.azure.net/keys/k",
            "https://V.vault.azure.net/keys/k",
            "https://v.vault.azure.net:8443/keys/k",
            "https://u@v.vault.azure.net/keys/k",
            "https://v.vault.azure.net/keys/",
            "https://v.vault.azure.net/keys/k/",
            "https://v.vault.azure.net/keys/k?x",
            "https://v.vault.azure.net/keys/k_k",
            "https://v.vault.azure.net/secrets/k",
            "https://v.vault.azure.net/keys/k/unwrapkey",
            "https://v/keys/k",
            "https://vault-with-a-name-too-long.vault.azure.net/keys/k",
        ] {
            assert_eq!(bad.parse::<KeyUrl>(), Err(IdError::KeyUrl), "{bad}");
        }
        let versioned = "https://v.vault.azure.net/keys/k/0123456789abcdef0123456789ABCDEF";
        assert_eq!(versioned.parse::<KeyUrl>(), Err(IdError::Versioned));
    }

    #[test]
    fn guids_are_kept_in_lower_case() {
        let id: DirectoryId = "AAAABBBB-1111-2222-3333-444444444444".parse().unwrap();
        assert_eq!(id.as_str(), "aaaabbbb-1111-2222-3333-444444444444");
        for bad in [
            "",
            "common",
            "contoso.com",
            "aaaabbbb11112222333344444444444",
            "gaaabbbb-1111-2222-3333-444444444444",
        ] {
            assert_eq!(bad.parse::<ClientId>(), Err(IdError::Guid), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_a_parser(text in any::<String>()) {
            let _ = text.parse::<KeyUrl>();
            let _ = text.parse::<DirectoryId>();
        }

        #[test]
        fn what_is_parsed_is_what_was_given(text in "https://[a-z.-]{0,30}(/keys/)?[A-Za-z0-9/'\" $-]{0,40}") {
            if let Ok(key) = text.parse::<KeyUrl>() {
                prop_assert_eq!(format!("{}/keys/{}", key.vault_url(), key.name()), text.clone());
                prop_assert!(!text.contains(['*', '$', '\'', '"', ' ', '\n', '?', '#', '@']));
            }
        }
    }
}
