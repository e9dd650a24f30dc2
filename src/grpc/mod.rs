//! The API over gRPC.
//!
//! Reading order: `call` (what every unary call passes), `key`, `tenant_service`, `tenant`, `binding`, `watch`, `lease`, `kit`, `verification`; then `server`,
//! `secured`, `decode`, `connection` and `untaken`, which keep the transport within its bounds and close connections that carried what was wiped.

mod binding;
mod call;
mod connection;
mod deadline;
mod decode;
mod key;
mod kit;
mod lease;
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
pub(crate) use server::{Bounds, Server};
pub(crate) use tenant_service::Tenants;

/// Largest request of `KeyService`: 1,000 subscriptions and 1,000 acknowledgements of up to 160 bytes each are 320 KB. A key
/// operation is far smaller: an envelope of 4 KiB and two contexts of 8 × 512 bytes are 12 KiB.
pub(crate) const MAX_KEY_REQUEST: usize = 512 * 1024;

/// Largest request of `TenantService`: a binding with 50 session tags of 384 bytes is 20 KiB.
pub(crate) const MAX_TENANT_REQUEST: usize = 64 * 1024;
