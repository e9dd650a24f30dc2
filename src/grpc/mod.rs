//! The API over gRPC.
//!
//! Reading order: `call` (what every unary call passes), `key`, `tenant_service`, `tenant`, `binding`, `watch`, `lease`, `kit`,
//! `verification`; then `server`, `secured`, `request`, `decode`, `connection` and `untaken`, which keep the transport within its
//! bounds and close connections that carried what was wiped.

mod binding;
mod call;
mod connection;
mod deadline;
mod decode;
mod key;
mod kit;
mod lease;
mod request;
mod secured;
mod server;
mod tenant;
mod tenant_service;
mod untaken;
mod verification;
mod watch;

pub(crate) use call::Calls;
pub(crate) use connection::Connections;
pub(crate) use key::Keys;
pub(crate) use request::{Requests, Rooms};
pub(crate) use server::{Bounds, Server};
pub(crate) use tenant_service::Tenants;

/// The receive window of a connection, in bytes: what it may send us before we have begun to read it.
pub(crate) const CONNECTION_WINDOW: u32 = 256 * 1024;

/// Largest key operation: an envelope of 4 KiB and two contexts of 8 × 512 bytes are 12 KiB.
pub(crate) const MAX_KEY_REQUEST: usize = 16 * 1024;

/// Largest message on `WatchLeases`: 1,000 subscriptions and 1,000 acknowledgements of up to 160 bytes each are 320 KB. 1,024
/// streams hold 384 MiB at worst.
pub(crate) const MAX_WATCH_MESSAGE: usize = 384 * 1024;

/// Largest request for health or reflection: a name.
pub(crate) const MAX_NAME: usize = 4 * 1024;

/// Largest request of `TenantService`: a binding with 50 session tags of 384 bytes is 20 KiB.
pub(crate) const MAX_TENANT_REQUEST: usize = 64 * 1024;
