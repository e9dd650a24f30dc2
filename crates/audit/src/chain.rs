//! The chain: how a line is made of an entry, and how it is taken apart again.
//!
//! A line is the JSON object
//! `{"sequence":N,"previous":"HASH","type":…,…,"hash":"HASH"}` and a line feed. Its hash is SHA-256 over the bytes of the line
//! from the opening brace to the one before `,"hash":`. It covers the hash of the line before, and so everything before. No
//! canonical form is needed to verify it, because the bytes themselves are hashed.

use std::fmt;
use std::io::Write;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Serialize};

use crate::signing::{KeyId, SigningKey};
use crate::{AuditError, Entry};

/// Longest line, in bytes, its line feed included: readers go no further. A record with the longest names, and eight entries of
/// a context that need escaping, is below 32 KiB.
pub(crate) const MAX_LINE: usize = 64 * 1024;

const HEX: usize = 64;
const SEQUENCE: &[u8] = b"{\"sequence\":";
const PREVIOUS: &[u8] = b",\"previous\":\"";
const HASH: &[u8] = b",\"hash\":\"";
const SIGNATURE: &[u8] = b",\"signature\":\"";
const END: &[u8] = b"\"}";

/// What stands for a line and everything before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChainHash([u8; 32]);

impl ChainHash {
    /// What stands before the first line of a chain: 32 zeros.
    pub const GENESIS: Self = Self([0; 32]);

    fn of(body: &[u8]) -> Self {
        let digest = digest(&SHA256, body);
        Self(std::array::from_fn(|i| digest.as_ref()[i]))
    }

    fn parse(hex: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        (hex.len() == HEX && HEXLOWER.decode_mut(hex, &mut bytes) == Ok(32)).then_some(Self(bytes))
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut hex = [0; HEX];
        HEXLOWER.encode_mut(&self.0, &mut hex);
        out.extend_from_slice(&hex);
    }
}

/// 64 hexadecimal digits, in lower case.
impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ChainHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or("a hash has 64 hexadecimal digits")
    }
}

/// The end of a chain so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    /// The sequence number of the last line; 0 if there is none.
    pub(crate) sequence: u64,
    pub(crate) hash: ChainHash,
}

impl Link {
    pub(crate) const GENESIS: Self = Self { sequence: 0, hash: ChainHash::GENESIS };

    /// Appends `entry` to `out` as the next line, signed if there is a `key`. What cannot be encoded, or is longer than what
    /// readers take for a line, leaves both as they were.
    pub(crate) fn append(
        &mut self,
        out: &mut Vec<u8>,
        entry: &Entry,
        key: Option<&SigningKey>,
    ) -> Result<(), AuditError> {
        let start = out.len();
        let sequence = self.sequence + 1;
        // Writing to a vector does not fail.
        let _ = write!(out, "{{\"sequence\":{sequence}");
        out.extend_from_slice(PREVIOUS);
        self.hash.write(out);
        out.push(b'"');
        let brace = out.len();
        if let Err(error) = serde_json::to_writer(&mut *out, entry) {
            out.truncate(start);
            return Err(AuditError::encode(error));
        }
        // The entry is an object of at least one member, its type: its opening brace becomes the comma before that, and its
        // closing one goes to the end of the line.
        out[brace] = b',';
        out.pop();
        if let Some(key) = key {
            let signature = key.sign(&out[start..]);
            out.extend_from_slice(SIGNATURE);
            out.extend_from_slice(HEXLOWER.encode(&signature).as_bytes());
            out.push(b'"');
        }
        let hash = ChainHash::of(&out[start..]);
        out.extend_from_slice(HASH);
        hash.write(out);
        out.extend_from_slice(END);
        out.push(b'\n');
        let bytes = out.len() - start;
        if bytes > MAX_LINE {
            out.truncate(start);
            return Err(AuditError::TooLong { bytes });
        }
        *self = Self { sequence, hash };
        Ok(())
    }
}

/// One line of a chain, taken apart but not verified.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Its number; grows by one with each line of the chain.
    pub sequence: u64,
    /// The hash of the line before it, as it says.
    pub previous: ChainHash,
    /// Its own hash, as it says.
    pub hash: ChainHash,
    /// What is hashed.
    body: &'a [u8],
    /// The members after `previous`, without a brace on either side.
    members: &'a [u8],
}

impl<'a> Line<'a> {
    /// Takes a line apart; `text` has no line feed. None if it has not the form of one.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (body, seal) = text.split_at_checked(text.len().checked_sub(HASH.len() + HEX + END.len())?)?;
        let hash = ChainHash::parse(seal.strip_prefix(HASH)?.strip_suffix(END)?)?;
        let rest = body.strip_prefix(SEQUENCE)?;
        let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
        let sequence = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
        let rest = rest[digits..].strip_prefix(PREVIOUS)?;
        let (previous, rest) = rest.split_at_checked(HEX)?;
        let previous = ChainHash::parse(previous)?;
        Some(Self { sequence, previous, hash, body, members: rest.strip_prefix(b"\",")? })
    }

    /// Whether its hash is that of its bytes.
    #[must_use]
    pub fn is_authentic(&self) -> bool {
        ChainHash::of(self.body) == self.hash
    }

    /// What it says.
    ///
    /// # Errors
    /// If it is not what this version writes.
    pub fn entry(&self) -> Result<Entry, serde_json::Error> {
        let object = [b"{", self.members, b"}"].concat();
        serde_json::from_slice(&object)
    }

    /// Whether it is a checkpoint.
    pub(crate) fn is_checkpoint(&self) -> bool {
        self.is_of_type(b"checkpoint")
    }

    /// Whether it is of this type, as its first member says.
    pub(crate) fn is_of_type(&self, name: &[u8]) -> bool {
        let rest = self.members.strip_prefix(b"\"type\":\"").and_then(|rest| rest.strip_prefix(name));
        rest.is_some_and(|rest| rest.starts_with(b"\","))
    }

    /// Of a checkpoint, within how many lines it says that the next one comes; none if it does not say.
    pub(crate) fn promise(&self) -> Option<u64> {
        match self.entry() {
            Ok(Entry::Checkpoint(checkpoint)) => checkpoint.within,
            _ => None,
        }
    }

    /// Of a signed checkpoint: what was signed, the key's id, and the signature.
    pub(crate) fn signed(&self) -> Option<(&'a [u8], KeyId, Vec<u8>)> {
        #[derive(Deserialize)]
        struct Signed {
            key_id: KeyId,
            signature: String,
        }
        let object = [b"{", self.members, b"}"].concat();
        let Signed { key_id, signature } = serde_json::from_slice(&object).ok()?;
        // `,"signature":"`, the digits, and a quotation mark at the end.
        let text = self.body.len().checked_sub(SIGNATURE.len() + signature.len() + 1)?;
        let (body, tail) = self.body.split_at_checked(text)?;
        tail.starts_with(SIGNATURE).then_some(())?;
        Some((body, key_id, HEXLOWER.decode(signature.as_bytes()).ok()?))
    }
}

impl Serialize for ChainHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::tests::record;

    fn line(link: &mut Link, id: &str) -> Vec<u8> {
        let mut out = Vec::new();
        link.append(&mut out, &Entry::Decision(record(id)), None).unwrap();
        out
    }

    #[test]
    fn a_line_reads_as_it_is_documented() {
        let mut link = Link::GENESIS;
        let first = String::from_utf8(line(&mut link, "r1")).unwrap();
        let body = concat!(
            r#"{"sequence":1,"previous":"0000000000000000000000000000000000000000000000000000000000000000","#,
            r#""type":"decision","time":"1970-01-01T00:00:01.500000Z","request_id":"r1","caller":"loopback","#,
            r#""operation":"UnwrapKey","outcome":"served","rule":"local","tenant":"acme","source":"cache","#,
            r#""proof_age_ms":7,"latency_us":12"#,
        );
        let hash = HEXLOWER.encode(digest(&SHA256, body.as_bytes()).as_ref());
        assert_eq!(first, format!("{body},\"hash\":\"{hash}\"}}\n"));
        assert!(serde_json::from_str::<serde_json::Value>(&first).is_ok(), "a line is JSON");
        let second = line(&mut link, "r2");
        let parsed = Line::parse(second.trim_ascii_end()).unwrap();
        assert_eq!((parsed.sequence, parsed.previous.to_string()), (2, hash));
        assert_eq!(parsed.entry().unwrap(), Entry::Decision(record("r2")));
        assert!(parsed.is_authentic());
    }

    #[test]
    fn p9_what_readers_would_not_take_for_a_line_is_not_written() {
        let mut long = record("r1");
        let (mut link, mut out) = (Link::GENESIS, b"before".to_vec());
        long.cloud_code = Some("x".repeat(MAX_LINE).into());
        let refused = link.append(&mut out, &Entry::Decision(long.clone()), None);
        assert!(matches!(refused, Err(AuditError::TooLong { bytes }) if bytes > MAX_LINE), "{refused:?}");
        assert_eq!((link, &out[..]), (Link::GENESIS, &b"before"[..]), "and leaves no trace");
        let short = line(&mut Link::GENESIS.clone(), "r1").len();
        let member = ",\"cloud_code\":\"\"".len();
        long.cloud_code = Some("x".repeat(MAX_LINE - short - member).into());
        out.clear();
        link.append(&mut out, &Entry::Decision(long.clone()), None).unwrap();
        assert_eq!(out.len(), MAX_LINE, "the longest there is");
        let mut lines = crate::Lines::new(&out[..]);
        assert!(matches!(lines.complete().unwrap(), Some(crate::Piece::Line(_))), "can be read");
    }

    proptest! {
        #[test]
        fn p7_a_changed_byte_makes_a_line_unauthentic(at in 0_usize..300, flip in 1_u8..) {
            let mut link = Link::GENESIS;
            let mut text = line(&mut link, "r1");
            text.pop();
            let at = at % text.len();
            text[at] ^= flip;
            prop_assert!(!Line::parse(&text).is_some_and(|line| line.is_authentic()));
        }

        #[test]
        fn whatever_is_read_is_taken_apart_or_refused(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(line) = Line::parse(&text) {
                let _ = (line.is_authentic(), line.entry().is_ok(), line.signed().is_some());
            }
        }
    }
}
