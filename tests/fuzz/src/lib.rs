//! Answers of clouds that an input scripts, given to the real providers, through the real SDKs, over real sockets.
//!
//! Owns the [`Script`], the server that answers by it, the [`Bench`] that asks a provider and so brings answer and reader
//! together, and [`answers`](judge::answers), which holds what comes of it to promises P2 and P3. What a cloud's success looks
//! like is its own target's affair.
//!
//! Reading order: `script`, `wire`, `bench`, `judge`.

pub mod bench;
pub mod judge;
pub mod script;
pub mod wire;

pub use bench::{Bench, Outcome, Parts};
pub use script::{Answer, Script};
pub use wire::Wire;
