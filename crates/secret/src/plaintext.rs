//! A key in the clear.

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::arena::{Arena, Slot};
use crate::{FillError, KeyLength, SecretError};

/// A key in the clear, in one slot of locked memory; wiped when dropped. It cannot be printed, cloned, compared with `==`
/// or serialised, so that every use of its bytes says [`PlaintextKey::expose`]. Hold it for one operation, never longer.
pub struct PlaintextKey {
    slot: Slot,
    len: KeyLength,
}

impl PlaintextKey {
    /// A new random key from the operating system, written straight into its slot.
    ///
    /// # Errors
    /// [`SecretError::ArenaFull`]; [`SecretError::Randomness`].
    pub fn generate(arena: &Arena, len: KeyLength) -> Result<Self, SecretError> {
        let mut slot = arena.take()?;
        getrandom::fill(&mut slot.bytes_mut()[..len.bytes()]).map_err(|_| SecretError::Randomness)?;
        Ok(Self { slot, len })
    }

    /// A key that `f` writes in place. `f` is given `len` zero bytes.
    ///
    /// # Errors
    /// [`FillError::Secret`] when there is no slot, and then `f` does not run; [`FillError::Source`] with what `f` said,
    /// and whatever it wrote is wiped.
    pub fn fill<E>(
        arena: &Arena,
        len: KeyLength,
        f: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Self, FillError<E>> {
        let mut slot = arena.take().map_err(FillError::Secret)?;
        f(&mut slot.bytes_mut()[..len.bytes()]).map_err(FillError::Source)?;
        Ok(Self { slot, len })
    }

    /// A key copied from a buffer of somebody else's making, such as an SDK's answer. The source is wiped, on error too.
    ///
    /// # Errors
    /// [`SecretError::InvalidLength`]; [`SecretError::ArenaFull`].
    pub fn take(arena: &Arena, source: &mut [u8]) -> Result<Self, SecretError> {
        let result = Self::copy(arena, source);
        source.zeroize();
        result
    }

    fn copy(arena: &Arena, source: &[u8]) -> Result<Self, SecretError> {
        let len = KeyLength::try_from(source.len())?;
        let mut slot = arena.take()?;
        slot.bytes_mut()[..len.bytes()].copy_from_slice(source);
        Ok(Self { slot, len })
    }

    /// The key bytes. Do not copy them anywhere that is not wiped.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.slot.bytes()[..self.len.bytes()]
    }

    /// The length, which is not secret.
    #[must_use]
    pub fn len(&self) -> KeyLength {
        self.len
    }

    /// Whether both keys have the same bytes, in a time that depends on the lengths alone.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use static_assertions::{assert_impl_all, assert_not_impl_any};

    use super::*;

    // These hold at compile time.
    assert_not_impl_any!(PlaintextKey: std::fmt::Debug, std::fmt::Display, Clone, Copy, PartialEq, Default);
    assert_not_impl_any!(PlaintextKey: AsRef<[u8]>, std::ops::Deref, serde::Serialize);
    assert_impl_all!(PlaintextKey: Send, Sync);

    fn full(arena: &Arena) -> Vec<PlaintextKey> {
        (0..arena.capacity()).map(|_| PlaintextKey::generate(arena, KeyLength::B16).unwrap()).collect()
    }

    #[test]
    fn a_generated_key_has_its_length_and_its_own_bytes() {
        let arena = Arena::small();
        for len in KeyLength::ALL {
            let key = PlaintextKey::generate(&arena, len).unwrap();
            let other = PlaintextKey::generate(&arena, len).unwrap();
            assert_eq!((key.len(), key.expose().len()), (len, len.bytes()));
            assert!(!key.matches(&other));
            assert!(key.expose().iter().any(|b| *b != 0));
        }
    }

    #[test]
    fn keys_match_only_with_equal_length_and_bytes() {
        let arena = Arena::small();
        let of = |bytes: &[u8]| PlaintextKey::take(&arena, &mut bytes.to_vec()).unwrap();
        let mut near = [7; 32];
        near[31] = 8;
        assert!(of(&[7; 32]).matches(&of(&[7; 32])));
        assert!(!of(&[7; 32]).matches(&of(&near)));
        assert!(!of(&[7; 32]).matches(&of(&[7; 24])));
    }

    #[test]
    fn taking_a_key_wipes_its_source_even_when_it_fails() {
        let arena = Arena::small();
        let mut source = [9; 32];
        let key = PlaintextKey::take(&arena, &mut source).unwrap();
        assert_eq!((key.expose(), source), ([9; 32].as_slice(), [0; 32]));

        let mut odd = [9; 33];
        let error = PlaintextKey::take(&arena, &mut odd).err();
        assert_eq!((error, odd), (Some(SecretError::InvalidLength { bytes: 33 }), [0; 33]));

        drop(key);
        let _all = full(&arena);
        let mut source = [9; 32];
        let error = PlaintextKey::take(&arena, &mut source).err();
        assert_eq!((error, source), (Some(SecretError::ArenaFull { capacity: arena.capacity() }), [0; 32]));
    }

    #[test]
    fn a_dropped_key_leaves_nothing_in_its_slot() {
        let arena = Arena::small();
        drop(full(&arena));
        assert_eq!(arena.in_use(), 0);
        assert!(arena.free_slots_are_zero());
    }

    #[test]
    fn a_source_that_fails_or_panics_leaves_nothing_behind() {
        let arena = Arena::small();
        let failed = PlaintextKey::fill(&arena, KeyLength::B32, |out| {
            assert_eq!(out, [0; 32]);
            out.fill(0xEE);
            Err("refused")
        });
        assert_eq!(failed.err(), Some(FillError::Source("refused")));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            PlaintextKey::fill::<()>(&arena, KeyLength::B32, |out| {
                out.fill(0xEE);
                panic!("the source broke")
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(arena.in_use(), 0);
        assert!(arena.free_slots_are_zero());
        assert!(PlaintextKey::generate(&arena, KeyLength::B32).is_ok(), "a panic does not poison the arena");
    }

    #[test]
    fn without_a_slot_the_source_is_not_asked() {
        let arena = Arena::small();
        let _all = full(&arena);
        let refused = PlaintextKey::fill::<()>(&arena, KeyLength::B32, |_| panic!("asked"));
        let expected = FillError::Secret(SecretError::ArenaFull { capacity: arena.capacity() });
        assert_eq!(refused.err(), Some(expected));
    }
}
