//! What is printed, and what is read back from print.

use leasehold_envelope::{
    EncryptionContext, Envelope, EnvelopeError, Hierarchy, KeyId, KeyVersion, MAX_ENVELOPE, Purpose,
    WrappedKey,
};
use proptest::prelude::*;

use crate::strategies::envelope;

proptest! {
    #[test]
    fn a_wrapped_key_survives_base64_and_json(bytes in prop::collection::vec(any::<u8>(), 1..200)) {
        let wrapped = WrappedKey::try_from(bytes).unwrap();
        prop_assert_eq!(wrapped.to_string().parse::<WrappedKey>().unwrap(), wrapped.clone());
        let json = serde_json::to_string(&wrapped).unwrap();
        prop_assert_eq!(&json, &format!("\"{wrapped}\""));
        prop_assert_eq!(serde_json::from_str::<WrappedKey>(&json).unwrap(), wrapped);
    }

    #[test]
    fn debug_never_prints_the_body(envelope in envelope()) {
        let (shown, wrapped) = (format!("{envelope:?}"), format!("{:?}", envelope.encode()));
        prop_assert!(shown.len() < 1400, "{}", shown);
        prop_assert!(wrapped.len() < 48, "{}", wrapped);
    }
}

#[test]
fn wrapped_keys_have_1_to_4096_bytes_and_strict_base64() {
    assert_eq!(WrappedKey::try_from(vec![]), Err(EnvelopeError::Empty));
    assert!(WrappedKey::try_from(vec![0; MAX_ENVELOPE]).is_ok());
    let bytes = MAX_ENVELOPE + 1;
    assert_eq!(WrappedKey::try_from(vec![0; bytes]), Err(EnvelopeError::TooLarge { bytes }));
    for bad in ["====", "AA", "AA=", "AB==", "AA==\n", " AA==", "A-==", "é"] {
        assert_eq!(bad.parse::<WrappedKey>(), Err(EnvelopeError::NotBase64), "{bad:?}");
    }
    assert_eq!("".parse::<WrappedKey>(), Err(EnvelopeError::Empty));
    assert_eq!("AA==".parse::<WrappedKey>().map(|w| w.as_bytes().to_vec()), Ok(vec![0]));
}

#[test]
fn debug_of_a_wrapped_key_is_its_size_and_a_short_digest() {
    let wrapped = WrappedKey::try_from(b"abc".to_vec()).unwrap();
    assert_eq!(format!("{wrapped:?}"), "WrappedKey(3 bytes, sha256 ba7816bf)");
}

#[test]
fn digests_print_as_64_lower_case_hexadecimal_digits() {
    let text = EncryptionContext::empty().commitment().to_string();
    assert_eq!(text.len(), 64);
    assert!(text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
}

#[test]
fn hierarchies_and_purposes_have_stable_names() {
    for hierarchy in [Hierarchy::Direct, Hierarchy::Kek] {
        assert_eq!(hierarchy.to_string().parse(), Ok(hierarchy));
        assert_eq!(serde_json::to_string(&hierarchy).unwrap(), format!("\"{hierarchy}\""));
    }
    assert!("Direct".parse::<Hierarchy>().is_err());
    assert_eq!([Purpose::Dek, Purpose::Kek, Purpose::Canary].map(Purpose::as_str), ["dek", "kek", "canary"]);
}

#[test]
fn key_names_are_checked_when_read() {
    assert!(serde_json::from_str::<KeyId>("\"\"").is_err());
    assert!(serde_json::from_str::<KeyId>("\"a b\"").is_err());
    assert_eq!(serde_json::from_str::<KeyVersion>("\"\"").unwrap(), KeyVersion::none());
}

#[test]
fn errors_are_one_lower_case_clause_and_never_echo_the_input() {
    let hostile = b"SECRET-LOOKING INPUT";
    let error = Envelope::parse(hostile).unwrap_err();
    assert_eq!(error.to_string(), "not a Leasehold envelope; pass the bytes that a wrap returned");
    assert!("SECRET!".parse::<WrappedKey>().unwrap_err().to_string().chars().next().unwrap().is_lowercase());
}
