//! The names of Google Cloud: projects, service accounts, keys and workload identity providers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::SimError;

const EMAIL_DOMAIN: &str = ".iam.gserviceaccount.com";

/// A project id such as `acme-keys`: 6 to 30 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectId(String);

/// The email of a service account, `{name}@{project}.iam.gserviceaccount.com`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceAccountEmail {
    /// What is before the at sign: 6 to 30 characters.
    pub name: String,
    /// The project that owns it.
    pub project: ProjectId,
}

/// The name of a key ring, `projects/{p}/locations/{l}/keyRings/{r}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyRingName {
    /// The project that owns it.
    pub project: ProjectId,
    /// Where it is: `europe-west3`, `eur4`, `global`, …
    pub location: String,
    /// Its id, 1 to 63 characters.
    pub id: String,
}

/// The name of a key, `{key ring}/cryptoKeys/{k}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyName {
    /// Its key ring.
    pub ring: KeyRingName,
    /// Its id, 1 to 63 characters.
    pub id: String,
}

/// The name of a custom role, `projects/{p}/roles/{r}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleName {
    /// The project that owns it.
    pub project: ProjectId,
    /// Its id, 3 to 64 characters.
    pub id: String,
}

/// A workload identity pool by its project's number, `projects/{n}/locations/global/workloadIdentityPools/{p}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PoolName {
    /// The number of the project that owns it.
    pub project_number: u64,
    /// Its id, 4 to 32 characters.
    pub id: String,
}

/// A provider of a workload identity pool, `{pool}/providers/{p}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProviderName {
    /// Its pool.
    pub pool: PoolName,
    /// Its id, 4 to 32 characters.
    pub id: String,
}

macro_rules! string_like {
    ($($type:ty),*) => {$(
        impl TryFrom<String> for $type {
            type Error = SimError;
            fn try_from(text: String) -> Result<Self, SimError> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.to_string()
            }
        }
    )*};
}
string_like!(ProjectId, ServiceAccountEmail, KeyRingName, KeyName, RoleName, PoolName, ProviderName);

impl ProjectId {
    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProjectId {
    type Err = SimError;

    fn from_str(text: &str) -> Result<Self, SimError> {
        let well_formed = is_id(text, 6..=30, "-")
            && text.bytes().all(|byte| !byte.is_ascii_uppercase())
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && !text.ends_with('-');
        if well_formed { Ok(Self(text.to_owned())) } else { Err(malformed("project id", text)) }
    }
}

impl fmt::Display for ProjectId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for ServiceAccountEmail {
    type Err = SimError;

    fn from_str(text: &str) -> Result<Self, SimError> {
        let error = || malformed("service account email", text);
        let (name, domain) = text.split_once('@').ok_or_else(error)?;
        let project = domain.strip_suffix(EMAIL_DOMAIN).ok_or_else(error)?;
        if !is_id(name, 6..=30, "-") {
            return Err(error());
        }
        Ok(Self { name: name.to_owned(), project: project.parse().map_err(|_| error())? })
    }
}

impl fmt::Display for ServiceAccountEmail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}{EMAIL_DOMAIN}", self.name, self.project)
    }
}

impl FromStr for KeyRingName {
    type Err = SimError;

    fn from_str(text: &str) -> Result<Self, SimError> {
        let parts: Vec<_> = text.split('/').collect();
        match parts[..] {
            ["projects", project, "locations", location, "keyRings", id]
                if is_id(id, 1..=63, "-_") && is_id(location, 1..=63, "-") =>
            {
                Ok(Self { project: project.parse()?, location: location.to_owned(), id: id.to_owned() })
            }
            _ => Err(malformed("key ring name", text)),
        }
    }
}

impl fmt::Display for KeyRingName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "projects/{}/locations/{}/keyRings/{}", self.project, self.location, self.id)
    }
}

impl FromStr for KeyName {
    type Err = SimError;

    fn from_str(text: &str) -> Result<Self, SimError> {
        match text.split_once("/cryptoKeys/") {
            Some((ring, id)) if is_id(id, 1..=63, "-_") => {
                Ok(Self { ring: ring.parse()?, id: id.to_owned() })
            }
            _ => Err(malformed("key name", text)),
        }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/cryptoKeys/{}", self.ring, self.id)
    }
}

impl FromStr for RoleName {
    type Err = SimError;

    fn from_str(text: &str) -> Result<Self, SimError> {
        let parts: Vec<_> = text.split('/').collect();
        match parts[..] {
            ["projects", project, "roles", id] if is_id(id, 3..=64, "_.") => {
                Ok(Self { project: project.parse()?, id: id.to_owned() })
            }
            _ => Err(malformed("role name", text)),
        }
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "projects/{}/roles/{}", self.project, self.id)
    }
}

impl FromStr for PoolName {
    type Err = SimError;

    fn from_str(text: &str) -> Result<Self, SimError> {
        let parts: Vec<_> = text.split('/').collect();
        match parts[..] {
            ["projects", number, "locations", "global", "workloadIdentityPools", id]
                if is_id(id, 4..=32, "-") =>
            {
                let project_number = number.parse().map_err(|_| malformed("project number", number))?;
                Ok(Self { project_number, id: id.to_owned() })
            }
            _ => Err(malformed("workload identity pool", text)),
        }
    }
}

impl fmt::Display for PoolName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, id) = (self.project_number, &self.id);
        write!(formatter, "projects/{number}/locations/global/workloadIdentityPools/{id}")
    }
}

impl FromStr for ProviderName {
    type Err = SimError;

    fn from_str(text: &str) -> Result<Self, SimError> {
        match text.split_once("/providers/") {
            Some((pool, id)) if is_id(id, 4..=32, "-") => Ok(Self { pool: pool.parse()?, id: id.to_owned() }),
            _ => Err(malformed("workload identity provider", text)),
        }
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/providers/{}", self.pool, self.id)
    }
}

fn is_id(text: &str, length: std::ops::RangeInclusive<usize>, also: &str) -> bool {
    length.contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
}

fn malformed(what: &'static str, text: &str) -> SimError {
    SimError::invalid(what, format!("{text:?} is not of the form that it takes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_print_as_they_were_read() {
        fn same<T: FromStr<Err = SimError> + fmt::Display>(text: &str) {
            assert_eq!(text.parse::<T>().map(|name| name.to_string()).unwrap(), text);
        }
        same::<ProjectId>("acme-keys");
        same::<ServiceAccountEmail>("leasehold@acme-keys.iam.gserviceaccount.com");
        same::<KeyName>("projects/acme-keys/locations/europe-west3/keyRings/r/cryptoKeys/k_1");
        same::<RoleName>("projects/acme-keys/roles/leaseholdKeyUser");
        let provider = "projects/12/locations/global/workloadIdentityPools/pool/providers/cluster";
        same::<ProviderName>(provider);
    }

    #[test]
    fn what_google_would_not_take_for_a_name_is_refused() {
        for text in ["acme", "Acme-keys", "1acme-keys", "acme-keys-", "acme_keys"] {
            assert!(text.parse::<ProjectId>().is_err(), "{text}");
        }
        for text in [
            "projects/acme-keys/locations/x/keyRings/r",
            "k",
            "projects//locations/x/keyRings/r/cryptoKeys/k",
        ] {
            assert!(text.parse::<KeyName>().is_err(), "{text}");
        }
        assert!("someone@gmail.com".parse::<ServiceAccountEmail>().is_err());
        let version = "projects/acme-keys/locations/x/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1";
        assert!(version.parse::<KeyName>().is_err());
    }
}
