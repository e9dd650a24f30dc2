//! The whole of Leasehold: the real server over real sockets, with the real SDK against a cloud that enforces policy.
//!
//! Each promise of the README has a test here that is named after it. Time is the machine's own, and [`clock`] lets a test
//! make it jump, so that bounds of 15 s take milliseconds; nothing waits for anything but what it can observe.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod authority;
mod aws;
mod callers;
mod clock;
mod cloud;
mod configuration;
mod demo;
mod deployment;
mod diagnosis;
mod durability;
mod expiry;
mod faults;
mod feed;
mod feeds;
mod isolation;
mod journal;
mod keys;
mod logs;
mod memory;
mod observability;
mod onboarding;
mod outage;
mod process;
mod recovery;
mod replicas;
mod revocation;
mod robustness;
mod sentinel;
mod served;
mod traffic;
mod verify;
mod watcher;
mod world;
