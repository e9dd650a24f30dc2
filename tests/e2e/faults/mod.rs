//! What goes wrong between us and a cloud, and on our own machine.
//!
//! Everything here passes in real time and under the deadlines that we ship, because they are what is tested. Most of that
//! time is spent waiting, so the suite runs its tests at once: `tests/run.sh faults`.

mod drain;
mod growth;
mod impostor;
mod killed;
mod limits;
mod matrix;
mod pace;
mod proxy;
mod report;
mod rows;
mod scene;
mod stopped;

use std::time::Duration;

use leasehold_clock::{SystemClock, TimeSource};

/// Lets real time pass.
async fn pause(span: Duration) {
    SystemClock::start().sleep(span).await;
}
