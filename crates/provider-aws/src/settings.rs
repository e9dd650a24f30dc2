//! What an AWS binding says, parsed into the calls that follow from it.

use std::collections::BTreeMap;

use data_encoding::BASE32_NOPAD;
use leasehold_ids::TenantId;
use leasehold_provider::{Fault, ProviderError};
use leasehold_tenant::Binding;
use sha2::{Digest, Sha256};

use crate::arn::{KeyArn, Region, RoleArn, is_name_byte};
use crate::policy::{self, SourceIdentity};

/// Most hops of a chain, the tenant's own role included.
const MAX_HOPS: usize = 3;
/// Most session tags (<https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html>), and their lengths.
const MAX_TAGS: usize = 50;
const MAX_TAG_KEY: usize = 128;
const MAX_TAG_VALUE: usize = 256;
/// Longest role session name (<https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>).
const MAX_SESSION_NAME: usize = 64;
/// Bytes of the digest that stands for a long tenant id: 160 bits, 32 base32 characters.
const NAME_DIGEST: usize = 20;

/// Our code for a key in a region that the operator does not allow.
pub(crate) const REGION_NOT_ALLOWED: &str = "REGION_NOT_ALLOWED";

/// The settings of an AWS binding as a tenant writes them.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The tenant's role that may use the key.
    role_arn: RoleArn,
    /// Roles to become before it, in order.
    #[serde(default)]
    chain: Vec<ChainSettings>,
    /// Tags of the session.
    #[serde(default)]
    session_tags: BTreeMap<String, String>,
    /// Which of the tags are handed on along the chain.
    #[serde(default)]
    transitive_tag_keys: Vec<String>,
    /// Source identity of the sessions.
    #[serde(default)]
    source_identity: Option<String>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ChainSettings {
    role_arn: RoleArn,
    #[serde(default)]
    external_id: Option<String>,
}

/// How to become a binding's principal, and the key that it is for. Everything in it was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) key: KeyArn,
    pub(crate) session_name: String,
    /// 1 to 3; the last one is the tenant's role that uses the key. None for the platform's own keys.
    pub(crate) hops: Vec<Hop>,
}

/// One AssumeRole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) role: RoleArn,
    pub(crate) external_id: Option<String>,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) transitive_tag_keys: Vec<String>,
    pub(crate) source_identity: Option<String>,
    /// Session policy, as JSON.
    pub(crate) policy: String,
}

impl Plan {
    /// The plan of `binding`, if its key is in one of the `allowed` regions.
    pub(crate) fn of(binding: &Binding, allowed: impl Fn(&Region) -> bool) -> Result<Self, ProviderError> {
        let key: KeyArn = binding.key.as_str().parse().map_err(|e| misconfigured(format!("key: {e}")))?;
        if !allowed(key.region()) {
            let detail = format!(
                "key: region {} is not among this deployment's allowed_regions: use a key in one that is, or ask the \
                 operator",
                key.region()
            );
            return Err(misconfigured(detail).with_code(Some(REGION_NOT_ALLOWED)));
        }
        let settings = serde_json::Value::Object(binding.settings.0.clone());
        let settings: Settings =
            serde_json::from_value(settings).map_err(|e| misconfigured(format!("settings: {e}")))?;
        check(&settings, &key)?;
        let session_name = session_name(binding.name.tenant());
        let hops = hops(settings, &key, binding.external_id.as_str());
        Ok(Self { key, session_name, hops })
    }

    /// The plan of a binding to one of the platform's own `keys`, which we use as ourselves.
    pub(crate) fn of_operator(binding: &Binding, keys: &[KeyArn]) -> Result<Self, ProviderError> {
        let key = keys.iter().find(|key| key.as_str() == binding.key.as_str()).ok_or_else(|| {
            misconfigured("key: not one of the platform's own keys: choose one that the operator configured")
        })?;
        if !binding.settings.0.is_empty() {
            return Err(misconfigured("settings: a binding to one of the platform's own keys has none"));
        }
        Ok(Self { key: key.clone(), session_name: session_name(binding.name.tenant()), hops: Vec::new() })
    }

    /// The source identity as the hop of this index has it.
    pub(crate) fn source_identity(&self, hop: usize) -> SourceIdentity<'_> {
        match self.hops.first().and_then(|first| first.source_identity.as_deref()) {
            None => SourceIdentity::None,
            Some(identity) if hop == 0 => SourceIdentity::Sets(identity),
            Some(_) => SourceIdentity::Inherits,
        }
    }

    /// The role that uses the key.
    pub(crate) fn principal(&self) -> Option<&RoleArn> {
        self.hops.last().map(|hop| &hop.role)
    }
}

/// What AWS would refuse, or take in a way that nobody meant.
fn check(settings: &Settings, key: &KeyArn) -> Result<(), ProviderError> {
    if settings.chain.len() >= MAX_HOPS {
        return Err(misconfigured("chain: at most two roles may come before role_arn"));
    }
    let roles = settings.chain.iter().map(|hop| &hop.role_arn).chain([&settings.role_arn]);
    for role in roles {
        if role.partition() != key.partition() {
            return Err(misconfigured("roles and key must be in one partition (aws, aws-cn or aws-us-gov)"));
        }
    }
    for external_id in settings.chain.iter().filter_map(|hop| hop.external_id.as_deref()) {
        check_text(external_id, 2..=1224, |b| is_name_byte(b) || b":/".contains(&b))
            .then_some(())
            .ok_or_else(|| {
                misconfigured("chain: an external_id has 2 to 1224 characters of [A-Za-z0-9_+=,.@:/-]")
            })?;
    }
    if let Some(identity) = &settings.source_identity {
        let valid = check_text(identity, 2..=64, is_name_byte) && !is_reserved(identity);
        valid.then_some(()).ok_or_else(|| {
            misconfigured(
                "source_identity has 2 to 64 characters of [A-Za-z0-9_+=,.@-] and does not begin with aws:",
            )
        })?;
    }
    check_tags(settings)
}

fn check_tags(settings: &Settings) -> Result<(), ProviderError> {
    if settings.session_tags.len() > MAX_TAGS {
        return Err(misconfigured("session_tags: at most 50"));
    }
    let mut seen = std::collections::BTreeSet::new();
    for (key, value) in &settings.session_tags {
        let length = key.chars().count();
        if length == 0 || length > MAX_TAG_KEY || value.chars().count() > MAX_TAG_VALUE {
            return Err(misconfigured("session_tags: a key has 1 to 128 characters, a value at most 256"));
        }
        if !key.chars().chain(value.chars()).all(is_tag_char) || is_reserved(key) {
            return Err(misconfigured(
                "session_tags: letters, digits, spaces and _.:/=+-@ only, and no key that begins with aws:",
            ));
        }
        if !seen.insert(key.to_lowercase()) {
            return Err(misconfigured("session_tags: AWS takes keys that differ in case alone for the same"));
        }
    }
    let mut transitive = std::collections::BTreeSet::new();
    for key in &settings.transitive_tag_keys {
        if !settings.session_tags.contains_key(key) || !transitive.insert(key) {
            return Err(misconfigured(
                "transitive_tag_keys: name each key once, and only keys of session_tags",
            ));
        }
    }
    Ok(())
}

/// What each AssumeRole says.
///
/// - Source identity is set at the first hop; the sessions after it inherit it and may not set it.
/// - A transitive tag is set at the first hop and inherited likewise; any other tag would be lost on the way, so it is
///   set at the last hop, where the tenant's policies look at it.
fn hops(settings: Settings, key: &KeyArn, issued: &str) -> Vec<Hop> {
    let sets_source_identity = settings.source_identity.is_some();
    let mut roles: Vec<_> = settings.chain.into_iter().map(|hop| (hop.role_arn, hop.external_id)).collect();
    roles.push((settings.role_arn, Some(issued.to_owned())));
    let last = roles.len() - 1;
    let policies: Vec<_> = (0..roles.len())
        .map(|i| match roles.get(i + 1) {
            Some((next, _)) => policy::become_next(next, sets_source_identity),
            None => policy::use_key(key),
        })
        .collect();
    let (transitive, plain): (Vec<_>, Vec<_>) =
        settings.session_tags.into_iter().partition(|(key, _)| settings.transitive_tag_keys.contains(key));
    let hop =
        |(i, ((role, external_id), policy)): (usize, ((RoleArn, Option<String>), serde_json::Value))| {
            let mut tags = Vec::new();
            if i == 0 {
                tags.extend(transitive.clone());
            }
            if i == last {
                tags.extend(plain.clone());
            }
            Hop {
                role,
                external_id,
                tags,
                transitive_tag_keys: if i == 0 { settings.transitive_tag_keys.clone() } else { Vec::new() },
                source_identity: settings.source_identity.clone().filter(|_| i == 0),
                policy: policy.to_string(),
            }
        };
    roles.into_iter().zip(policies).enumerate().map(hop).collect()
}

/// Names us and the tenant in the tenant's own audit log: `leasehold-<tenant>`, or a digest of a tenant id that would
/// not fit.
fn session_name(tenant: &TenantId) -> String {
    let name = format!("leasehold-{tenant}");
    if name.len() <= MAX_SESSION_NAME {
        return name;
    }
    let digest = Sha256::digest(tenant.as_str());
    format!("leasehold-{}", BASE32_NOPAD.encode(&digest[..NAME_DIGEST]).to_ascii_lowercase())
}

fn check_text(text: &str, length: std::ops::RangeInclusive<usize>, valid: impl Fn(u8) -> bool) -> bool {
    length.contains(&text.len()) && text.bytes().all(valid)
}

/// `[\p{L}\p{Z}\p{N}_.:/=+\-@]`
fn is_tag_char(c: char) -> bool {
    c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c)
}

fn is_reserved(text: &str) -> bool {
    text.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"))
}

fn misconfigured(detail: impl Into<String>) -> ProviderError {
    ProviderError::new(Fault::Misconfigured, detail)
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
