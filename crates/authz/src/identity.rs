//! Who is asking.

use std::fmt;
use std::str::FromStr;

use crate::{DnsNames, RuleError, SpiffeId};

/// Longest name of an event feed, in bytes.
const MAX_FEED_NAME: usize = 63;

/// What an event feed is called in rules and records: 1 to 63 lower-case letters, digits and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct FeedName(Box<str>);

impl FromStr for FeedName {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        match (1..=MAX_FEED_NAME).contains(&text.len()) && text.bytes().all(valid) {
            true => Ok(Self(text.into())),
            false => Err(RuleError::NotAFeedName),
        }
    }
}

impl TryFrom<String> for FeedName {
    type Error = RuleError;

    fn try_from(text: String) -> Result<Self, RuleError> {
        text.parse()
    }
}

impl fmt::Display for FeedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who a caller turned out to be, by means that the caller cannot choose. What it displays stands in the audit record, and
/// can be read again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Identity {
    /// Somebody on this machine, over loopback: any local user at all. For development.
    Loopback,
    /// The process at the other end of a Unix socket, as the kernel says (`SO_PEERCRED`,
    /// <https://man7.org/linux/man-pages/man7/unix.7.html>).
    UnixPeer {
        /// Effective user id when the peer connected.
        uid: u32,
        /// Effective group id when the peer connected.
        gid: u32,
        /// Process id when the peer connected; for the record only, because ids are reused.
        pid: Option<i32>,
    },
    /// A feed of a cloud's events, by the secret or token that it presented. No pattern that an operator can write means
    /// it: what it may do is [`Rule::reprove`](crate::Rule::reprove) alone.
    EventFeed(FeedName),
    /// The holder of a certificate with this SPIFFE id, which an authority of its trust domain signed.
    Spiffe(SpiffeId),
    /// The holder of a certificate with these DNS names, which an authority signed that may vouch for names.
    Dns(DnsNames),
}

impl FromStr for Identity {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let not = |_| RuleError::NotAnIdentity;
        match text.split_once(':') {
            None if text == "loopback" => Ok(Self::Loopback),
            Some(("unix", peer)) => unix_peer(peer).ok_or(RuleError::NotAnIdentity),
            Some(("feed", name)) => name.parse().map(Self::EventFeed).map_err(not),
            Some(("spiffe", _)) => text.parse().map(Self::Spiffe).map_err(not),
            Some(("dns", names)) => names.parse().map(Self::Dns).map_err(not),
            _ => Err(RuleError::NotAnIdentity),
        }
    }
}

/// Reads `uid=1,gid=2`, and `,pid=3` after it or not.
fn unix_peer(text: &str) -> Option<Identity> {
    let mut parts = text.split(',');
    let uid = parts.next()?.strip_prefix("uid=")?.parse().ok()?;
    let gid = parts.next()?.strip_prefix("gid=")?.parse().ok()?;
    let pid = match parts.next() {
        Some(pid) => Some(pid.strip_prefix("pid=")?.parse().ok()?),
        None => None,
    };
    parts.next().is_none().then_some(Identity::UnixPeer { uid, gid, pid })
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spiffe(id) => id.fmt(f),
            Self::Dns(names) => write!(f, "dns:{names}"),
            Self::Loopback => f.write_str("loopback"),
            Self::EventFeed(name) => write!(f, "feed:{name}"),
            Self::UnixPeer { uid, gid, pid: None } => write!(f, "unix:uid={uid},gid={gid}"),
            Self::UnixPeer { uid, gid, pid: Some(pid) } => write!(f, "unix:uid={uid},gid={gid},pid={pid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_identity_displays_can_be_read_again() {
        for text in [
            "loopback",
            "unix:uid=1,gid=2",
            "unix:uid=1,gid=2,pid=3",
            "feed:acme-aws",
            "spiffe://prod/tenant/acme/compute/7",
            "dns:engine.example,engine",
        ] {
            assert_eq!(text.parse::<Identity>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "Loopback",
            "unix:*",
            "unix:uid=1",
            "unix:uid=1,gid=2,pid=3,x",
            "dns:",
            "spiffe://a",
            "feed:A",
            "x:y",
        ] {
            assert_eq!(bad.parse::<Identity>(), Err(RuleError::NotAnIdentity), "{bad}");
        }
    }
}
