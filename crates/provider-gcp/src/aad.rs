//! What a ciphertext is bound to, as Cloud KMS gets it. Laid out in `docs/envelope.md`.

use leasehold_envelope::KeyVersion;
use leasehold_provider::WrapContext;

/// Keeps our additional authenticated data from being anybody else's.
const LABEL: &[u8] = b"leasehold/aad/v1";

/// `label ‖ str8 purpose ‖ header digest ‖ context commitment ‖ str16 key version`: at most 16 + 7 + 64 + 258 = 345 bytes, of the
/// 8 KiB that an HSM takes together with what is wrapped.
///
/// The version is among it so that the header's word for it holds: Decrypt is addressed to the key, and Cloud KMS finds the
/// version by the ciphertext.
pub(crate) fn encode(context: &WrapContext<'_>, version: &KeyVersion) -> Vec<u8> {
    let (purpose, version) = (context.purpose.as_str(), version.as_str());
    let mut aad = LABEL.to_vec();
    // A purpose has 6 bytes at most, a version 256.
    aad.push(u8::try_from(purpose.len()).unwrap_or(u8::MAX));
    aad.extend_from_slice(purpose.as_bytes());
    aad.extend_from_slice(context.header.as_bytes());
    aad.extend_from_slice(context.context.commitment().as_bytes());
    aad.extend_from_slice(&u16::try_from(version.len()).unwrap_or(u16::MAX).to_be_bytes());
    aad.extend_from_slice(version.as_bytes());
    aad
}

#[cfg(test)]
mod tests {
    use leasehold_envelope::{EncryptionContext, HeaderDigest, Purpose};

    use super::*;

    #[test]
    fn the_encoding_is_as_documented_for_ever() {
        let header = HeaderDigest::from_bytes([7; 32]);
        let context = EncryptionContext::try_from_iter([("project", "p-1")]).unwrap();
        let bound = WrapContext { purpose: Purpose::Canary, header: &header, context: &context };
        let encoded = encode(&bound, &"12".parse().unwrap());
        let expected = [
            b"leasehold/aad/v1".as_slice(),
            b"\x06canary",
            &[7; 32],
            // The commitment to {project: p-1}, from the published vectors.
            &data_encoding::HEXLOWER
                .decode(b"0e26663aa202b41246859d7e0d1b13f20def47bf41f17aad189310f71c50c513")
                .unwrap(),
            b"\x00\x0212",
        ]
        .concat();
        assert_eq!(encoded, expected);
    }
}
