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
