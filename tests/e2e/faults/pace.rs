//! How slow the machine is: what calls take on a server that nothing troubles, all the while.
//!
//! Times are measured on machines that do other things too. What the same machine takes at the same time for a call that
//! nothing holds up is no part of what a fault brings.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use leasehold_clock::{Moment, TimeSource};

use super::pause;
use crate::clock::JumpingClock;
use crate::cloud::Cloud;
use crate::world::World;

/// Calls to an untroubled server, one after another, until it is dropped.
pub(crate) struct Pace {
    clock: JumpingClock,
    /// When a call began and ended.
    calls: Mutex<Vec<(Moment, Moment)>>,
}

impl Pace {
    pub(crate) async fn take() -> Arc<Self> {
        let world = World::start(Cloud::Aws, &["acme"]).await;
        let pace = Arc::new(Self { clock: world.clock.clone(), calls: Mutex::default() });
        tokio::spawn(follow(world, Arc::downgrade(&pace)));
        pace
    }

    /// What all times are read from.
    pub(crate) fn clock(&self) -> &JumpingClock {
        &self.clock
    }

    /// What the slowest call took that was under way between these moments.
    pub(crate) fn slowness(&self, from: Moment, to: Moment) -> Duration {
        let calls = self.calls.lock().unwrap();
        let then = calls.iter().filter(|(began, ended)| *began <= to && *ended >= from);
        then.map(|(began, ended)| ended.since(*began)).max().unwrap_or_default()
    }
}

async fn follow(world: World, pace: Weak<Pace>) {
    while pace.strong_count() > 0 {
        let began = world.clock.now();
        world.generate("acme", "main").await;
        if let Some(pace) = pace.upgrade() {
            pace.calls.lock().unwrap().push((began, world.clock.now()));
        }
        pause(Duration::from_millis(50)).await;
    }
}
