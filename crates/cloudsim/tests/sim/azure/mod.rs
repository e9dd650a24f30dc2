//! The simulated Azure over real sockets.

mod client;

mod access;
mod certificate;
mod control;
mod entra;
mod faults;
mod identity;
mod key_vault;
mod owner;
mod trail;
