//! The simulated Google Cloud over real sockets.

mod admin;
mod client;
mod control;
mod credentials;
mod edits;
mod faults;
mod federation;
mod keys;
mod oauth;
mod policies;
mod trail;
