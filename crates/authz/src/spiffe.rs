//! SPIFFE ids (<https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md>).

use std::fmt;
use std::str::FromStr;

use crate::RuleError;

/// How ids begin.
pub(crate) const SCHEME: &str = "spiffe://";

/// Longest id, in bytes (section 2.3 of the standard).
const MAX_ID: usize = 2048;

/// Longest name of a trust domain, in bytes.
const MAX_DOMAIN: usize = 255;

/// The name of a trust domain: lower-case letters, digits, dots, hyphens and underscores, at most 255 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustDomain(Box<str>);

impl TrustDomain {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TrustDomain {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        match (1..=MAX_DOMAIN).contains(&text.len()) && text.bytes().all(valid) {
            true => Ok(Self(text.into())),
            false => Err(RuleError::NotASpiffeId),
        }
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a workload: `spiffe://` with a trust domain and a path of at least one segment. What has no path names the
/// trust domain itself, and is nobody's who calls.
///
/// Read as it stands: upper case in the trust domain, an escape or a slash at the end make it another text than the one
/// that rules are written for, and are refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SpiffeId {
    domain: TrustDomain,
    /// Without the slash that it begins with.
    path: Box<str>,
}

impl SpiffeId {
    /// Whose trust domain it is in.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.domain
    }

    /// The segments of its path, at least one.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &str> {
        self.path.split('/')
    }
}

impl FromStr for SpiffeId {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let rest = text.strip_prefix(SCHEME).filter(|_| text.len() <= MAX_ID);
        let (domain, path) = rest.and_then(|rest| rest.split_once('/')).ok_or(RuleError::NotASpiffeId)?;
        match path.split('/').all(is_segment) {
            true => Ok(Self { domain: domain.parse()?, path: path.into() }),
            false => Err(RuleError::NotASpiffeId),
        }
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.domain, self.path)
    }
}

/// Whether text can be one segment of a path.
pub(crate) fn is_segment(text: &str) -> bool {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !matches!(text, "" | "." | "..") && text.bytes().all(valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_the_standard_has_them() {
        for good in ["spiffe://prod/a", "spiffe://prod.example_1/ns/Default/sa/web-1.x", "spiffe://p/..."] {
            assert_eq!(good.parse::<SpiffeId>().unwrap().to_string(), good);
        }
        let long = format!("spiffe://prod/{}", "x".repeat(MAX_ID));
        for bad in [
            "",
            "prod/a",
            "https://prod/a",
            "SPIFFE://prod/a",
            "spiffe://Prod/a",
            "spiffe:///a",
            "spiffe://prod",
            "spiffe://prod/",
            "spiffe://prod/a/",
            "spiffe://prod//a",
            "spiffe://prod/a/../b",
            "spiffe://prod/./a",
            "spiffe://prod:8443/a",
            "spiffe://user@prod/a",
            "spiffe://prod/a?q=1",
            "spiffe://prod/a#f",
            "spiffe://prod/%61",
            "spiffe://prod/\u{e4}",
            "spiffe://prod/a\n",
            &format!("spiffe://{}/a", "x".repeat(256)),
            &long,
        ] {
            assert_eq!(bad.parse::<SpiffeId>(), Err(RuleError::NotASpiffeId), "{bad}");
        }
    }
}
