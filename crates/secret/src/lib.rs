//! Key bytes: locked memory, sealing, wiping and process hardening.
//!
//! Owns every place where key bytes exist in the clear: an [`Arena`] of locked, dump-excluded slots; [`PlaintextKey`],
//! one slot that is wiped when dropped; [`SealingKey`], which turns a plaintext key into ciphertext that may be cached
//! anywhere and whose wiping makes all of that ciphertext unreadable at once. Also owns what a process does about
//! memory as a whole: [`process::harden`] and the [`ZeroizingAllocator`].
//!
//! Deliberately knows nothing about leases, tenants or clouds, and derives no keys.
//!
//! Invariants: key bytes are written in place and never moved, so that no copy is left behind; a full arena is an error
//! and never a fallback to ordinary memory; a nonce is used once per sealing key; after [`SealingKey::wipe`] returns, no
//! operation under that key succeeds or is still running.
//!
//! This is the only crate that may use `unsafe`; the modules that do say why at their head.
//!
//! Reading order: `length`, `region`, `arena`, `plaintext`, `sealing`, `cipher`, `process`.

mod arena;
mod cipher;
mod error;
mod length;
mod plaintext;
pub mod process;
mod region;
mod sealing;

pub use arena::{Arena, ArenaConfig, OnUnlockable};
pub use error::{FillError, OsError, SecretError};
pub use length::KeyLength;
pub use plaintext::PlaintextKey;
pub use region::Protection;
pub use sealing::{Sealed, SealingKey};

/// The system allocator, wiping every block when it is freed. It takes care of what this crate cannot: transport and
/// SDK buffers that held a key for a moment. Name it in the binary:
///
/// ```
/// #[global_allocator]
/// static ALLOC: leasehold_secret::ZeroizingAllocator = leasehold_secret::ZEROIZING_ALLOCATOR;
/// ```
pub type ZeroizingAllocator = zeroizing_alloc::ZeroAlloc<std::alloc::System>;

/// The value to give to `#[global_allocator]`.
pub const ZEROIZING_ALLOCATOR: ZeroizingAllocator = zeroizing_alloc::ZeroAlloc(std::alloc::System);
