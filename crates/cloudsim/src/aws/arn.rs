//! The names of AWS: accounts, regions and the few kinds of ARN that the simulator deals in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::SimError;

/// An AWS account id: twelve decimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(String);

/// An AWS region such as `eu-central-1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Region(String);

/// The ARN of a role, `arn:aws:iam::{account}:role/{name}`; role paths are not simulated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleArn {
    /// The account that owns the role.
    pub account: AccountId,
    /// The role's name, 1 to 64 characters.
    pub name: String,
}

/// The ARN of a KMS key, `arn:aws:kms:{region}:{account}:key/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyArn {
    /// The region it lives in.
    pub region: Region,
    /// The account that owns the key.
    pub account: AccountId,
    /// The key id, usually a UUID.
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
string_like!(AccountId, Region, RoleArn, KeyArn);

impl AccountId {
    /// The twelve digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `arn:aws:iam::{account}:root`, which stands for the whole account.
    pub fn root_arn(&self) -> String {
        format!("arn:aws:iam::{self}:root")
    }
}

impl FromStr for AccountId {
    type Err = SimError;

    fn from_str(text: &str) -> Result<Self, SimError> {
        if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(SimError::invalid("account id", format!("{text:?} is not twelve digits")))
        }
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Region {
    /// The region's code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Region {
    type Err = SimError;

    fn from_str(text: &str) -> Result<Self, SimError> {
        let parts: Vec<_> = text.split('-').collect();
        let well_formed = parts.len() >= 3
            && parts.iter().all(|part| {
                !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            })
            && parts.last().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(SimError::invalid("region", format!("{text:?} is not a region code")))
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for RoleArn {
    type Err = SimError;

    fn from_str(text: &str) -> Result<Self, SimError> {
        let invalid = || SimError::invalid("role arn", format!("{text:?}"));
        let rest = text.strip_prefix("arn:aws:iam::").ok_or_else(invalid)?;
        let (account, name) = rest.split_once(":role/").ok_or_else(invalid)?;
        if !is_iam_name(name) {
            return Err(invalid());
        }
        Ok(Self { account: account.parse()?, name: name.to_owned() })
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "arn:aws:iam::{}:role/{}", self.account, self.name)
    }
}

impl FromStr for KeyArn {
    type Err = SimError;

    fn from_str(text: &str) -> Result<Self, SimError> {
        let invalid = || SimError::invalid("key arn", format!("{text:?}"));
        let mut parts = text.strip_prefix("arn:aws:kms:").ok_or_else(invalid)?.splitn(3, ':');
        let (Some(region), Some(account), Some(resource)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(invalid());
        };
        let id = resource.strip_prefix("key/").filter(|id| !id.is_empty()).ok_or_else(invalid)?;
        Ok(Self { region: region.parse()?, account: account.parse()?, id: id.to_owned() })
    }
}

impl fmt::Display for KeyArn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "arn:aws:kms:{}:{}:key/{}", self.region, self.account, self.id)
    }
}

/// Whether IAM would take this as the name of a role or user: 1 to 64 of `[A-Za-z0-9_+=,.@-]`.
pub(crate) fn is_iam_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(is_iam_name_byte)
}

/// The alphabet of IAM names, which role session names and source identities share.
pub(crate) fn is_iam_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_survive_a_round_trip_and_malformed_ones_are_refused() {
        for text in
            ["arn:aws:iam::111122223333:role/leasehold", "arn:aws:iam::000000000000:role/a_b+c=d,e.f@g-h"]
        {
            assert_eq!(text.parse::<RoleArn>().unwrap().to_string(), text);
        }
        let key = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
        assert_eq!(key.parse::<KeyArn>().unwrap().to_string(), key);
        for text in [
            "",
            "arn:aws:iam::1:role/x",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:iam::111122223333:user/x",
        ] {
            assert!(text.parse::<RoleArn>().is_err(), "{text}");
        }
        for text in
            ["arn:aws:kms:eu-central-1:111122223333:alias/x", "arn:aws:kms::111122223333:key/x", "key"]
        {
            assert!(text.parse::<KeyArn>().is_err(), "{text}");
        }
    }
}
