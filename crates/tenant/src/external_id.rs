//! The external id (AWS) or challenge (other clouds) that Leasehold issues for a binding.

use std::fmt;

use leasehold_ids::{BindingName, DeploymentId};
use sha2::{Digest, Sha256};

/// What the tenant must put into the trust policy (AWS `sts:ExternalId`) or on the key (a tag or label elsewhere), so
/// that nobody else can bind the tenant's key through us (the confused deputy,
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html>). It is no secret.
///
/// Derived from deployment, tenant and binding alone, so that a lost registry can be rebuilt (promise P5). 35 bytes:
/// `lh-` and 32 lower-case base32 characters, which all three clouds accept where it has to stand.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ExternalId(Box<str>);

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
        Self(format!("lh-{text}").into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
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
    fn every_part_matters() {
        let base = id("a", "b", "c");
        for other in
            [id("b", "b", "c"), id("a", "a", "c"), id("a", "b", "b"), id("ab", "b", "c"), id("a", "bc", "c")]
        {
            assert_ne!(base, other);
        }
    }
}
