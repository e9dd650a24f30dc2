//! The pipeline: authorise, find the binding, hold the lease, act, audit.
