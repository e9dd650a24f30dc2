//! Memory that does not leave: one mapping that is never swapped, dumped or inherited by a child.
//!
//! In order of preference: `memfd_secret`, whose pages are removed from the kernel's own map of memory, so that neither
//! another process, nor `/proc/*/mem`, nor most kernel bugs can read them
//! (<https://man7.org/linux/man-pages/man2/memfd_secret.2.html>); else `mlock` with `MADV_DONTDUMP`. Both count against
//! `RLIMIT_MEMLOCK`. A page without access lies on either side, so that an overrun faults instead of reading keys.
#![expect(unsafe_code, reason = "mapping and locking memory has no safe interface in std")]

use std::fmt;
use std::ptr::{self, NonNull};

use crate::error::OsError;

/// What keeps the arena's pages from leaving the process; for the start-up line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protection {
    /// Mapped by `memfd_secret(2)`: locked, dump-excluded and absent from the kernel's direct map.
    MemfdSecret,
    /// Locked by `mlock(2)` and excluded from core dumps.
    Mlock,
    /// Ordinary memory, which may reach swap. Only by [`crate::OnUnlockable::DangerUseOrdinaryMemory`].
    None,
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MemfdSecret => "memfd_secret (locked, not dumped, hidden from the kernel's own map)",
            Self::Mlock => "mlock (locked, not dumped)",
            Self::None => "NO PROTECTION: keys are in ordinary memory and may be swapped out",
        })
    }
}

/// A zero-filled mapping between two guard pages. It hands out raw pointers only; the arena decides who may use which
/// part.
pub(crate) struct Region {
    /// Start of the reservation: the lower guard page.
    reservation: NonNull<libc::c_void>,
    /// Length of the reservation with both guard pages.
    reserved: usize,
    /// First usable byte.
    start: NonNull<u8>,
    /// Usable bytes; a whole number of pages.
    len: usize,
    protection: Protection,
}

// SAFETY: the mapping belongs to the process, not to a thread, and Region itself never reads or writes it after
// construction except in Drop, which has exclusive access.
unsafe impl Send for Region {}
// SAFETY: as above; shared references only give out the address and length.
unsafe impl Sync for Region {}

impl Region {
    /// Maps at least `bytes` bytes under `protection`, rounded up to whole pages, all of them present and zero.
    pub(crate) fn map(bytes: usize, protection: Protection) -> Result<Self, OsError> {
        let page = page_size();
        let len = bytes.next_multiple_of(page);
        let reserved = len + 2 * page;
        let reservation = reserve(reserved)?;
        // SAFETY: one page into a reservation that is longer than two pages.
        let start = unsafe { reservation.cast::<u8>().add(page) };
        let region = Self { reservation, reserved, start, len, protection };
        match protection {
            Protection::MemfdSecret => region.place_memfd_secret()?,
            Protection::Mlock => region.place_anonymous().and_then(|()| region.lock())?,
            Protection::None => region.place_anonymous()?,
        }
        region.exclude();
        // Touch every page now: a later fault could only end in SIGBUS.
        // SAFETY: the pages were just mapped readable and writable, and nobody else has their address yet.
        unsafe { ptr::write_bytes(region.start.as_ptr(), 0, len) };
        Ok(region)
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn protection(&self) -> Protection {
        self.protection
    }

    fn place_memfd_secret(&self) -> Result<(), OsError> {
        // SAFETY: the system call takes one flag and no pointer.
        let fd = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC as libc::c_uint) };
        let Ok(fd) = libc::c_int::try_from(fd) else { return Err(OsError::last()) };
        if fd < 0 {
            return Err(OsError::last());
        }
        let result = self.place_file(fd);
        // SAFETY: the descriptor was opened above and is used nowhere else. The mapping outlives it.
        unsafe { libc::close(fd) };
        result
    }

    fn place_file(&self, fd: libc::c_int) -> Result<(), OsError> {
        let Ok(len) = libc::off_t::try_from(self.len) else { return Err(OsError::last()) };
        // SAFETY: no pointer is passed.
        if unsafe { libc::ftruncate(fd, len) } != 0 {
            return Err(OsError::last());
        }
        // Secret memory can only be mapped shared.
        self.place(libc::MAP_SHARED, fd)
    }

    fn place_anonymous(&self) -> Result<(), OsError> {
        self.place(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)
    }

    /// Maps the usable part over the middle of the reservation.
    fn place(&self, flags: libc::c_int, fd: libc::c_int) -> Result<(), OsError> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: MAP_FIXED replaces `len` bytes that lie wholly inside our own reservation.
        let at = unsafe {
            libc::mmap(self.start.as_ptr().cast(), self.len, access, flags | libc::MAP_FIXED, fd, 0)
        };
        if at == libc::MAP_FAILED { Err(OsError::last()) } else { Ok(()) }
    }

    fn lock(&self) -> Result<(), OsError> {
        // SAFETY: the range is mapped and ours.
        if unsafe { libc::mlock(self.start.as_ptr().cast(), self.len) } == 0 {
            Ok(())
        } else {
            Err(OsError::last())
        }
    }

    /// Keeps the pages out of core dumps and out of children. Best effort: both are advice that every supported kernel
    /// takes, and `process::harden` forbids dumps as a whole.
    fn exclude(&self) {
        for advice in [libc::MADV_DONTDUMP, libc::MADV_DONTFORK] {
            // SAFETY: the range is mapped and ours, and neither advice changes what this process reads.
            unsafe { libc::madvise(self.start.as_ptr().cast(), self.len, advice) };
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // Slots are wiped one by one as they are freed, so nothing secret is left here.
        // SAFETY: the reservation is ours, and no pointer into it outlives the region: slots hold the arena alive.
        unsafe { libc::munmap(self.reservation.as_ptr(), self.reserved) };
    }
}

/// Reserves address space that cannot be touched.
fn reserve(bytes: usize) -> Result<NonNull<libc::c_void>, OsError> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: no address is asked for, so that no existing mapping is replaced.
    let at = unsafe { libc::mmap(ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0) };
    match NonNull::new(at) {
        Some(at) if at.as_ptr() != libc::MAP_FAILED => Ok(at),
        _ => Err(OsError::last()),
    }
}

fn page_size() -> usize {
    // SAFETY: takes a constant and returns a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).ok().filter(|s| s.is_power_of_two()).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::FileExt;

    use super::*;

    /// The kernel's own description of the mapping at `address`: flags such as `lo` (locked), `dd` (not dumped), `dc` (not
    /// copied to a child), and the access rights of the mappings on either side.
    fn describe(address: usize) -> (String, [String; 2]) {
        let text = fs::read_to_string("/proc/self/smaps").unwrap();
        let mut mappings: Vec<(usize, usize, String, String)> = Vec::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let range = words.next().and_then(|w| w.split_once('-'));
            let bound = |hex| usize::from_str_radix(hex, 16).ok();
            if let Some((start, end)) = range.and_then(|(s, e)| Some((bound(s)?, bound(e)?))) {
                mappings.push((start, end, words.next().unwrap().to_owned(), String::new()));
            } else if let (Some(flags), Some(last)) = (line.strip_prefix("VmFlags:"), mappings.last_mut()) {
                flags.clone_into(&mut last.3);
            }
        }
        let own = mappings.iter().find(|m| m.0 == address).unwrap();
        let rights = |at: usize| mappings.iter().find(|m| m.0 <= at && at < m.1).unwrap().2.clone();
        (own.3.clone(), [rights(own.0 - 1), rights(own.1)])
    }

    fn check(protection: Protection) {
        let region = Region::map(10_000, protection).unwrap();
        assert_eq!(region.len(), 10_000usize.next_multiple_of(page_size()));
        let (flags, neighbours) = describe(region.start().as_ptr() as usize);
        for flag in ["lo", "dd", "dc"] {
            assert!(flags.split_whitespace().any(|f| f == flag), "{protection:?} lacks {flag}: {flags}");
        }
        assert_eq!(neighbours, ["---p", "---p"], "guard pages on both sides");
    }

    #[test]
    fn mlocked_memory_is_locked_not_dumped_not_inherited_and_guarded() {
        check(Protection::Mlock);
    }

    #[test]
    fn secret_memory_is_locked_not_dumped_not_inherited_guarded_and_unreadable_from_outside() {
        let Ok(region) = Region::map(4096, Protection::MemfdSecret) else {
            // A kernel before 5.14, or with secretmem.enable=0. The arena then falls back, which other tests cover.
            return;
        };
        check(Protection::MemfdSecret);
        let memory = File::open("/proc/self/mem").unwrap();
        let address = region.start().as_ptr() as u64;
        assert!(
            memory.read_exact_at(&mut [0; 16], address).is_err(),
            "secret pages can be read through /proc"
        );
        let ordinary = [1u8; 16];
        let mut seen = [0; 16];
        memory.read_exact_at(&mut seen, ordinary.as_ptr() as u64).unwrap();
        assert_eq!(seen, ordinary, "and that is not because nothing can");
    }
}
