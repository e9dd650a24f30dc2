//! DNS names of callers.

use std::fmt;
use std::str::FromStr;

use crate::RuleError;

/// Longest name, in bytes, and longest label (<https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4>).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// Most names of one caller: a certificate of a Kubernetes service has about five.
const MAX_NAMES: usize = 16;

/// The DNS names of one certificate, in lower case: from 1 to 16, none of them a wildcard.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DnsNames(Box<[Box<str>]>);

impl DnsNames {
    /// Reads the names of a certificate.
    ///
    /// # Errors
    /// [`RuleError::NotDnsNames`] if there are none or too many, or one is malformed or a wildcard, which names nobody in
    /// particular.
    pub fn new<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Result<Self, RuleError> {
        let names: Box<[Box<str>]> =
            names.into_iter().map(|n| n.as_ref().to_ascii_lowercase().into()).collect();
        let valid = |name: &str| name.len() <= MAX_NAME && name.split('.').all(is_label);
        match (1..=MAX_NAMES).contains(&names.len()) && names.iter().all(|name| valid(name)) {
            true => Ok(Self(names)),
            false => Err(RuleError::NotDnsNames),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }
}

impl FromStr for DnsNames {
    type Err = RuleError;

    /// Reads names with commas between them.
    fn from_str(text: &str) -> Result<Self, RuleError> {
        Self::new(text.split(','))
    }
}

impl fmt::Display for DnsNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// Whether text can be one label of a name, in lower case.
pub(crate) fn is_label(text: &str) -> bool {
    let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    (1..=MAX_LABEL).contains(&text.len()) && text.bytes().all(valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_in_lower_case_and_wildcards_name_nobody() {
        let names = DnsNames::new(["Engine-1.Example", "b"]).unwrap();
        assert_eq!(names.to_string(), "engine-1.example,b");
        assert_eq!(names.to_string().parse(), Ok(names));
        assert_eq!(DnsNames::new::<&str>([]), Err(RuleError::NotDnsNames));
        assert_eq!(DnsNames::new(["a"; MAX_NAMES + 1]), Err(RuleError::NotDnsNames));
        let long = vec!["x".repeat(60); 5].join(".");
        for bad in ["", "*.example", "a..b", ".a", "a.", "a b", "a/b", "\u{e4}", &"x".repeat(64), &long] {
            assert_eq!(DnsNames::new(["good", bad]), Err(RuleError::NotDnsNames), "{bad}");
        }
    }
}
