//! The checks, by theme. The name of each is the promise that it holds.

pub(crate) mod assuming;
pub(crate) mod diagnosis;
pub(crate) mod edges;
pub(crate) mod faults;
pub(crate) mod input;
pub(crate) mod keys;
pub(crate) mod kit;
pub(crate) mod versions;
pub(crate) mod wrapping;
