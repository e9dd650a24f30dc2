//! Whatever the bytes, the parser answers.

use leasehold_envelope::{Envelope, EnvelopeError};
use proptest::prelude::*;

use crate::strategies::envelope;

proptest! {
    #[test]
    fn random_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
        // A random input has the magic with probability 2^-32.
        prop_assert!(Envelope::parse(&bytes).is_err());
    }

    #[test]
    fn random_bytes_after_a_good_start_never_panic(tail in prop::collection::vec(any::<u8>(), 0..300), code in 0..4u8) {
        let mut bytes = b"LSHD\x01".to_vec();
        bytes.push(code);
        bytes.extend(tail);
        let _ = Envelope::parse(&bytes);
    }

    #[test]
    fn short_random_lengths_never_panic(tail in prop::collection::vec(prop_oneof![0..4u8, Just(b'a')], 0..200), code in 1..3u8) {
        let mut bytes = b"LSHD\x01".to_vec();
        bytes.push(code);
        bytes.extend(tail);
        if let Ok(parsed) = Envelope::parse(&bytes) {
            prop_assert_eq!(parsed.encode().into_bytes(), bytes);
        }
    }

    #[test]
    fn a_truncated_envelope_is_refused(envelope in envelope(), at in any::<prop::sample::Index>()) {
        let wrapped = envelope.encode();
        let cut = &wrapped.as_bytes()[..at.index(wrapped.as_bytes().len())];
        let expected = if cut.is_empty() { EnvelopeError::Empty } else { EnvelopeError::Truncated };
        prop_assert_eq!(Envelope::parse(cut), Err(expected));
    }

    #[test]
    fn bytes_after_the_end_are_refused(envelope in envelope(), tail in prop::collection::vec(any::<u8>(), 1..20)) {
        let mut bytes = envelope.encode().into_bytes().to_vec();
        bytes.extend(&tail);
        prop_assert_eq!(Envelope::parse(&bytes), Err(EnvelopeError::TrailingBytes { bytes: tail.len() }));
    }

    #[test]
    fn a_flipped_bit_is_refused_or_makes_another_envelope(
        envelope in envelope(),
        at in any::<prop::sample::Index>(),
        bit in 0..8u32,
    ) {
        let mut bytes = envelope.encode().into_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(other) = Envelope::parse(&bytes) {
            prop_assert_ne!(&other, &envelope);
            let header_differs = other.header() != envelope.header();
            prop_assert_eq!(header_differs, other.header().digest() != envelope.header().digest());
            prop_assert!(header_differs || other.body() != envelope.body());
        }
    }
}
