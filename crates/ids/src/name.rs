//! Ids that people choose and read.

use std::fmt;
use std::str::FromStr;

use crate::IdError;

/// Longest label, in bytes; that of a DNS label (RFC 1035 section 2.3.4), so that ids fit in host names and SPIFFE paths.
const MAX_LABEL: usize = 63;

/// `[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?`
fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    bytes.len() <= MAX_LABEL
        && bytes.first().is_some_and(plain)
        && bytes.last().is_some_and(plain)
        && bytes.iter().all(|b| plain(b) || *b == b'-')
}

macro_rules! label_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                if is_label(text) { Ok(Self(text.into())) } else { Err(IdError::NotALabel { what: $what }) }
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

label_id!(
    /// A tenant: the account that owns a key. Never reused, even after deletion. 1 to 63 bytes, a DNS label.
    TenantId,
    "tenant id"
);
label_id!(
    /// A binding within one tenant. 1 to 63 bytes, a DNS label.
    BindingId,
    "binding id"
);
label_id!(
    /// One deployment of Leasehold; part of what external ids are derived from, so that two deployments never issue the
    /// same one. 1 to 63 bytes, a DNS label.
    DeploymentId,
    "deployment id"
);

/// The full name of a binding: `tenants/{tenant}/bindings/{binding}` (<https://google.aip.dev/122>).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BindingName {
    tenant: TenantId,
    binding: BindingId,
}

impl BindingName {
    /// Names `binding` of `tenant`.
    #[must_use]
    pub fn new(tenant: TenantId, binding: BindingId) -> Self {
        Self { tenant, binding }
    }

    /// The tenant that the binding belongs to.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The binding's id within its tenant.
    #[must_use]
    pub fn binding(&self) -> &BindingId {
        &self.binding
    }
}

impl FromStr for BindingName {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let rest = text.strip_prefix("tenants/").ok_or(IdError::NotABindingName)?;
        let (tenant, binding) = rest.split_once("/bindings/").ok_or(IdError::NotABindingName)?;
        Ok(Self { tenant: tenant.parse()?, binding: binding.parse()? })
    }
}

impl TryFrom<String> for BindingName {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<BindingName> for String {
    fn from(name: BindingName) -> String {
        name.to_string()
    }
}

impl fmt::Display for BindingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tenants/{}/bindings/{}", self.tenant, self.binding)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn labels_follow_the_documented_pattern() {
        for good in ["a", "0", "acme", "a-b", "a--b", &"x".repeat(63)] {
            assert!(good.parse::<TenantId>().is_ok(), "{good}");
        }
        for bad in ["", "-", "-a", "a-", "A", "a_b", "a/b", "a.b", "ä", " a", &"x".repeat(64)] {
            assert_eq!(bad.parse::<TenantId>(), Err(IdError::NotALabel { what: "tenant id" }), "{bad}");
        }
    }

    #[test]
    fn binding_names_parse_only_in_full() {
        for bad in [
            "",
            "acme/b1",
            "tenants/acme",
            "tenants//bindings/b",
            "tenants/a/bindings/b/c",
            "tenants/a/bindings/",
        ] {
            assert!(bad.parse::<BindingName>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_binding_name_survives_its_own_display(t in "[a-z0-9]{1,20}", b in "[a-z0-9]{1,20}") {
            let name = BindingName::new(t.parse().unwrap(), b.parse().unwrap());
            prop_assert_eq!(name.to_string().parse::<BindingName>().unwrap(), name);
        }

        #[test]
        fn no_string_panics_the_parsers(text in any::<String>()) {
            let _ = text.parse::<TenantId>();
            let _ = text.parse::<BindingName>();
        }
    }
}
