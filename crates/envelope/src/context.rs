//! The encryption context: what a wrapped key is for, in the caller's words.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::{ContextCommitment, ContextError};

/// Most entries of a context.
pub(crate) const MAX_ENTRIES: usize = 8;
/// Longest name or value of an entry, in bytes of UTF-8.
pub(crate) const MAX_TEXT: usize = 256;

/// Names that begin so belong to AWS (<https://docs.aws.amazon.com/kms/latest/developerguide/encrypt_context.html>) or to
/// what we add to a context ourselves.
const RESERVED: [&str; 2] = ["aws:", "leasehold:"];

/// Tells this hash apart from every other that Leasehold computes.
const COMMITMENT_LABEL: &[u8] = b"leasehold/context/v1";

/// Names and values that a wrapped key is bound to on every cloud; a project, branch and timeline, for example. A map: the
/// order in which entries are given does not matter. It is not secret, and tenants see it in their own audit logs.
///
/// At most 8 entries; names and values of 1 to 256 bytes of UTF-8 without control characters; names beginning with `aws:`
/// or `leasehold:`, in any case, are reserved.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct EncryptionContext {
    entries: BTreeMap<String, String>,
}

impl EncryptionContext {
    /// The context without entries.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// A context of these pairs.
    ///
    /// # Errors
    /// A [`ContextError`] that names the rule that is broken; [`ContextError::Duplicate`] if a name comes twice, even with
    /// the same value.
    pub fn try_from_iter<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self, ContextError>
    where
        K: Into<String>,
        V: Into<String>,
    {
        let mut context = Self::empty();
        pairs.into_iter().try_for_each(|(name, value)| context.insert(name.into(), value.into()))?;
        Ok(context)
    }

    /// The value of the entry with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries.get(name).map(String::as_str)
    }

    /// The entries, sorted by the bytes of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + '_ {
        self.entries.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// How many entries; 0 to 8.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// SHA-256 over a label, the number of entries, and each entry's name and value in order of the names, each preceded
    /// by its length; equal for equal contexts only, because no two contexts have the same such encoding.
    #[must_use]
    pub fn commitment(&self) -> ContextCommitment {
        let mut hash = Sha256::new();
        hash.update(COMMITMENT_LABEL);
        hash.update([narrow::<u8>(self.len())]);
        for text in self.iter().flat_map(|(name, value)| [name, value]) {
            hash.update(narrow::<u16>(text.len()).to_be_bytes());
            hash.update(text);
        }
        ContextCommitment::from_bytes(hash.finalize().into())
    }

    fn insert(&mut self, name: String, value: String) -> Result<(), ContextError> {
        check_name(&name)?;
        if !is_text(&value) {
            return Err(ContextError::InvalidValue);
        }
        if self.entries.contains_key(&name) {
            return Err(ContextError::Duplicate);
        }
        if self.len() == MAX_ENTRIES {
            return Err(ContextError::TooManyEntries);
        }
        self.entries.insert(name, value);
        Ok(())
    }
}

/// Whether `name` may name an entry.
pub(crate) fn check_name(name: &str) -> Result<(), ContextError> {
    let has = |prefix: &str| name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    if !is_text(name) {
        return Err(ContextError::InvalidName);
    }
    if RESERVED.into_iter().any(has) { Err(ContextError::Reserved) } else { Ok(()) }
}

fn is_text(text: &str) -> bool {
    (1..=MAX_TEXT).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Lengths in this crate are bounded far below what their encodings hold.
pub(crate) fn narrow<T: TryFrom<usize>>(len: usize) -> T {
    T::try_from(len).ok().expect("lengths are bounded by constructors")
}

impl TryFrom<BTreeMap<String, String>> for EncryptionContext {
    type Error = ContextError;

    fn try_from(entries: BTreeMap<String, String>) -> Result<Self, ContextError> {
        Self::try_from_iter(entries)
    }
}

impl From<EncryptionContext> for BTreeMap<String, String> {
    fn from(context: EncryptionContext) -> Self {
        context.entries
    }
}

// === serde: a map, through the checks ===

impl Serialize for EncryptionContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.entries)
    }
}

impl<'de> Deserialize<'de> for EncryptionContext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ContextVisitor)
    }
}

/// Reads entry by entry, because a map would silently keep the last of two entries with the same name.
struct ContextVisitor;

impl<'de> Visitor<'de> for ContextVisitor {
    type Value = EncryptionContext;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an encryption context: a map from text to text")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut context = EncryptionContext::empty();
        while let Some((name, value)) = map.next_entry()? {
            context.insert(name, value).map_err(A::Error::custom)?;
        }
        Ok(context)
    }
}
