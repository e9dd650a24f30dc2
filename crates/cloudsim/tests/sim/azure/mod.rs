//! The simulated Azure over real sockets.

mod client;

mod access;
mod entra;
mod identity;
mod key_vault;
