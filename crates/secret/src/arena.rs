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

#[cfg(test)]
impl Arena {
    /// Whether nothing is left in the slots that are free. Holding the list keeps them free while they are read.
    pub(crate) fn free_slots_are_zero(&self) -> bool {
        let free = self.inner.free();
        // SAFETY: a free slot has no owner, and cannot get one while we hold the list.
        free.iter().all(|&index| unsafe { self.inner.slot(index).read_volatile() } == [0; SLOT])
    }

    /// The smallest arena, for tests.
    pub(crate) fn small() -> Self {
        let bytes = ArenaConfig::MIN_BYTES;
        Self::new(ArenaConfig { bytes, on_unlockable: OnUnlockable::DangerUseOrdinaryMemory }).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::HashSet;
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn a_full_arena_refuses_and_recovers_when_a_slot_returns() {
        let arena = Arena::small();
        let mut held: Vec<_> = (0..arena.capacity()).map(|_| arena.take().unwrap()).collect();
        let full = SecretError::ArenaFull { capacity: arena.capacity() };
        assert_eq!(arena.in_use(), arena.capacity());
        assert_eq!(arena.take().err(), Some(full));
        drop(held.pop());
        held.push(arena.take().unwrap());
        assert_eq!(arena.take().err(), Some(full));
        held.clear();
        assert_eq!(arena.in_use(), 0);
    }

    #[test]
    fn no_slot_is_handed_out_twice() {
        const THREADS: u8 = 4;
        let arena = Arena::small();
        let share = arena.capacity() / usize::from(THREADS);
        let barrier = Barrier::new(THREADS.into());
        let claim = |mark: u8| {
            barrier.wait();
            for _ in 0..50 {
                let mut held: Vec<_> = (0..share).map(|_| arena.take().unwrap()).collect();
                for slot in &mut held {
                    assert_eq!(slot.bytes(), &[0; SLOT], "a slot is clean when it is handed out");
                    slot.bytes_mut().fill(mark);
                }
                assert!(
                    held.iter().all(|slot| slot.bytes() == &[mark; SLOT]),
                    "another owner wrote to this slot"
                );
            }
        };
        thread::scope(|scope| {
            let claim = &claim;
            (1..=THREADS).for_each(|mark| drop(scope.spawn(move || claim(mark))));
        });
        let held: Vec<_> = (0..arena.capacity()).map(|_| arena.take().unwrap()).collect();
        let places: HashSet<_> = held.iter().map(|slot| slot.bytes().as_ptr()).collect();
        assert_eq!(places.len(), arena.capacity());
    }

    #[test]
    fn a_dropped_slot_is_zero() {
        let arena = Arena::small();
        let mut slot = arena.take().unwrap();
        slot.bytes_mut().fill(0xA5);
        let place = slot.index;
        drop(slot);
        assert!(arena.inner.free().contains(&place));
        assert!(arena.free_slots_are_zero());
    }

    #[test]
    fn the_arena_outlives_its_handle_while_a_slot_is_held() {
        let mut slot = Arena::small().take().unwrap();
        slot.bytes_mut().fill(7);
        assert_eq!(slot.bytes(), &[7; SLOT]);
    }

    /// A kernel that locks at most `limit` bytes, and notes what it was asked.
    fn grudging(
        limit: usize,
        asked: &RefCell<Vec<(usize, Protection)>>,
    ) -> impl Fn(usize, Protection) -> Result<Region, OsError> {
        move |bytes, protection| {
            asked.borrow_mut().push((bytes, protection));
            let locks = protection == Protection::Mlock && bytes <= limit;
            if locks || protection == Protection::None {
                Region::map(bytes, Protection::None)
            } else {
                Err(OsError::from_code(libc::EAGAIN))
            }
        }
    }

    #[test]
    fn a_low_memlock_limit_gives_a_smaller_arena() {
        let asked = RefCell::new(Vec::new());
        let arena = Arena::with_mapper(ArenaConfig::default(), grudging(64 * 1024, &asked)).unwrap();
        assert_eq!(arena.capacity(), 64 * 1024 / SLOT);
        let sizes: Vec<_> = asked.borrow().iter().map(|(bytes, _)| bytes / 1024).collect();
        assert_eq!(sizes, [1024, 1024, 512, 512, 256, 256, 128, 128, 64, 64]);
        let first = asked.borrow()[0].1;
        assert_eq!(first, Protection::MemfdSecret, "the better protection is tried first");
    }

    #[test]
    fn nothing_lockable_is_refused_unless_danger_is_chosen() {
        let asked = RefCell::new(Vec::new());
        let refused = Arena::with_mapper(ArenaConfig::default(), grudging(0, &asked)).err();
        let os = OsError::from_code(libc::EAGAIN);
        assert_eq!(refused, Some(SecretError::Unlockable { wanted: ArenaConfig::MIN_BYTES, os }));
        assert!(asked.borrow().iter().all(|(_, protection)| *protection != Protection::None));

        let danger =
            ArenaConfig { on_unlockable: OnUnlockable::DangerUseOrdinaryMemory, ..ArenaConfig::default() };
        let arena = Arena::with_mapper(danger, grudging(0, &asked)).unwrap();
        assert_eq!(arena.protection(), Protection::None);
        assert_eq!(arena.capacity(), ArenaConfig::DEFAULT_BYTES / SLOT);
        assert!(arena.protection().to_string().contains("NO PROTECTION"));
    }

    #[test]
    fn an_arena_below_the_minimum_is_refused() {
        let (bytes, minimum) = (ArenaConfig::MIN_BYTES - 1, ArenaConfig::MIN_BYTES);
        let config = ArenaConfig { bytes, ..ArenaConfig::default() };
        assert_eq!(Arena::new(config).err(), Some(SecretError::ArenaTooSmall { bytes, minimum }));
    }

    #[test]
    fn debug_shows_counts_and_no_contents() {
        let arena = Arena::small();
        let mut slot = arena.take().unwrap();
        slot.bytes_mut().fill(b'Q');
        let shown = format!("{arena:?}");
        assert!(shown.starts_with("Arena { capacity: 256, in_use: 1, protection: "), "{shown}");
        assert!(!shown.contains("81") && !shown.contains('Q'), "{shown}");
    }
}
