//! The composition root of Leasehold.
