//! A simulator of the clouds that enforces their policies.

pub mod aws;
