//! Envelopes, from bytes that anybody may have made.

#![no_main]

use leasehold_envelope::{Body, Envelope, MAX_ENVELOPE, WrappedKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(envelope) = Envelope::parse(bytes) else { return };
    assert!((1..=MAX_ENVELOPE).contains(&bytes.len()));

    // One encoding: parsing and encoding undo each other.
    let encoded = envelope.encode();
    assert_eq!(encoded.as_bytes(), bytes);
    assert_eq!(encoded.to_string().parse::<WrappedKey>().as_ref(), Ok(&encoded));
    assert_eq!(Envelope::new(envelope.header().clone(), envelope.body().clone()).as_ref(), Ok(&envelope));

    // The digest is of the header, the whole header and nothing but the header.
    let mut other = envelope.header().clone();
    assert_eq!(other.digest(), envelope.header().digest());
    other.tenant = "another".parse().expect("a tenant id");
    assert_eq!(other.digest() == envelope.header().digest(), other == *envelope.header());

    // What is printed is bounded, and of the body no more than sizes.
    assert!(format!("{envelope:?}").len() < 4 * MAX_ENVELOPE);
    if let Body::Direct { ciphertext } = envelope.body() {
        assert_eq!(format!("{:?}", envelope.body()), format!("Direct({} bytes)", ciphertext.len()));
    }
});
