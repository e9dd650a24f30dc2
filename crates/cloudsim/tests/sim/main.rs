//! The simulator over real sockets.

mod client;
mod sts;
