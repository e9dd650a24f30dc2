//! The simulator over real sockets.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test by panicking")]

mod ambient;
mod client;

mod azure;

mod control;
mod credentials;
mod faults;
mod gcp;
mod kms;
mod kms_owner;
mod kms_policy;
mod refusals;
mod sts;
mod sts_session;
mod trail;
mod web_identity;
