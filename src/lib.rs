//! The composition root of Leasehold.
//!
//! Owns what belongs to the process: its configuration, the list of clouds, who callers are, the gRPC surface with the one
//! table from errors to statuses, and the command line. Deliberately decides nothing about keys: that is
//! `leasehold-service`, and below it `leasehold-lease`.
//!
//! Invariants: no key leaves except on loopback addresses, on Unix sockets and under TLS to callers with
//! certificates; every unary call ends within its deadline;
//! connections, calls and messages have stated bounds; what a client reads of an error is decided in [`status`] alone.
//!
//! Reading order: [`config`], [`app`], `validate` (what has to hold), `providers`, `listen`, `authn`, [`tls`], `watched`
//! (files that change), `reload`, `places` and `rate` (bounds on strangers), [`grpc`], [`status`], [`reprove`], [`admin`], `shutdown`, [`cli`].

pub mod admin;
pub mod app;
mod authn;
pub mod cli;
pub mod config;
pub mod grpc;
mod listen;
mod places;
mod providers;
mod rate;
pub mod reload;
pub mod reprove;
pub mod shutdown;
pub mod status;
pub mod telemetry;
pub mod tls;
mod validate;
mod watched;

/// Makes aws-lc the one implementation of cryptography under TLS, for everything in this process. The first thing that a
/// binary does; harmless when repeated.
pub fn install_crypto_provider() {
    // Err means that one is installed already, by an earlier call.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
