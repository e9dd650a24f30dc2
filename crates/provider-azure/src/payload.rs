//! What is wrapped: the key, preceded by a digest of what it is bound to.
//!
//! RSA has no additional authenticated data, so what other clouds authenticate beside the plaintext is inside it here:
//!
//! ```text
//! SHA-256( "leasehold/azure-payload/v1" ‖ length of the purpose (1 byte) ‖ purpose
//!          ‖ header digest (32 bytes) ‖ context commitment (32 bytes) )          32 bytes
//! the key                                                                         16, 24, 32, 48 or 64 bytes
//! ```
//!
//! The purpose is `dek`, `kek` or `canary`; header digest and context commitment are those of docs/envelope.md, the
//! latter a length-prefixed SHA-256 over the sorted entries. The longest payload has 96 bytes, and RSA-OAEP-256 with a
//! 2,048-bit key takes 256 − 2 × 32 − 2 = 190 (<https://www.rfc-editor.org/rfc/rfc8017#section-7.1.1>).
//!
//! This binds and hides, but it does not authenticate who wrapped: anyone who has the public key can make such a payload.

use leasehold_provider::WrapContext;
use leasehold_secret::{KeyLength, PlaintextKey};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const LABEL: &[u8] = b"leasehold/azure-payload/v1";
const DIGEST: usize = 32;

/// The payload for `key`. Allocated once at its full size, so that no copy is left behind by growing.
pub(crate) fn seal(key: &PlaintextKey, context: WrapContext<'_>) -> Zeroizing<Vec<u8>> {
    let mut payload = Zeroizing::new(Vec::with_capacity(DIGEST + KeyLength::MAX_BYTES));
    payload.extend_from_slice(&binding_digest(context));
    payload.extend_from_slice(key.expose());
    payload
}

/// The bytes of the key in `payload`, if it was made for this context.
pub(crate) fn open<'a>(payload: &'a mut [u8], context: WrapContext<'_>) -> Option<&'a mut [u8]> {
    let (digest, key) = payload.split_at_mut_checked(DIGEST)?;
    bool::from(digest.ct_eq(&binding_digest(context))).then_some(key)
}

fn binding_digest(context: WrapContext<'_>) -> [u8; DIGEST] {
    let purpose = context.purpose.as_str();
    let mut hash = Sha256::new();
    hash.update(LABEL);
    hash.update([u8::try_from(purpose.len()).expect("a purpose is one short word")]);
    hash.update(purpose);
    hash.update(context.header.as_bytes());
    hash.update(context.context.commitment().as_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use leasehold_envelope::{EncryptionContext, HeaderDigest, Purpose};
    use leasehold_secret::{Arena, ArenaConfig};

    use super::*;

    fn arena() -> Arena {
        Arena::new(ArenaConfig { bytes: ArenaConfig::MIN_BYTES, ..ArenaConfig::default() }).unwrap()
    }

    #[test]
    fn p6_a_payload_opens_for_its_own_purpose_header_and_context_only() {
        let context =
            |entries: &[(&str, &str)]| EncryptionContext::try_from_iter(entries.iter().copied()).unwrap();
        let (header, other_header) = (HeaderDigest::from_bytes([1; 32]), HeaderDigest::from_bytes([2; 32]));
        let (usual, swapped) = (context(&[("a", "b"), ("c", "d")]), context(&[("a", "d"), ("c", "b")]));
        let (merged, empty) = (context(&[("a", "bcd")]), EncryptionContext::empty());
        let own = WrapContext { purpose: Purpose::Dek, header: &header, context: &usual };
        let key = PlaintextKey::generate(&arena(), KeyLength::B64).unwrap();
        let mut sealed = seal(&key, own);
        assert_eq!(sealed.len(), 96);
        assert_eq!(open(&mut sealed, own).unwrap(), key.expose());
        for other in [
            WrapContext { purpose: Purpose::Kek, ..own },
            WrapContext { purpose: Purpose::Canary, ..own },
            WrapContext { header: &other_header, ..own },
            WrapContext { context: &swapped, ..own },
            WrapContext { context: &merged, ..own },
            WrapContext { context: &empty, ..own },
        ] {
            assert!(open(&mut sealed, other).is_none(), "{other:?}");
        }
    }

    #[test]
    fn the_digest_is_the_documented_one() {
        let (header, empty) = (HeaderDigest::from_bytes([7; 32]), EncryptionContext::empty());
        let context = WrapContext { purpose: Purpose::Dek, header: &header, context: &empty };
        let mut hash = Sha256::new();
        hash.update(b"leasehold/azure-payload/v1\x03dek");
        hash.update([7; 32]);
        hash.update(Sha256::digest(b"leasehold/context/v1\0"));
        let expected: [u8; 32] = hash.finalize().into();
        assert_eq!(binding_digest(context), expected);
    }

    #[test]
    fn what_is_too_short_does_not_open() {
        let (header, empty) = (HeaderDigest::from_bytes([7; 32]), EncryptionContext::empty());
        let context = WrapContext { purpose: Purpose::Dek, header: &header, context: &empty };
        for length in [0, 1, 31] {
            assert!(open(&mut vec![0; length], context).is_none());
        }
    }
}
