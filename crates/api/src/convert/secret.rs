//! Plaintext, in and out.

use bytes::Bytes;
use leasehold_secret::{Arena, FillError, KeyLength, PlaintextKey, SecretError};

/// Moves the plaintext of a message into locked memory and wipes the buffer that it arrived in. Where that buffer is still
/// shared with the transport, the allocator wipes it when the transport lets go.
///
/// # Errors
/// [`SecretError::InvalidLength`]; [`SecretError::ArenaFull`].
pub fn plaintext_from_proto(arena: &Arena, plaintext: Bytes) -> Result<PlaintextKey, SecretError> {
    match plaintext.try_into_mut() {
        Ok(mut buffer) => PlaintextKey::take(arena, &mut buffer),
        Err(shared) => {
            let copied = PlaintextKey::fill(arena, KeyLength::try_from(shared.len())?, |out| {
                out.copy_from_slice(&shared);
                Ok::<(), std::convert::Infallible>(())
            });
            copied.map_err(|error| match error {
                FillError::Secret(error) => error,
                FillError::Source(never) => match never {},
            })
        }
    }
}

/// The plaintext of a message that is about to be encoded. No copy is made: the message holds the key itself, in locked
/// memory, until it is dropped.
#[must_use]
pub fn plaintext_to_proto(key: PlaintextKey) -> Bytes {
    Bytes::from_owner(Exposed(key))
}

struct Exposed(PlaintextKey);

impl AsRef<[u8]> for Exposed {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {
    use leasehold_secret::{ArenaConfig, OnUnlockable};

    use super::*;

    fn arena() -> Arena {
        let on_unlockable = OnUnlockable::DangerUseOrdinaryMemory;
        Arena::new(ArenaConfig { bytes: ArenaConfig::MIN_BYTES, on_unlockable }).unwrap()
    }

    #[test]
    fn p4_a_message_takes_one_slot_of_locked_memory_and_gives_it_back() {
        let arena = arena();
        let key = plaintext_from_proto(&arena, Bytes::from(vec![7; 32])).unwrap();
        let message = plaintext_to_proto(key);
        assert_eq!((&message[..], arena.in_use()), (&[7; 32][..], 1));
        drop(message);
        assert_eq!(arena.in_use(), 0);
    }

    #[test]
    fn a_buffer_that_the_transport_still_holds_is_read_too() {
        let held = Bytes::from(vec![9; 16]);
        let key = plaintext_from_proto(&arena(), held.clone()).unwrap();
        assert_eq!(key.expose(), &held[..]);
    }

    #[test]
    fn lengths_that_no_key_has_are_refused() {
        for length in [0, 1, 31, 65] {
            let refused = plaintext_from_proto(&arena(), Bytes::from(vec![0; length]));
            assert!(matches!(refused, Err(SecretError::InvalidLength { .. })), "{length}");
        }
    }
}
