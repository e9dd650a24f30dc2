//! A simulator of the clouds that enforces their policies.
//!
//! It owns a world of accounts, identities, roles and keys, and answers over real HTTP as the clouds do: it checks
//! signatures, tokens and expiry, evaluates trust, identity, session and key policies, and encrypts for real. A control
//! interface edits that world, delays edits, injects faults, moves the clock and returns the log of all calls.
//!
//! It exists because revocation cannot be tested without enforced policy. It is no emulator of whole services, keeps
//! nothing on disk, and is NO SECURITY: its keys are in ordinary memory and its control interface trusts everyone.
//!
//! Invariants:
//! - A request is answered with success only if its signature, session and every policy that applies allow it.
//! - Nothing in the call log is a secret: no plaintext, key material, secret access key or token.
//! - An edit takes effect at its propagation delay after it was made, never earlier, and later edits win.
//! - It depends on none of Leasehold's other crates, so that it cannot share their mistakes.
//!
//! Read on in [`simulator`], [`control`], [`aws`], [`azure`], [`gcp`], then [`faults`], [`log`], [`clock`].

pub mod aws;
pub mod azure;
pub mod clock;
pub mod control;
pub mod error;
mod exchange;
pub mod faults;
pub mod gcp;
mod issued;
pub mod issuer;
mod jwt;
pub mod log;
mod propagated;
pub mod secret;
mod server;
pub mod simulator;
pub mod tenants;

pub use control::{AwsControl, AzureControl, Control, GcpControl};
pub use error::SimError;
pub use simulator::{Config, Endpoints, Simulator};
