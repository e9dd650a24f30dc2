//! Time that counts suspend, and a clock that tests can drive.
//!
//! Owns every reading of a clock in Leasehold; the std clocks are banned elsewhere. [`TimeSource`] is passed as a
//! parameter, so that whatever has time in it can be tested with [`ManualClock`]. Deliberately offers no global clock.
//!
//! Invariants: [`Moment`]s never go back; elapsed time is the larger of what `CLOCK_BOOTTIME` and the wall clock say, so
//! that neither SIGSTOP, nor suspend, nor a restored snapshot can stretch a lease (DESIGN: the lease).
//!
//! Reading order: [`TimeSource`] in `source`, then `system`, `generation` and `manual`.

mod elapsed;
mod generation;
mod manual;
mod source;
mod system;

pub use manual::ManualClock;
pub use source::{Generation, Moment, TimeSource};
pub use system::SystemClock;
