//! Which callers and which tenants a rule is about.

use std::str::FromStr;

use leasehold_ids::TenantId;

use crate::{FeedName, Identity, RuleError};

/// Which callers a rule is about, written as `loopback`, `unix:*` (any peer of a Unix socket), `unix:uid=N` or
/// `unix:gid=N`.
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
}

impl IdentityPattern {
    /// Whether `identity` is one of those meant.
    #[must_use]
    pub fn matches(&self, identity: &Identity) -> bool {
        match (self, identity) {
            (Self::Loopback, Identity::Loopback) | (Self::AnyUnixPeer, Identity::UnixPeer { .. }) => true,
            (Self::UnixUser(wanted), Identity::UnixPeer { uid, .. }) => wanted == uid,
            (Self::UnixGroup(wanted), Identity::UnixPeer { gid, .. }) => wanted == gid,
            (Self::EventFeed(wanted), Identity::EventFeed(name)) => wanted == name,
            _ => false,
        }
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
                _ => Err(RuleError::NotAnIdentityPattern),
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

/// Which tenants a rule is about, written as `*` (all), a tenant id, or the beginning of ids followed by `*`. Beware
/// that `acme*` means `acme2` too, and `acme-*` does not mean `acme`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum TenantPattern {
    /// Every tenant, those to come included.
    Any,
    /// This one.
    Exactly(TenantId),
    /// Those whose id begins so.
    Beginning(Box<str>),
}

impl TenantPattern {
    /// Whether `tenant` is one of those meant.
    #[must_use]
    pub fn matches(&self, tenant: &TenantId) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(wanted) => wanted == tenant,
            Self::Beginning(prefix) => tenant.as_str().starts_with(&**prefix),
        }
    }
}

impl FromStr for TenantPattern {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
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
            assert_eq!(parsed.matches(&identity), matches, "{pattern} on {identity}");
        }
        for bad in ["", "*", "feed:x", "unix", "unix:", "unix:uid=", "unix:uid=-1", "unix:uid=x", "Loopback"]
        {
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
            assert_eq!(parsed.matches(&tenant.parse().unwrap()), matches, "{pattern} on {tenant}");
        }
        for bad in ["", "**", "a*b", "*a", "-*", "A", "a b", &format!("{}*", "x".repeat(63))] {
            assert_eq!(bad.parse::<TenantPattern>(), Err(RuleError::NotATenantPattern), "{bad}");
        }
    }
}
