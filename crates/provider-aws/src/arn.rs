//! AWS's names, parsed.
//!
//! The SDK checks none of them, and a name that AWS would refuse comes back as an error of the wrong kind: as a denial,
//! or not before the first key is needed. Wildcards and policy variables are refused everywhere, because these names are
//! written into policies. <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>

use std::fmt;
use std::str::FromStr;

/// Why text is not one of AWS's names. Never echoes the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArnError {
    /// Not a region.
    #[error("a region looks like eu-central-1")]
    Region,
    /// Not an account id.
    #[error("an account id has 12 digits")]
    Account,
    /// A partition that we do not know.
    #[error("the partition must be aws, aws-cn or aws-us-gov")]
    Partition,
    /// Region and partition contradict each other.
    #[error("the region does not belong to the partition of the ARN")]
    RegionOutsidePartition,
    /// Not the ARN of a role.
    #[error("a role must be named by its ARN, like arn:aws:iam::111122223333:role/leasehold")]
    Role,
    /// Not the ARN of a key.
    #[error(
        "the key must be named by its key ARN, like arn:aws:kms:eu-central-1:111122223333:key/1234abcd-..."
    )]
    Key,
    /// The ARN of an alias.
    #[error(
        "the key is named by an alias, which can be pointed at another key later: give the key ARN, which `aws kms \
         describe-key --key-id alias/... --query KeyMetadata.Arn` prints"
    )]
    Alias,
    /// A key id without the ARN around it.
    #[error("the key is named by its id alone, which says neither account nor region: give the key ARN")]
    BareKeyId,
}

/// A group of regions with its own identities; nothing crosses from one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Partition {
    /// `aws`
    Standard,
    /// `aws-cn`
    China,
    /// `aws-us-gov`
    UsGov,
}

/// A region, for example `eu-central-1`. At most 32 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Region(Box<str>);

/// An account: 12 digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountId(Box<str>);

/// The ARN of an IAM role, path included. At most 640 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct RoleArn {
    text: Box<str>,
    partition: Partition,
    account: AccountId,
    /// Where the path, with its slashes, begins and the name begins in `text`.
    path_at: usize,
    name_at: usize,
}

/// The ARN of a KMS key; of the key itself, never of an alias. Multi-Region keys are named like any other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyArn {
    text: Box<str>,
    partition: Partition,
    region: Region,
    account: AccountId,
}

/// Longest role name (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>).
const MAX_ROLE_NAME: usize = 64;
/// Longest role path, slashes included; the same page.
const MAX_ROLE_PATH: usize = 512;
/// Longest key id that we take: a UUID has 36 characters, a Multi-Region key's id 36 too; some room for the future.
const MAX_KEY_ID: usize = 64;
/// Longest region that we take; today's longest has 14.
const MAX_REGION: usize = 32;

// === impl Partition ===

impl Partition {
    /// As ARNs spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "aws",
            Self::China => "aws-cn",
            Self::UsGov => "aws-us-gov",
        }
    }
}

impl FromStr for Partition {
    type Err = ArnError;
    fn from_str(text: &str) -> Result<Self, ArnError> {
        [Self::Standard, Self::China, Self::UsGov]
            .into_iter()
            .find(|p| p.as_str() == text)
            .ok_or(ArnError::Partition)
    }
}

// === impl Region ===

impl Region {
    /// The region as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The partition that it belongs to, by its name.
    #[must_use]
    pub fn partition(&self) -> Partition {
        if self.0.starts_with("cn-") {
            Partition::China
        } else if self.0.starts_with("us-gov-") {
            Partition::UsGov
        } else {
            Partition::Standard
        }
    }
}

impl FromStr for Region {
    type Err = ArnError;
    fn from_str(text: &str) -> Result<Self, ArnError> {
        let mut parts = text.split('-');
        let area = parts.next().unwrap_or_default();
        let number = parts.next_back().unwrap_or_default();
        let words: Vec<_> = parts.collect();
        let lower = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
        let valid = text.len() <= MAX_REGION
            && lower(area)
            && !words.is_empty()
            && words.iter().all(|word| lower(word))
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit());
        if valid { Ok(Self(text.into())) } else { Err(ArnError::Region) }
    }
}

impl TryFrom<String> for Region {
    type Error = ArnError;
    fn try_from(text: String) -> Result<Self, ArnError> {
        text.parse()
    }
}

// === impl AccountId ===

impl AccountId {
    /// The account as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountId {
    type Err = ArnError;
    fn from_str(text: &str) -> Result<Self, ArnError> {
        let valid = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
        if valid { Ok(Self(text.into())) } else { Err(ArnError::Account) }
    }
}

// === impl RoleArn ===

impl RoleArn {
    /// The whole ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The partition of the ARN.
    #[must_use]
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// The account that the role lives in.
    #[must_use]
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// The role's path; `/` if it has none.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.text[self.path_at..self.name_at]
    }

    /// The role's name, without its path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[self.name_at..]
    }
}

impl FromStr for RoleArn {
    type Err = ArnError;
    fn from_str(text: &str) -> Result<Self, ArnError> {
        let [partition, region, account, resource] = parts(text, "iam").ok_or(ArnError::Role)?;
        let path_and_name = resource.strip_prefix("role").ok_or(ArnError::Role)?;
        let slash = path_and_name.rfind('/').ok_or(ArnError::Role)?;
        let (path, name) = path_and_name.split_at(slash + 1);
        let valid = region.is_empty()
            && path.starts_with('/')
            && path.len() <= MAX_ROLE_PATH
            && path.bytes().all(|b| b == b'/' || is_name_byte(b))
            && (1..=MAX_ROLE_NAME).contains(&name.len())
            && name.bytes().all(is_name_byte);
        if !valid {
            return Err(ArnError::Role);
        }
        let name_at = text.len() - name.len();
        Ok(Self {
            text: text.into(),
            partition: partition.parse()?,
            account: account.parse()?,
            path_at: name_at - path.len(),
            name_at,
        })
    }
}

impl TryFrom<String> for RoleArn {
    type Error = ArnError;
    fn try_from(text: String) -> Result<Self, ArnError> {
        text.parse()
    }
}

// === impl KeyArn ===

impl KeyArn {
    /// The whole ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The partition of the ARN.
    #[must_use]
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// Where the key lives.
    #[must_use]
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// The account that owns the key.
    #[must_use]
    pub fn account(&self) -> &AccountId {
        &self.account
    }
}

impl FromStr for KeyArn {
    type Err = ArnError;
    fn from_str(text: &str) -> Result<Self, ArnError> {
        if !text.starts_with("arn:") {
            return Err(if text.starts_with("alias/") { ArnError::Alias } else { ArnError::BareKeyId });
        }
        let [partition, region, account, resource] = parts(text, "kms").ok_or(ArnError::Key)?;
        if resource.starts_with("alias/") {
            return Err(ArnError::Alias);
        }
        let id = resource.strip_prefix("key/").ok_or(ArnError::Key)?;
        let valid = (1..=MAX_KEY_ID).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !valid {
            return Err(ArnError::Key);
        }
        let (partition, region): (Partition, Region) = (partition.parse()?, region.parse()?);
        if region.partition() != partition {
            return Err(ArnError::RegionOutsidePartition);
        }
        Ok(Self { text: text.into(), partition, region, account: account.parse()? })
    }
}

/// Partition, region, account and resource of an ARN of `service`.
fn parts<'a>(text: &'a str, service: &str) -> Option<[&'a str; 4]> {
    let mut fields = text.splitn(6, ':');
    let (arn, partition, of) = (fields.next()?, fields.next()?, fields.next()?);
    let (region, account, resource) = (fields.next()?, fields.next()?, fields.next()?);
    (arn == "arn" && of == service).then_some([partition, region, account, resource])
}

/// `[\w+=,.@-]`, what names in IAM are made of.
pub(crate) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte)
}

macro_rules! display {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )+};
}

display!(Partition, Region, AccountId, RoleArn, KeyArn);

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Result<KeyArn, ArnError> {
        text.parse()
    }

    fn role(text: &str) -> Result<RoleArn, ArnError> {
        text.parse()
    }

    #[test]
    fn key_arns_of_all_partitions_and_multi_region_keys_are_taken() {
        for (text, region) in [
            (
                "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
                "eu-central-1",
            ),
            ("arn:aws:kms:us-east-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab", "us-east-1"),
            ("arn:aws-cn:kms:cn-north-1:111122223333:key/k", "cn-north-1"),
            ("arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/k", "us-gov-west-1"),
        ] {
            let arn = key(text).unwrap();
            assert_eq!((arn.as_str(), arn.region().as_str()), (text, region));
            assert_eq!(arn.account().as_str(), "111122223333");
        }
    }

    #[test]
    fn anything_else_is_refused_as_a_key_with_the_reason() {
        for (text, error) in [
            ("alias/tenant", ArnError::Alias),
            ("arn:aws:kms:eu-central-1:111122223333:alias/tenant", ArnError::Alias),
            ("1234abcd-12ab-34cd-56ef-1234567890ab", ArnError::BareKeyId),
            ("mrk-1234abcd12ab34cd56ef1234567890ab", ArnError::BareKeyId),
            ("", ArnError::BareKeyId),
            ("arn:", ArnError::Key),
            ("arn:aws:kms", ArnError::Key),
            ("arn:aws:iam::111122223333:role/r", ArnError::Key),
            ("arn:aws:kms:eu-central-1:111122223333:key/", ArnError::Key),
            ("arn:aws:kms:eu-central-1:111122223333:key/*", ArnError::Key),
            ("arn:aws:kms:eu-central-1:111122223333:key/a/b", ArnError::Key),
            ("arn:aws:kms:eu-central-1:111122223333:key/${aws:userid}", ArnError::Key),
            ("arn:aws:kms::111122223333:key/k", ArnError::Region),
            ("arn:aws:kms:eu:111122223333:key/k", ArnError::Region),
            ("arn:aws:kms:*:111122223333:key/k", ArnError::Region),
            ("arn:aws:kms:eu-central-1:11112222333:key/k", ArnError::Account),
            ("arn:aws:kms:eu-central-1:11112222333x:key/k", ArnError::Account),
            ("arn:aws-iso:kms:eu-central-1:111122223333:key/k", ArnError::Partition),
            ("arn:aws:kms:cn-north-1:111122223333:key/k", ArnError::RegionOutsidePartition),
            ("arn:aws-cn:kms:eu-central-1:111122223333:key/k", ArnError::RegionOutsidePartition),
        ] {
            assert_eq!(key(text), Err(error), "{text}");
        }
    }

    #[test]
    fn role_arns_give_up_their_path_and_name() {
        let plain = role("arn:aws:iam::111122223333:role/leasehold").unwrap();
        assert_eq!((plain.path(), plain.name()), ("/", "leasehold"));
        let deep = role("arn:aws-us-gov:iam::111122223333:role/a/b/leasehold").unwrap();
        assert_eq!((deep.path(), deep.name(), deep.partition()), ("/a/b/", "leasehold", Partition::UsGov));
    }

    #[test]
    fn anything_else_is_refused_as_a_role() {
        let long = format!("arn:aws:iam::111122223333:role/{}", "r".repeat(65));
        for (text, error) in [
            ("", ArnError::Role),
            ("leasehold", ArnError::Role),
            ("arn:aws:iam::111122223333:role", ArnError::Role),
            ("arn:aws:iam::111122223333:role/", ArnError::Role),
            ("arn:aws:iam::111122223333:roles/r", ArnError::Role),
            ("arn:aws:iam::111122223333:user/u", ArnError::Role),
            ("arn:aws:iam::111122223333:root", ArnError::Role),
            ("arn:aws:iam:eu-central-1:111122223333:role/r", ArnError::Role),
            ("arn:aws:sts::111122223333:assumed-role/r/s", ArnError::Role),
            ("arn:aws:iam::111122223333:role/*", ArnError::Role),
            ("arn:aws:iam::111122223333:role/a*/r", ArnError::Role),
            ("arn:aws:iam::111122223333:role/r r", ArnError::Role),
            ("arn:aws:iam::111122223333:role/r\u{e9}", ArnError::Role),
            ("arn:aws:iam::1111:role/r", ArnError::Account),
            ("arn:moon:iam::111122223333:role/r", ArnError::Partition),
            (&long, ArnError::Role),
        ] {
            assert_eq!(role(text), Err(error), "{text}");
        }
    }

    #[test]
    fn regions_are_recognised_by_shape_not_by_list() {
        for good in ["eu-central-1", "us-gov-west-1", "ap-southeast-7", "mx-central-1", "cn-northwest-1"] {
            assert!(good.parse::<Region>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "-",
            "--",
            "eu",
            "eu-1",
            "eu-central",
            "EU-central-1",
            "eu-central-1a",
            "eu--1",
            "eu central 1",
        ] {
            assert_eq!(bad.parse::<Region>(), Err(ArnError::Region), "{bad}");
        }
    }
}
