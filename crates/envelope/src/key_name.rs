//! What the cloud calls its key. Opaque here; each provider parses its own.

use std::fmt;
use std::str::FromStr;

use crate::EnvelopeError;

macro_rules! key_name {
    ($(#[$doc:meta])* $name:ident, $range:expr, $field:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// The longest one, in bytes.
            pub const MAX_BYTES: usize = *$range.end();

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = EnvelopeError;

            fn from_str(text: &str) -> Result<Self, EnvelopeError> {
                // Graphic ASCII: no spaces or control characters, so that a name is one word wherever it is printed.
                if $range.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
                    Ok(Self(text.into()))
                } else {
                    Err(EnvelopeError::InvalidField { field: $field })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = EnvelopeError;

            fn try_from(text: String) -> Result<Self, EnvelopeError> {
                text.parse()
            }
        }

        impl TryFrom<&str> for $name {
            type Error = EnvelopeError;

            fn try_from(text: &str) -> Result<Self, EnvelopeError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.into_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

key_name!(
    /// Text that names the cloud's key: on AWS the key's ARN. 1 to 512 bytes of graphic ASCII (0x21 to 0x7e).
    KeyId,
    (1..=512),
    "key id"
);
key_name!(
    /// Text that names one version of the cloud's key; empty where versions cannot be addressed, as on AWS. 0 to 256 bytes
    /// of graphic ASCII (0x21 to 0x7e).
    KeyVersion,
    (0..=256),
    "key version"
);

impl KeyVersion {
    /// The version of a cloud that has none to address.
    #[must_use]
    pub fn none() -> Self {
        Self(Box::default())
    }

    /// Whether the cloud has no versions to address.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_names_are_one_printable_word_within_their_bounds() {
        for bad in ["", "a b", "a\n", "ä", "\u{7f}", &"k".repeat(513)] {
            assert_eq!(bad.parse::<KeyId>(), Err(EnvelopeError::InvalidField { field: "key id" }), "{bad:?}");
        }
        for good in ["!", "~", "arn:aws:kms:eu-west-1:111122223333:key/k", &"k".repeat(512)] {
            assert_eq!(good.parse::<KeyId>().map(String::from), Ok(good.to_owned()));
        }
        assert!("".parse::<KeyVersion>().unwrap().is_none());
        assert!("v".repeat(256).parse::<KeyVersion>().is_ok());
        assert!("v".repeat(257).parse::<KeyVersion>().is_err());
    }
}
