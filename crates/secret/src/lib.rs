//! Key bytes: locked memory, sealing, wiping and process hardening.
