//! The pipeline: authorise, find the binding, hold the lease, act, record.
//!
//! Owns what happens between a request and its answer, for every method of the API: [`Service`] has one method for each.
//! Deliberately knows no transport (whoever does turns messages into these calls and [`ServiceError`] into statuses) and
//! names no cloud (a provider is chosen by the binding's kind).
//!
//! Invariants:
//! - Authorisation comes before any look-up, so that who may not ask learns nothing (promise P6).
//! - An envelope is unwrapped only for the tenant that it names, under the binding that it names, with that binding's key.
//! - Every decision leaves a record; what cannot be recorded is refused (promise P7).
//! - A change of a record applies to the live leases of this process before its method returns.
//! - Plaintext stays inside [`Served`] until its record is kept and the lease was checked once more.
//!
//! Reading order: [`Service`] in `service`, `keys`, `choose`, `served`, `decision`; then `directory`, `plan`, `change`,
//! `tenants`, `bindings`, `verify`, `listing`, `watch`, `undecided`, `room`.

mod bindings;
mod caller;
mod change;
mod choose;
mod decision;
mod directory;
mod error;
mod keys;
mod listing;
mod meter;
mod plan;
mod reproof;
mod room;
mod served;
mod service;
mod settings;
mod tenants;
mod undecided;
mod verify;
mod watch;

pub use bindings::{Activated, BindingRecord};
pub use caller::Caller;
pub use change::{ChangeOptions, Mode, etag};
pub use error::{Foreign, ServiceError};
pub use listing::{Listing, Paging};
pub use reproof::Reproof;
pub use room::{Place, Room};
pub use served::Served;
pub use service::{Parts, Service};
pub use settings::Settings;
pub use tenants::{NewTenant, TenantChange};
pub use verify::Verified;
pub use watch::{
    Acknowledgement, LeaseStatus, MAX_WATCHED, Watch, WatchAction, WatchMessage, WatchMode, WatchUpdate,
};
