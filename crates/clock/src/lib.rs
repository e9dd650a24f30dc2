//! Time that counts suspend, and a clock that tests can drive.
