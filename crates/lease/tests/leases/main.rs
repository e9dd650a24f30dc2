//! The rules of the lease, each against a cloud in memory on a clock that stands still unless a test moves it.
//!
//! Races are made by construction: a call is held at the cloud, the other party acts, and then the call goes on.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod answers;
mod bench;
mod cache;
mod cloud;
mod consent;
mod denial;
mod examine;
mod expiry;
mod flights;
mod loans;
mod operator;
mod outage;
mod room;
mod rotation;
mod sentinel;
mod strangers;
mod time;
mod versions;
