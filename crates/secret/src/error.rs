//! Why a key could not be held, sealed or opened.

/// What goes wrong with key bytes. None of the variants carries any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Every slot of the arena is in use. Passing: slots return as operations end. Callers answer "resource exhausted".
    #[error("all {capacity} slots of locked memory are in use; retry, or configure a larger arena")]
    ArenaFull {
        /// How many slots the arena has.
        capacity: usize,
    },
    /// The arena asked for is smaller than the minimum of [`crate::ArenaConfig::MIN_BYTES`].
    #[error("a locked arena of {bytes} bytes is too small; give it at least {minimum}")]
    ArenaTooSmall {
        /// Bytes asked for.
        bytes: usize,
        /// The least that is accepted, in bytes.
        minimum: usize,
    },
    /// Not the length of a key: see [`crate::KeyLength`].
    #[error("a key has 16, 24, 32, 48 or 64 bytes, not {bytes}")]
    InvalidLength {
        /// Bytes given.
        bytes: usize,
    },
    /// The sealing key was wiped: what it sealed is gone for good.
    #[error("the sealing key was wiped")]
    Wiped,
    /// The sealed value was not made by this key with this additional data.
    #[error("sealed value is not authentic")]
    NotAuthentic,
    /// The sealing key has sealed as many values as it ever may; make a new one.
    #[error("the sealing key has used all of its nonces")]
    KeyExhausted,
    /// The kernel would not lock even the smallest arena. The operator's to mend.
    #[error(
        "cannot lock {wanted} bytes of memory ({os}); raise RLIMIT_MEMLOCK (LimitMEMLOCK in systemd, --ulimit memlock in \
         Docker)"
    )]
    Unlockable {
        /// The least number of bytes that was tried.
        wanted: usize,
        /// The kernel's reason for the last attempt.
        os: OsError,
    },
    /// The kernel would not map memory at all.
    #[error("cannot map {wanted} bytes of memory ({os})")]
    Unmappable {
        /// Bytes asked for.
        wanted: usize,
        /// The kernel's reason.
        os: OsError,
    },
    /// The kernel gave no randomness.
    #[error("the operating system gave no randomness")]
    Randomness,
}

/// An `errno` of the kernel, shown with its text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct OsError(i32);

impl OsError {
    /// The calling thread's `errno`.
    pub(crate) fn last() -> Self {
        Self(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }

    #[cfg(test)]
    pub(crate) fn from_code(code: i32) -> Self {
        Self(code)
    }

    /// The number, as in `errno(3)`.
    #[must_use]
    pub fn code(self) -> i32 {
        self.0
    }
}

impl std::fmt::Display for OsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", std::io::Error::from_raw_os_error(self.0))
    }
}

impl std::fmt::Debug for OsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OsError({self})")
    }
}

/// Why [`crate::PlaintextKey::fill`] made no key: either there was no slot for it, or the source of the bytes failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FillError<E> {
    /// There was no slot; the source was not asked.
    #[error("no locked memory for the key")]
    Secret(#[source] SecretError),
    /// The source of the bytes failed; whatever it had written is wiped.
    #[error("the source of the key failed")]
    Source(#[source] E),
}
