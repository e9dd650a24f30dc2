//! The arithmetic of the limits.

use crate::config::Config;
use crate::grpc::{CONNECTION_WINDOW, MAX_TENANT_REQUEST, MAX_WATCH_MESSAGE};

/// Keys that a call holds in the clear at most.
const KEYS_PER_CALL: usize = 2;

/// The share of the proofs that settings may plan on; the rest is for retries and events.
const PLANNED_SHARE: f64 = 0.7;

/// How often a lease in use is proven: at 40 % of its bound at the earliest.
const EARLIEST_PROOF: f64 = 0.4;

/// The default bound, and the shortest, in seconds.
const DEFAULT_BOUND: f64 = 300.0;
const SHORTEST_BOUND: f64 = 15.0;

/// What needs room in locked memory, in keys.
pub(super) struct Room {
    pub(super) there_is: usize,
    calls: usize,
    /// Leases in use, of which each seals what is cached under it with one key.
    leases: usize,
}

impl Room {
    pub(super) fn of(config: &Config) -> Self {
        let clouds = config.providers.enabled().len();
        let leases = leases_in_use(config, DEFAULT_BOUND).saturating_mul(clouds);
        let calls = config.limits.calls.saturating_mul(KEYS_PER_CALL);
        Self { there_is: config.memory.keys(), calls, leases }
    }

    pub(super) fn needed(&self) -> usize {
        self.calls.saturating_add(self.leases)
    }
}

/// Leases of one cloud that can be kept in use at this bound: with all of them in use, what may be planned of the proofs is used.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "some 10,000 proofs per second at the most"
)]
fn leases_in_use(config: &Config, bound: f64) -> usize {
    (config.lease.proofs_per_second * PLANNED_SHARE * bound * EARLIEST_PROOF).round() as usize
}

/// Which limit, and its arithmetic.
pub(super) fn of(config: &Config) -> Vec<(&'static str, String)> {
    let (limits, room) = (&config.limits, Room::of(config));
    let clouds = config.providers.enabled().len();
    let at_worst = |count: usize, each: usize| {
        format!("{count} x {} = {} at worst", bytes(each), bytes(count.saturating_mul(each)))
    };
    let sized = |size: u64| bytes(usize::try_from(size).unwrap_or(usize::MAX));
    vec![
        (
            "connections",
            format!(
                "receive windows of {} with certificates, and as many on this machine: {}",
                limits.connections,
                at_worst(limits.connections.saturating_mul(2), CONNECTION_WINDOW as usize)
            ),
        ),
        ("calls", format!("messages: {}", at_worst(limits.calls, MAX_TENANT_REQUEST))),
        ("watches", format!("messages: {}", at_worst(limits.watches, MAX_WATCH_MESSAGE))),
        (
            "proofs",
            format!(
                "{} per second and cloud, 70 % of them planned: {} leases in use with a bound of 300 s, {} of 15 s",
                config.lease.proofs_per_second,
                leases_in_use(config, DEFAULT_BOUND),
                leases_in_use(config, SHORTEST_BOUND)
            ),
        ),
        (
            "keys",
            format!(
                "{} in {}: {} calls x {KEYS_PER_CALL} = {}, and {} for leases in use; with a bound of 300 s proofs allow {clouds} x {} = {}",
                room.there_is,
                bytes(config.memory.arena_bytes),
                limits.calls,
                room.calls,
                room.there_is.saturating_sub(room.calls),
                leases_in_use(config, DEFAULT_BOUND),
                room.leases,
            ),
        ),
        (
            "cache",
            format!(
                "{} in all, {} of one tenant",
                sized(config.lease.cache_bytes),
                sized(config.lease.cache_bytes_per_tenant)
            ),
        ),
    ]
}

/// A size with its unit.
pub(super) fn bytes(size: usize) -> String {
    const UNITS: [(&str, usize); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.into_iter().find(|(_, unit)| size >= *unit) {
        Some((name, unit)) if size.is_multiple_of(unit) => format!("{} {name}", size / unit),
        Some((name, unit)) => format!("{}.{} {name}", size / unit, size % unit * 10 / unit),
        None => format!("{size} bytes"),
    }
}
