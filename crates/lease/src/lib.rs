//! Leases: proofs, the state machine, the refresher and the sealed cache.
