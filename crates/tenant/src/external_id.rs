//! The external id (AWS) or challenge (other clouds) that Leasehold issues for a binding.

use std::fmt;
use std::str::FromStr;

use leasehold_ids::{BindingName, DeploymentId};
use sha2::{Digest, Sha256};

/// What the tenant must put into the trust policy (AWS `sts:ExternalId`) or on the key (a tag or label elsewhere), so
/// that nobody else can bind the tenant's key through us (the confused deputy,
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html>). It is no secret.
///
/// Derived from deployment, tenant and binding alone, so that a lost registry can be rebuilt (promise P5). 35 bytes:
/// `lh-` and 32 lower-case base32 characters, which all three clouds accept where it has to stand.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExternalId(Box<str>);

/// The text is none that Leasehold issues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no external id: those are lh- and 32 lower-case letters and digits")]
pub struct NotAnExternalId;

/// What every external id begins with.
const PREFIX: &str = "lh-";

/// Bytes of the digest that are kept: 160 bits, far beyond guessing, and exactly 32 base32 characters.
const KEPT: usize = 20;

impl ExternalId {
    /// The external id of `binding` in `deployment`.
    #[must_use]
    pub fn derive(deployment: &DeploymentId, binding: &BindingName) -> Self {
        let mut hash = Sha256::new();
        for part in [
            "leasehold external id v1",
            deployment.as_str(),
            binding.tenant().as_str(),
            binding.binding().as_str(),
        ] {
            // Length-prefixed, so that no two different triples hash the same bytes.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        let text = data_encoding::BASE32_NOPAD.encode(&digest[..KEPT]).to_ascii_lowercase();
        Self(format!("{PREFIX}{text}").into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ExternalId {
    type Err = NotAnExternalId;

    fn from_str(text: &str) -> Result<Self, NotAnExternalId> {
        let digest =
            text.strip_prefix(PREFIX).filter(|digest| !digest.contains(|c: char| c.is_ascii_uppercase()));
        let bytes =
            digest.map(|digest| data_encoding::BASE32_NOPAD.decode(digest.to_ascii_uppercase().as_bytes()));
        match bytes {
            Some(Ok(bytes)) if bytes.len() == KEPT => Ok(Self(text.into())),
            _ => Err(NotAnExternalId),
        }
    }
}

impl TryFrom<String> for ExternalId {
    type Error = NotAnExternalId;

    fn try_from(text: String) -> Result<Self, NotAnExternalId> {
        text.parse()
    }
}

impl From<ExternalId> for String {
    fn from(id: ExternalId) -> Self {
        id.0.into_string()
    }
}

impl fmt::Display for ExternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(deployment: &str, tenant: &str, binding: &str) -> ExternalId {
        let name = BindingName::new(tenant.parse().unwrap(), binding.parse().unwrap());
        ExternalId::derive(&deployment.parse().unwrap(), &name)
    }

    #[test]
    fn p5_a_lost_registry_derives_the_same_external_id_again() {
        // A published value: changing the derivation would lock every tenant out, so it must fail this test first.
        assert_eq!(id("prod", "acme", "main").as_str(), "lh-gng2jmxtvwcoarrnf4dcsqcdixoqr7ab");
    }

    #[test]
    fn what_was_issued_is_read_again_and_nothing_else() {
        let issued = id("prod", "acme", "main");
        assert_eq!(issued.as_str().parse(), Ok(issued.clone()));
        let upper = issued.as_str().to_ascii_uppercase();
        for bad in ["", "lh-", "acme", &issued.as_str()[1..], &issued.as_str()[..34], &upper] {
            assert_eq!(bad.parse::<ExternalId>(), Err(NotAnExternalId), "{bad}");
        }
    }

    #[test]
    fn every_part_matters() {
        let base = id("a", "b", "c");
        for other in
            [id("b", "b", "c"), id("a", "a", "c"), id("a", "b", "b"), id("ab", "b", "c"), id("a", "bc", "c")]
        {
            assert_ne!(base, other);
        }
    }
}
