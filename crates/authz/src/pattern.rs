//! Which callers and which tenants a rule is about.

use std::str::FromStr;

use leasehold_ids::TenantId;

use crate::segments::{Segments, is_capture};
use crate::spiffe::{self, TrustDomain};
use crate::{FeedName, Identity, RuleError, dns};

/// Which callers a rule is about, written as `loopback`, `unix:*` (any peer of a Unix socket), `unix:uid=N`, `unix:gid=N`,
/// `spiffe://prod/tenant/{t}/compute/*` or `dns:{t}.engines.example`.
///
/// A whole segment of a SPIFFE id's path, or a whole label of a name, may be `*` (any one) or a capture in braces (any one,
/// which tenant patterns of the same rule can mean). The trust domain is always said.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
#[non_exhaustive]
pub enum IdentityPattern {
    /// Anybody on loopback.
    Loopback,
    /// Any peer of a Unix socket: the socket's file permissions decide.
    AnyUnixPeer,
    /// Processes of this user.
    UnixUser(u32),
    /// Processes whose effective group is this one; supplementary groups do not count.
    UnixGroup(u32),
    /// This event feed. Has no text: feeds get their one rule where they are configured, and no other.
    EventFeed(FeedName),
    /// Holders of SPIFFE ids in a trust domain, with such paths.
    Spiffe(TrustDomain, Segments),
    /// Holders of certificates with such a DNS name among theirs.
    Dns(Segments),
}

/// What a pattern captured of an identity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Captures<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Captures<'a> {
    /// Each capture's name and what it stands for.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().copied()
    }

    pub(crate) fn push(&mut self, name: &'a str, text: &'a str) {
        self.0.push((name, text));
    }

    fn is(&self, wanted: &str, tenant: &TenantId) -> bool {
        self.iter().any(|(name, text)| name == wanted && text == tenant.as_str())
    }
}

impl IdentityPattern {
    /// The ways in which `identity` is one of those meant, each with what is captured; empty if it is none. There can be
    /// several only if the identity has several names.
    #[must_use]
    pub fn ways<'a>(&'a self, identity: &'a Identity) -> Vec<Captures<'a>> {
        let is_meant = match (self, identity) {
            (Self::Loopback, Identity::Loopback) | (Self::AnyUnixPeer, Identity::UnixPeer { .. }) => true,
            (Self::UnixUser(wanted), Identity::UnixPeer { uid, .. }) => wanted == uid,
            (Self::UnixGroup(wanted), Identity::UnixPeer { gid, .. }) => wanted == gid,
            (Self::EventFeed(wanted), Identity::EventFeed(name)) => wanted == name,
            (Self::Spiffe(domain, path), Identity::Spiffe(id)) if domain == id.trust_domain() => {
                return path.of(id.segments()).into_iter().collect();
            }
            (Self::Dns(labels), Identity::Dns(names)) => {
                return names.iter().filter_map(|name| labels.of(name.split('.'))).collect();
            }
            _ => false,
        };
        if is_meant { vec![Captures::default()] } else { Vec::new() }
    }

    /// The names of what it captures.
    pub(crate) fn captures(&self) -> impl Iterator<Item = &str> {
        let segments = match self {
            Self::Spiffe(_, segments) | Self::Dns(segments) => Some(segments),
            _ => None,
        };
        segments.into_iter().flat_map(Segments::captures)
    }

    fn named(text: &str) -> Option<Self> {
        if let Some(id) = text.strip_prefix(spiffe::SCHEME) {
            let (domain, path) = id.split_once('/')?;
            let path = Segments::parse(path, '/', spiffe::is_segment)?;
            return Some(Self::Spiffe(domain.parse().ok()?, path));
        }
        let labels = text.strip_prefix("dns:")?;
        Segments::parse(labels, '.', dns::is_label).map(Self::Dns)
    }
}

impl FromStr for IdentityPattern {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let number = |text: &str| text.parse().map_err(|_| RuleError::NotAnIdentityPattern);
        match text {
            "loopback" => Ok(Self::Loopback),
            "unix:*" => Ok(Self::AnyUnixPeer),
            _ => match (text.strip_prefix("unix:uid="), text.strip_prefix("unix:gid=")) {
                (Some(uid), _) => number(uid).map(Self::UnixUser),
                (_, Some(gid)) => number(gid).map(Self::UnixGroup),
                _ => Self::named(text).ok_or(RuleError::NotAnIdentityPattern),
            },
        }
    }
}

impl TryFrom<String> for IdentityPattern {
    type Error = RuleError;

    fn try_from(text: String) -> Result<Self, RuleError> {
        text.parse()
    }
}

/// Which tenants a rule is about, written as `*` (all), a tenant id, the beginning of ids followed by `*`, or a capture of the
/// identity pattern in braces. Beware that `acme*` means `acme2` too, and `acme-*` does not mean `acme`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum TenantPattern {
    /// Every tenant, those to come included.
    Any,
    /// This one.
    Exactly(TenantId),
    /// Those whose id begins so.
    Beginning(Box<str>),
    /// The one whose id the identity pattern captured under this name.
    Captured(Box<str>),
}

impl TenantPattern {
    /// Whether `tenant` is one of those meant, when this was captured of the identity.
    #[must_use]
    pub fn matches(&self, tenant: &TenantId, captures: &Captures<'_>) -> bool {
        match self {
            Self::Captured(name) => captures.is(name, tenant),
            Self::Any => true,
            Self::Exactly(wanted) => wanted == tenant,
            Self::Beginning(prefix) => tenant.as_str().starts_with(&**prefix),
        }
    }
}

impl FromStr for TenantPattern {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        if let Some(name) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            let captured = is_capture(name).then(|| Self::Captured(name.into()));
            return captured.ok_or(RuleError::NotATenantPattern);
        }
        let exactly = |id: &str| id.parse().map_err(|_| RuleError::NotATenantPattern);
        match text.strip_suffix('*') {
            Some("") => Ok(Self::Any),
            // A beginning of some id: made an id by one more letter.
            Some(prefix) => exactly(&format!("{prefix}a")).map(|_: TenantId| Self::Beginning(prefix.into())),
            None => exactly(text).map(Self::Exactly),
        }
    }
}

impl TryFrom<String> for TenantPattern {
    type Error = RuleError;

    fn try_from(text: String) -> Result<Self, RuleError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_patterns_match_what_they_say() {
        let peer = |uid, gid| Identity::UnixPeer { uid, gid, pid: Some(1) };
        for (pattern, identity, matches) in [
            ("loopback", Identity::Loopback, true),
            ("loopback", peer(0, 0), false),
            ("unix:*", peer(5, 6), true),
            ("unix:*", Identity::Loopback, false),
            ("unix:uid=5", peer(5, 6), true),
            ("unix:uid=6", peer(5, 6), false),
            ("unix:gid=6", peer(5, 6), true),
            ("unix:gid=5", peer(5, 6), false),
            ("unix:uid=5", Identity::Loopback, false),
        ] {
            let parsed: IdentityPattern = pattern.parse().unwrap();
            assert_eq!(!parsed.ways(&identity).is_empty(), matches, "{pattern} on {identity}");
        }
        for bad in ["", "*", "feed:x", "unix", "unix:", "unix:uid=", "unix:uid=-1", "unix:uid=x", "Loopback"]
        {
            assert_eq!(bad.parse::<IdentityPattern>(), Err(RuleError::NotAnIdentityPattern), "{bad}");
        }
    }

    /// What is captured, one way after the other.
    fn captured(pattern: &str, identity: &str) -> Vec<String> {
        let (pattern, identity): (IdentityPattern, Identity) =
            (pattern.parse().unwrap(), identity.parse().unwrap());
        let text =
            |way: &Captures<'_>| way.iter().map(|(name, text)| format!("{name}={text}")).collect::<String>();
        pattern.ways(&identity).iter().map(text).collect()
    }

    #[test]
    fn p6_a_pattern_means_names_of_as_many_parts_and_captures_whole_ones() {
        let pattern = "spiffe://prod/tenant/{t}/compute/*";
        for (identity, expected) in [
            ("spiffe://prod/tenant/acme/compute/7", &["t=acme"][..]),
            ("spiffe://prod/tenant/ACME/compute/7", &["t=ACME"]),
            ("spiffe://prod/tenant/acme/compute", &[]),
            ("spiffe://prod/tenant/acme/compute/7/8", &[]),
            ("spiffe://prod/tenant/acme/x/compute/7", &[]),
            ("spiffe://prod/Tenant/acme/compute/7", &[]),
            ("spiffe://other/tenant/acme/compute/7", &[]),
            ("spiffe://prod.example/tenant/acme/compute/7", &[]),
            ("dns:prod.tenant.acme.compute.7", &[]),
            ("loopback", &[]),
        ] {
            assert_eq!(captured(pattern, identity), expected, "{identity}");
        }
        for (identity, expected) in [
            ("dns:acme.engines.example", &["t=acme"][..]),
            ("dns:a.b.engines.example", &[]),
            ("dns:x.example,acme.engines.example,globex.engines.example", &["t=acme", "t=globex"]),
            ("spiffe://acme.engines.example/a", &[]),
        ] {
            assert_eq!(captured("dns:{t}.engines.example", identity), expected, "{identity}");
        }
    }

    #[test]
    fn a_pattern_that_could_surprise_is_none() {
        for bad in [
            "spiffe://prod",
            "spiffe://prod/",
            "spiffe://*/a",
            "spiffe://{d}/a",
            "spiffe://Prod/a",
            "spiffe://prod/a*",
            "spiffe://prod/**",
            "spiffe://prod/x{t}",
            "spiffe://prod/{t}/{t}",
            "spiffe://prod/{T}",
            "spiffe://prod/{}",
            "spiffe://prod/../a",
            "dns:",
            "dns:A.example",
            "dns:a,b",
            "dns:{t}x.example",
        ] {
            assert_eq!(bad.parse::<IdentityPattern>(), Err(RuleError::NotAnIdentityPattern), "{bad}");
        }
    }

    #[test]
    fn tenant_patterns_match_what_they_say() {
        for (pattern, tenant, matches) in [
            ("*", "acme", true),
            ("acme", "acme", true),
            ("acme", "acme-2", false),
            ("acme-*", "acme-2", true),
            ("acme-*", "acme", false),
            ("acme*", "acme", true),
            ("acme*", "acm", false),
        ] {
            let parsed: TenantPattern = pattern.parse().unwrap();
            let captures = Captures::default();
            assert_eq!(parsed.matches(&tenant.parse().unwrap(), &captures), matches, "{pattern} on {tenant}");
        }
        for bad in [
            "",
            "**",
            "{}",
            "{T}",
            "{t}*",
            "a{t}",
            "a*b",
            "*a",
            "-*",
            "A",
            "a b",
            &format!("{}*", "x".repeat(63)),
        ] {
            assert_eq!(bad.parse::<TenantPattern>(), Err(RuleError::NotATenantPattern), "{bad}");
        }
    }
}
