//! A fixed number of slots in locked memory.
//!
//! One arena per process: locking is counted in pages and costs a system call, so a mapping per key (89 µs and four
//! pages each) is out of the question.
#![expect(unsafe_code, reason = "slots of one mapping are handed out to different owners")]

use std::fmt;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroize;

use crate::error::OsError;
use crate::region::{Protection, Region};
use crate::{KeyLength, SecretError};

/// Size of a slot in bytes: the longest key. A shorter key takes a whole slot too.
const SLOT: usize = KeyLength::MAX_BYTES;

/// What to do when the kernel locks no memory for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnlockable {
    /// Fail with [`SecretError::Unlockable`]. The default.
    #[default]
    Refuse,
    /// Hold keys in ordinary memory, which may be swapped to disk. For development only.
    DangerUseOrdinaryMemory,
}

/// How much locked memory to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArenaConfig {
    /// Bytes wanted; 64 bytes hold one key, and what counts is how many keys are in the clear *at the same moment*, not
    /// how many are cached. If the kernel will not lock so many (`RLIMIT_MEMLOCK` is often 64 KiB), the arena takes half,
    /// and half of that, down to [`ArenaConfig::MIN_BYTES`]; [`Arena::capacity`] says what came of it. Default 1 MiB.
    pub bytes: usize,
    /// What to do when not even the minimum can be locked. Default: refuse.
    pub on_unlockable: OnUnlockable,
}

impl ArenaConfig {
    /// 1 MiB: 16,384 keys at a time. An operation holds one or two for less than a millisecond.
    pub const DEFAULT_BYTES: usize = 1024 * 1024;

    /// 16 KiB: 256 keys at a time. It leaves three quarters of the common limit of 64 KiB to others in the process.
    pub const MIN_BYTES: usize = 16 * 1024;
}

impl Default for ArenaConfig {
    fn default() -> Self {
        Self { bytes: Self::DEFAULT_BYTES, on_unlockable: OnUnlockable::default() }
    }
}

/// Locked memory, cut into slots of one key each. Clones share it; it lives until the last clone and the last key in it
/// are gone.
#[derive(Clone)]
pub struct Arena {
    inner: Arc<Inner>,
}

struct Inner {
    region: Region,
    slots: usize,
    /// Indices of free slots, used as a stack. Its capacity is fixed at construction, so that freeing never allocates.
    free: Mutex<Vec<usize>>,
}

impl Arena {
    /// Maps and locks an arena.
    ///
    /// # Errors
    /// [`SecretError::ArenaTooSmall`] below the minimum; [`SecretError::Unlockable`] when the kernel locks too little and
    /// the configuration says to refuse; [`SecretError::Unmappable`] when there is not even ordinary memory.
    pub fn new(config: ArenaConfig) -> Result<Self, SecretError> {
        Self::with_mapper(config, Region::map)
    }

    /// As [`Arena::new`], with the kernel's part as a parameter.
    fn with_mapper(
        config: ArenaConfig,
        map: impl Fn(usize, Protection) -> Result<Region, OsError>,
    ) -> Result<Self, SecretError> {
        let (bytes, minimum) = (config.bytes, ArenaConfig::MIN_BYTES);
        if bytes < minimum {
            return Err(SecretError::ArenaTooSmall { bytes, minimum });
        }
        let region = match (lockable(bytes, minimum, &map), config.on_unlockable) {
            (Ok(region), _) => region,
            (Err(os), OnUnlockable::Refuse) => return Err(SecretError::Unlockable { wanted: minimum, os }),
            (Err(_), OnUnlockable::DangerUseOrdinaryMemory) => {
                map(bytes, Protection::None).map_err(|os| SecretError::Unmappable { wanted: bytes, os })?
            }
        };
        let slots = region.len() / SLOT;
        // Low indices first: a little-used arena then touches few cache lines.
        let free = Mutex::new((0..slots).rev().collect());
        Ok(Self { inner: Arc::new(Inner { region, slots, free }) })
    }

    /// What protects the arena's pages; print it at start-up.
    #[must_use]
    pub fn protection(&self) -> Protection {
        self.inner.region.protection()
    }

    /// How many keys fit at a time.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.inner.slots
    }

    /// How many slots hold a key now. Sealing keys count too.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.inner.slots - self.inner.free().len()
    }

    /// Takes a slot; its bytes are zero.
    pub(crate) fn take(&self) -> Result<Slot, SecretError> {
        let index = self.inner.free().pop();
        let index = index.ok_or(SecretError::ArenaFull { capacity: self.inner.slots })?;
        Ok(Slot { arena: Arc::clone(&self.inner), index })
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena")
            .field("capacity", &self.capacity())
            .field("in_use", &self.in_use())
            .field("protection", &self.protection())
            .finish()
    }
}

impl Inner {
    /// A panic elsewhere cannot leave the list half-changed: every critical section is one push, pop or length.
    fn free(&self) -> MutexGuard<'_, Vec<usize>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, index: usize) -> NonNull<[u8; SLOT]> {
        debug_assert!(index < self.slots);
        // SAFETY: indices come from the free list alone and are below `slots`, so the result is inside the region.
        unsafe { self.region.start().cast::<[u8; SLOT]>().add(index) }
    }
}

/// Exclusive use of one slot. Dropping it wipes the slot and then frees it.
pub(crate) struct Slot {
    arena: Arc<Inner>,
    index: usize,
}

impl Slot {
    pub(crate) fn bytes(&self) -> &[u8; SLOT] {
        // SAFETY: the index left the free list when this Slot was made and returns only when it is dropped, so nobody
        // else refers to these bytes; they are mapped, initialised and alive as long as the arena, which we hold.
        unsafe { self.arena.slot(self.index).as_ref() }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8; SLOT] {
        // SAFETY: as in `bytes`, and `&mut self` makes this the only reference through the Slot.
        unsafe { self.arena.slot(self.index).as_mut() }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Volatile writes, which the compiler may not leave out. Before the slot is free, never after.
        self.bytes_mut().zeroize();
        self.arena.free().push(self.index);
    }
}

/// The best protection at the largest size that the kernel grants: `bytes`, else half of it, down to `minimum`.
fn lockable(
    bytes: usize,
    minimum: usize,
    map: impl Fn(usize, Protection) -> Result<Region, OsError>,
) -> Result<Region, OsError> {
    let mut size = bytes;
    loop {
        let result = map(size, Protection::MemfdSecret).or_else(|_| map(size, Protection::Mlock));
        match result {
            Ok(region) => return Ok(region),
            Err(os) if size == minimum => return Err(os),
            Err(_) => size = (size / 2).max(minimum),
        }
    }
}
