//! The simulated Google Cloud over real sockets.

mod client;
mod credentials;
mod keys;
