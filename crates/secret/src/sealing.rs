//! Sealing: keys at rest in this process.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::arena::Arena;
use crate::cipher::{self, KEY, NONCE, TAG};
use crate::{FillError, KeyLength, PlaintextKey, SecretError};

/// How many values one sealing key seals at most: 2^32.
///
/// NIST SP 800-38D (<https://doi.org/10.6028/NIST.SP.800-38D>), section 8.3, limits a key to 2^32 invocations unless all
/// nonces are 96 bits of the deterministic construction, which ours are, so that the standard itself sets no limit below
/// the counter's 2^64. We keep to 2^32 regardless: at most 2^32 · 5 blocks is under 2^35, where the advantage of a
/// distinguisher (about blocks² / 2^129) is below 2^-59. A key that is renewed daily reaches it at 49,710 seals a second,
/// and then refuses; it never repeats.
const MAX_SEALS: u64 = 1 << 32;

/// A key under which plaintext keys are sealed for caching; itself in locked memory. Wiping it makes everything that it
/// sealed unreadable in one step, whoever still holds the ciphertext.
pub struct SealingKey {
    /// Gone once wiped. Held for reading during an operation and for writing during the wipe, so that the wipe waits for
    /// the operations (under a microsecond each) that are using the key, and none can begin after it.
    key: RwLock<Option<PlaintextKey>>,
    arena: Arena,
    /// The next nonce. Only ever grows.
    seals: AtomicU64,
}

/// Ciphertext of one plaintext key: safe to keep in ordinary memory, useless without its sealing key.
#[derive(Clone)]
pub struct Sealed {
    /// Nonce, ciphertext, tag.
    bytes: Box<[u8]>,
}

impl SealingKey {
    /// A new random sealing key. It takes one slot until it is wiped or dropped.
    ///
    /// # Errors
    /// [`SecretError::ArenaFull`]; [`SecretError::Randomness`].
    pub fn generate(arena: &Arena) -> Result<Self, SecretError> {
        let key = PlaintextKey::generate(arena, KeyLength::B32)?;
        Ok(Self { key: RwLock::new(Some(key)), arena: arena.clone(), seals: AtomicU64::new(0) })
    }

    /// Seals `key`; only [`SealingKey::open`] of the same sealing key with the same `aad` gives it back.
    ///
    /// # Errors
    /// [`SecretError::Wiped`]; [`SecretError::KeyExhausted`] after 2^32 seals.
    pub fn seal(&self, key: &PlaintextKey, aad: &[u8]) -> Result<Sealed, SecretError> {
        let guard = self.read();
        let sealing = material(&guard)?;
        let nonce = self.next_nonce()?;
        let mut bytes = vec![0; NONCE + key.len().bytes() + TAG].into_boxed_slice();
        let (head, rest) = bytes.split_at_mut(NONCE);
        let (body, tag) = rest.split_at_mut(key.len().bytes());
        head.copy_from_slice(&nonce);
        tag.copy_from_slice(&cipher::encrypt(sealing, &nonce, aad, key.expose(), body));
        Ok(Sealed { bytes })
    }

    /// Opens what [`SealingKey::seal`] made, straight into a slot.
    ///
    /// An `open` that began before a wipe may return its result to the caller after it: check the lease once more before
    /// an answer leaves.
    ///
    /// # Errors
    /// [`SecretError::Wiped`]; [`SecretError::NotAuthentic`] if another key or other `aad` sealed it;
    /// [`SecretError::ArenaFull`].
    pub fn open(&self, sealed: &Sealed, aad: &[u8]) -> Result<PlaintextKey, SecretError> {
        let guard = self.read();
        let sealing = material(&guard)?;
        let (nonce, body, tag) = sealed.parts().ok_or(SecretError::NotAuthentic)?;
        let len = KeyLength::try_from(body.len()).map_err(|_| SecretError::NotAuthentic)?;
        let opened =
            PlaintextKey::fill(&self.arena, len, |out| cipher::decrypt(sealing, nonce, aad, body, tag, out));
        opened.map_err(|error| match error {
            FillError::Secret(error) => error,
            FillError::Source(cipher::Forged) => SecretError::NotAuthentic,
        })
    }

    /// Wipes the key. When this returns, no operation under it succeeds any more and none is still using it. Idempotent,
    /// and takes the same short time however much was sealed.
    pub fn wipe(&self) {
        drop(self.write().take());
    }

    /// Whether [`SealingKey::wipe`] has happened. Once true, true for ever.
    #[must_use]
    pub fn is_wiped(&self) -> bool {
        self.read().is_none()
    }

    /// The deterministic construction of SP 800-38D section 8.2.1: a fixed field of 32 bits, then an invocation field of
    /// 64 bits that counts. The fixed field tells apart the devices that share a key; a sealing key lives in one process
    /// and is shared with none, so it is zero. Never random: random nonces would collide long before the counter ends.
    fn next_nonce(&self) -> Result<[u8; NONCE], SecretError> {
        let step = |count: u64| (count < MAX_SEALS).then_some(count + 1);
        // Relaxed: uniqueness needs atomicity only, no order with anything else.
        let count = self.seals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
        let count = count.map_err(|_| SecretError::KeyExhausted)?;
        let mut nonce = [0; NONCE];
        nonce[4..].copy_from_slice(&count.to_be_bytes());
        Ok(nonce)
    }

    /// The lock guards one `Option` that is only ever taken, so a panic while it was held cannot have left it half-done.
    fn read(&self) -> RwLockReadGuard<'_, Option<PlaintextKey>> {
        self.key.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Option<PlaintextKey>> {
        self.key.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn material(key: &Option<PlaintextKey>) -> Result<&[u8; KEY], SecretError> {
    let key = key.as_ref().ok_or(SecretError::Wiped)?;
    key.expose().first_chunk().ok_or(SecretError::Wiped)
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey").field("wiped", &self.is_wiped()).finish_non_exhaustive()
    }
}

impl Sealed {
    /// Size in bytes: the key's length and 28 more.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    fn parts(&self) -> Option<(&[u8; NONCE], &[u8], &[u8; TAG])> {
        let (nonce, rest) = self.bytes.split_first_chunk()?;
        let (body, tag) = rest.split_last_chunk()?;
        Some((nonce, body, tag))
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.size())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, AtomicUsize};
    use std::thread;

    use proptest::prelude::*;
    use static_assertions::{assert_impl_all, assert_not_impl_any};

    use super::*;

    assert_not_impl_any!(SealingKey: Clone, PartialEq, serde::Serialize);
    assert_impl_all!(SealingKey: Send, Sync);
    assert_impl_all!(Sealed: Send, Sync);

    fn any_len() -> impl Strategy<Value = KeyLength> {
        prop::sample::select(&KeyLength::ALL[..])
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_to_the_same_key(len in any_len(), aad in prop::collection::vec(any::<u8>(), 0..200)) {
            let arena = Arena::small();
            let sealing = SealingKey::generate(&arena).unwrap();
            let key = PlaintextKey::generate(&arena, len).unwrap();
            let sealed = sealing.seal(&key, &aad).unwrap();
            prop_assert_eq!(sealed.size(), len.bytes() + 28);
            prop_assert!(!sealed.bytes.windows(8).any(|w| key.expose().windows(8).any(|k| k == w)));
            prop_assert!(sealing.open(&sealed, &aad).unwrap().matches(&key));
        }

        #[test]
        fn a_sealed_key_opens_only_under_its_own_key_and_data(
            len in any_len(),
            aad in prop::collection::vec(any::<u8>(), 0..64),
            other in prop::collection::vec(any::<u8>(), 0..64),
            flip in any::<prop::sample::Index>(),
            bit in 0..8u32,
        ) {
            prop_assume!(aad != other);
            let arena = Arena::small();
            let (sealing, stranger) =
                (SealingKey::generate(&arena).unwrap(), SealingKey::generate(&arena).unwrap());
            let key = PlaintextKey::generate(&arena, len).unwrap();
            let sealed = sealing.seal(&key, &aad).unwrap();
            prop_assert_eq!(sealing.open(&sealed, &other).err(), Some(SecretError::NotAuthentic));
            prop_assert_eq!(stranger.open(&sealed, &aad).err(), Some(SecretError::NotAuthentic));
            let mut changed = sealed.clone();
            changed.bytes[flip.index(sealed.size())] ^= 1 << bit;
            prop_assert_eq!(sealing.open(&changed, &aad).err(), Some(SecretError::NotAuthentic));
            prop_assert_eq!(arena.in_use(), 3, "failed openings keep no slot");
            prop_assert!(arena.free_slots_are_zero(), "and leave nothing in one");
        }
    }

    #[test]
    fn a_sealed_value_of_any_size_is_an_error_and_not_a_panic() {
        let arena = Arena::small();
        let sealing = SealingKey::generate(&arena).unwrap();
        for size in 0..200 {
            let sealed = Sealed { bytes: vec![0; size].into() };
            assert_eq!(sealing.open(&sealed, b"").err(), Some(SecretError::NotAuthentic));
        }
    }

    #[test]
    fn nonces_never_repeat_under_concurrent_sealing() {
        const THREADS: usize = 4;
        const EACH: usize = 500;
        let arena = Arena::small();
        let sealing = SealingKey::generate(&arena).unwrap();
        let key = PlaintextKey::generate(&arena, KeyLength::B32).unwrap();
        let barrier = Barrier::new(THREADS);
        let run = || {
            barrier.wait();
            (0..EACH).map(|_| sealing.seal(&key, b"").unwrap().bytes[..NONCE].to_vec()).collect::<Vec<_>>()
        };
        let nonces: HashSet<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(run)).collect();
            threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(nonces.len(), THREADS * EACH);
    }

    #[test]
    fn an_exhausted_key_refuses_to_seal_and_still_opens() {
        let arena = Arena::small();
        let sealing = SealingKey::generate(&arena).unwrap();
        let key = PlaintextKey::generate(&arena, KeyLength::B32).unwrap();
        sealing.seals.store(MAX_SEALS - 1, Ordering::Relaxed);
        let last = sealing.seal(&key, b"").unwrap();
        for _ in 0..3 {
            assert_eq!(sealing.seal(&key, b"").err(), Some(SecretError::KeyExhausted));
        }
        assert!(sealing.open(&last, b"").unwrap().matches(&key));
    }

    #[test]
    fn a_wiped_key_seals_and_opens_nothing_and_leaves_nothing_in_its_slot() {
        let arena = Arena::small();
        let sealing = SealingKey::generate(&arena).unwrap();
        let key = PlaintextKey::generate(&arena, KeyLength::B32).unwrap();
        let sealed = sealing.seal(&key, b"").unwrap();
        assert!(!sealing.is_wiped());
        for _ in 0..2 {
            sealing.wipe();
            assert!(sealing.is_wiped());
            assert_eq!(sealing.open(&sealed, b"").err(), Some(SecretError::Wiped));
            assert_eq!(sealing.seal(&key, b"").err(), Some(SecretError::Wiped));
        }
        assert_eq!(arena.in_use(), 1, "its slot is free again");
        assert!(arena.free_slots_are_zero());
        assert_eq!(format!("{sealing:?}"), "SealingKey { wiped: true, .. }");
    }

    #[test]
    fn nothing_opens_or_seals_once_a_concurrent_wipe_has_returned() {
        const THREADS: usize = 4;
        let arena = Arena::small();
        let key = PlaintextKey::generate(&arena, KeyLength::B32).unwrap();
        for _ in 0..50 {
            let sealing = SealingKey::generate(&arena).unwrap();
            let sealed = sealing.seal(&key, b"").unwrap();
            let (wiped, busy) = (AtomicBool::new(false), AtomicUsize::new(0));
            let work = || {
                let mut announced = false;
                loop {
                    let after = wiped.load(Ordering::Acquire);
                    let results = [sealing.open(&sealed, b"").err(), sealing.seal(&key, b"").err()];
                    if after {
                        break assert_eq!(results, [Some(SecretError::Wiped); 2]);
                    }
                    if !std::mem::replace(&mut announced, true) {
                        assert_eq!(results, [None; 2], "the wipe waits for everyone's first round");
                        busy.fetch_add(1, Ordering::Release);
                    }
                }
            };
            thread::scope(|scope| {
                (0..THREADS).for_each(|_| drop(scope.spawn(work)));
                while busy.load(Ordering::Acquire) < THREADS {
                    thread::yield_now();
                }
                sealing.wipe();
                wiped.store(true, Ordering::Release);
            });
        }
    }

    #[test]
    fn a_wipe_waits_for_operations_that_are_using_the_key() {
        let arena = Arena::small();
        let sealing = SealingKey::generate(&arena).unwrap();
        let operation = sealing.read();
        assert!(sealing.key.try_write().is_err(), "an operation excludes the wipe");
        let (started, finished) = (Barrier::new(2), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                started.wait();
                sealing.wipe();
                finished.store(true, Ordering::SeqCst);
            });
            started.wait();
            assert!(operation.is_some(), "the key stays until the operation ends");
            assert!(!finished.load(Ordering::SeqCst));
            drop(operation);
        });
        assert!(sealing.is_wiped());
    }

    #[test]
    fn a_panic_while_the_key_is_locked_does_not_disable_it() {
        let arena = Arena::small();
        let sealing = SealingKey::generate(&arena).unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _guard = sealing.write();
            panic!("while locked")
        }));
        assert!(panicked.is_err());
        assert!(!sealing.is_wiped());
        sealing.wipe();
        assert!(sealing.is_wiped());
    }

    #[test]
    fn debug_of_a_sealed_key_is_its_size() {
        let arena = Arena::small();
        let key = PlaintextKey::generate(&arena, KeyLength::B32).unwrap();
        let sealed = SealingKey::generate(&arena).unwrap().seal(&key, b"").unwrap();
        assert_eq!(format!("{sealed:?}"), "Sealed(60 bytes)");
    }
}
