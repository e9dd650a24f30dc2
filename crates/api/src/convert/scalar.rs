//! Values of one field.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use leasehold_envelope::{EncryptionContext, WrappedKey};
use leasehold_secret::KeyLength;

use crate::FieldError;

/// Items of a page when the request does not say.
const DEFAULT_PAGE: usize = 50;
/// Most items of a page: 1,000 tenants of about 300 bytes stay far below the 4 MiB that clients accept by default.
const MAX_PAGE: usize = 1000;

/// An encryption context.
///
/// # Errors
/// [`FieldError`] for `field`.
pub fn context(field: &str, entries: HashMap<String, String>) -> Result<EncryptionContext, FieldError> {
    EncryptionContext::try_from_iter(entries).map_err(|error| FieldError::new(field, error))
}

/// The bytes of a wrapped key; the envelope is not taken apart here.
///
/// # Errors
/// [`FieldError`] for `field`.
pub fn wrapped_key(field: &str, bytes: Bytes) -> Result<WrappedKey, FieldError> {
    WrappedKey::try_from(bytes).map_err(|error| FieldError::new(field, error))
}

/// The length of a key that is to be made; 0 means 32 bytes, an AES-256 key.
///
/// # Errors
/// [`FieldError`] for `field`.
pub fn key_length(field: &str, bytes: u32) -> Result<KeyLength, FieldError> {
    match bytes {
        0 => Ok(KeyLength::B32),
        _ => usize::try_from(bytes)
            .ok()
            .and_then(|bytes| KeyLength::try_from(bytes).ok())
            .ok_or_else(|| FieldError::new(field, "must be 16, 24, 32, 48 or 64, or 0 for 32")),
    }
}

/// How many items a page may have: 0 means 50, more than 1000 means 1000 (<https://google.aip.dev/158>).
///
/// # Errors
/// [`FieldError`] for `field` if negative.
pub fn page_size(field: &str, size: i32) -> Result<usize, FieldError> {
    match usize::try_from(size) {
        Ok(0) => Ok(DEFAULT_PAGE),
        Ok(size) => Ok(size.min(MAX_PAGE)),
        Err(_) => Err(FieldError::new(field, "must not be negative")),
    }
}

/// A span of time.
///
/// # Errors
/// [`FieldError`] for `field` if negative or not normalised.
pub fn duration(field: &str, duration: prost_types::Duration) -> Result<Duration, FieldError> {
    let invalid = || FieldError::new(field, "must be a duration that is not negative");
    let seconds = u64::try_from(duration.seconds).map_err(|_| invalid())?;
    let nanos = u32::try_from(duration.nanos).ok().filter(|n| *n < 1_000_000_000).ok_or_else(invalid)?;
    Ok(Duration::new(seconds, nanos))
}

/// A span of time as it travels; one too long to represent is cut, which no bound of ours comes near.
#[must_use]
pub fn duration_to_proto(span: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        // Below 10^9, and so below i32::MAX.
        nanos: i32::try_from(span.subsec_nanos()).unwrap_or(0),
    }
}

/// A moment as it travels.
#[must_use]
pub fn timestamp(at: SystemTime) -> prost_types::Timestamp {
    prost_types::Timestamp::from(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn key_lengths_are_the_five_and_zero_for_the_usual_one() {
        assert_eq!(key_length("key_bytes", 0), Ok(KeyLength::B32));
        assert_eq!(key_length("key_bytes", 64), Ok(KeyLength::B64));
        for bad in [1, 15, 33, 65, u32::MAX] {
            assert_eq!(key_length("key_bytes", bad).unwrap_err().field(), "key_bytes");
        }
    }

    #[test]
    fn page_sizes_are_clamped_and_never_negative() {
        for (asked, given) in [(0, 50), (1, 1), (1000, 1000), (i32::MAX, 1000)] {
            assert_eq!(page_size("page_size", asked), Ok(given));
        }
        assert!(page_size("page_size", -1).is_err());
    }

    proptest! {
        #[test]
        fn no_duration_panics_and_good_ones_survive(seconds in any::<i64>(), nanos in any::<i32>()) {
            let proto = prost_types::Duration { seconds, nanos };
            if let Ok(span) = duration("d", proto) {
                prop_assert_eq!(duration_to_proto(span), proto);
            }
        }

        #[test]
        fn no_context_panics(entries in any::<HashMap<String, String>>()) {
            let _ = context("encryption_context", entries);
        }
    }
}
