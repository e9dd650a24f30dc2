//! Parsing and encoding undo each other.

use leasehold_envelope::{Body, Envelope, EnvelopeError, Hierarchy, MAX_ENVELOPE};
use proptest::prelude::*;

use crate::strategies::{envelope, header};

proptest! {
    #[test]
    fn an_envelope_survives_encoding(envelope in envelope()) {
        let wrapped = envelope.encode();
        prop_assert_eq!(Envelope::parse(wrapped.as_bytes()).unwrap(), envelope);
    }

    #[test]
    fn bytes_that_parse_are_the_one_encoding_of_what_they_parse_to(
        envelope in envelope(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let mut bytes = envelope.encode().into_bytes().to_vec();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(parsed) = Envelope::parse(&bytes) {
            prop_assert_eq!(parsed.encode().into_bytes(), bytes);
        }
    }

    #[test]
    fn different_headers_have_different_digests(a in header(Hierarchy::Direct), b in header(Hierarchy::Direct)) {
        prop_assert_eq!(a == b, a.digest() == b.digest());
        let mut other = a.clone();
        other.hierarchy = Hierarchy::Kek;
        prop_assert_ne!(a.digest(), other.digest());
        prop_assert!(a.digest().matches(b.digest().as_bytes()) == (a == b));
    }

    #[test]
    fn a_body_goes_only_under_a_header_of_its_hierarchy(envelope in envelope()) {
        let mut header = envelope.header().clone();
        header.hierarchy = match header.hierarchy {
            Hierarchy::Direct => Hierarchy::Kek,
            Hierarchy::Kek => Hierarchy::Direct,
        };
        let result = Envelope::new(header, envelope.body().clone());
        prop_assert_eq!(result, Err(EnvelopeError::HierarchyMismatch));
    }

    #[test]
    fn an_envelope_of_the_largest_size_fits_and_one_byte_more_does_not(header in header(Hierarchy::Direct)) {
        let empty = Envelope::new(header.clone(), Body::Direct { ciphertext: vec![0].into() }).unwrap();
        let overhead = empty.encode().as_bytes().len() - 1;
        let of = |len: usize| Envelope::new(header.clone(), Body::Direct { ciphertext: vec![0; len].into() });
        let largest = of(MAX_ENVELOPE - overhead).unwrap().encode();
        prop_assert_eq!(largest.as_bytes().len(), MAX_ENVELOPE);
        prop_assert!(Envelope::parse(largest.as_bytes()).is_ok());
        for len in [MAX_ENVELOPE - overhead + 1, 65_535, 65_536, 70_000] {
            prop_assert_eq!(of(len), Err(EnvelopeError::TooLarge { bytes: overhead + len }));
        }
    }
}
