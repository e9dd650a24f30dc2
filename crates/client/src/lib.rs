//! A Rust client with retries and a cache that honours leases.
//!
//! Owns the channel to the service over TLS, loopback TCP or a Unix socket ([`Endpoint`], [`TlsFiles`]), retries within bounds where the
//! service says that retrying helps ([`RetryPolicy`]), typed calls ([`Client`]), the stream of leases ([`LeaseStream`]) and
//! a local cache of unwrapped keys under the service's lease ([`KeyCache`]). Deliberately has no cloud's SDK in its tree,
//! and decides nothing: what the service does not grant, it does not have.
//!
//! Invariants: a key is held in locked memory only, and never for longer than the lease that it came with, counted from
//! when the request for it was *sent*; a timer wipes, not the next request; a key that arrives after its binding was
//! wiped is thrown away; every call ends within its deadline.
//!
//! Reading order: `endpoint`, `tls`, `client`, `retry`, `error`, `stream`, `cache`, `watch`.

mod cache;
mod client;
mod endpoint;
mod error;
mod held;
mod retry;
mod stream;
mod tls;
mod watch;

pub use cache::{CacheSettings, KeyCache};
pub use client::{Client, Leased, NewKey, Settings, Wrapped};
pub use endpoint::{Endpoint, EndpointError};
pub use error::{ClientError, Refusal};
pub use retry::RetryPolicy;
pub use stream::{LeaseStream, LeaseUpdate};
pub use tls::{TlsError, TlsFiles};

// What the signatures above are made of, so that a user of this crate needs no other of ours.
pub use leasehold_api as api;
pub use leasehold_clock::{Moment, SystemClock, TimeSource};
pub use leasehold_envelope::{EncryptionContext, WrappedKey};
pub use leasehold_ids::{BindingName, TenantId};
pub use leasehold_secret::{Arena, ArenaConfig, KeyLength, OnUnlockable, PlaintextKey};
