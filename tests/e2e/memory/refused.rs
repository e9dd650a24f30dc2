//! What was refused, on connections that nobody closes and with which no lease ends.

use std::time::Duration;

use leasehold_clock::TimeSource;
use tokio::task::JoinHandle;

use super::measure::{Gone, REFUSED_AT_MOST, Row, STEADY, Scene, until_gone};
use super::needle::Needles;
use super::paths::{Subject, Way};
use super::scan::Extent;
use super::wire::{Reader, Wire};

/// How often it is looked, beside all else that is measured meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Keys of calls that were refused, which are looked for in the background.
pub(crate) struct Refused {
    keys: usize,
    open: usize,
    gone: JoinHandle<Gone>,
    /// The clients' ends, which stay open.
    _wires: Vec<Wire>,
}

impl Refused {
    /// Has calls refused, each on a connection of its own that stays open.
    pub(crate) async fn by(scene: &mut Scene) -> Self {
        let (mut wires, mut keys) = (Vec::new(), Vec::new());
        for way in [Way::UnknownTenant, Way::ReservedContext, Way::WrongLength, Way::CloudFails] {
            let wire = Wire::open(&scene.process.socket(), Reader::Ready).await;
            keys.extend(Subject { process: &scene.process, tenant: STEADY }.send(way, &wire).await);
            wires.push(wire);
        }
        let needles = Needles::of_keys(&keys);
        let open = scene.look(&needles, Extent::Writable).copies.len();
        let count = keys.len();
        scene.keys.extend(keys);
        let (pid, clock) = (scene.process.pid(), scene.real.clone());
        let gone = tokio::spawn(async move {
            let begun = clock.now();
            until_gone(pid, &needles, &clock, begun..begun + REFUSED_AT_MOST, LOOK_EVERY).await
        });
        Self { keys: count, open, gone, _wires: wires }
    }

    /// Waits until nothing of them is left.
    pub(crate) async fn until_gone(self) -> Row {
        Row { what: "WrapKey, refused", keys: self.keys, open: self.open, gone: self.gone.await.unwrap() }
    }
}
