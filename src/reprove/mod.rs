//! Proofs by event: `POST /v1/tenants/{tenant}:reprove` over HTTP, for the feeds of the clouds' audit logs.
//!
//! A tenant's edit leaves an event in their own cloud, and a feed of such events (EventBridge, Event Grid, Pub/Sub) asks
//! here for a proof that begins now: revocation then takes seconds instead of half the bound. Set-up, delays and limits
//! are in `docs/reprove.md`.
//!
//! Deliberately believes nothing that an event says. Which tenant is meant comes from the URL, whether its cloud still lets
//! us in comes from the proof, and the worst that a forged event can do is to have us look.
//!
//! Invariants: nobody without a credential makes us do more than answer; a feed may have its own tenants proven and do
//! nothing else; a request is decided and recorded before its proof begins, and answered without waiting for it; connections,
//! requests, bodies, rates and proofs are bounded apart from the key listener's.
//!
//! Reading order: [`Feeds`] (the listener), `handler` (a request's way), `callers` with `secret`, `token` and
//! `jwks`, `proofs`, `handshake` and `problem`.

mod callers;
mod feeds;
mod handler;
mod handshake;
mod jwks;
mod problem;
mod proofs;
mod secret;
mod token;

pub use feeds::ReproveError;
pub(crate) use feeds::{Feeds, Parts, check};
pub use secret::SecretError;
