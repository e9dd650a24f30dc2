//! A Rust client with retries and a cache that honours leases.
