//! Refusals of strangers, counted rather than recorded one by one: whoever has no identity could otherwise fill the disk.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::Refusals;

/// Kinds of strangers that are told apart within one window: 1,024 × about 100 bytes are 100 KiB, and 1,024 lines a minute
/// are 15 MiB an hour while somebody tries hard. Further ones are counted as `other`.
pub(crate) const MAX_KINDS: usize = 1024;

/// Whom to count further kinds as.
const OTHER: &str = "other";

/// Somebody who was turned away before anybody knew who it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stranger {
    /// What they called at, for example `reprove`. One of few.
    pub listener: &'static str,
    /// Where they came from: a [`network`], or whatever else is known.
    pub from: Box<str>,
    /// Why, in UPPER_SNAKE. One of few.
    pub reason: &'static str,
}

/// The network that `address` is in: `203.0.113.0/24`, `2001:db8:1::/48`. One caller has many addresses of one network, and
/// hardly many networks.
#[must_use]
pub fn network(address: IpAddr) -> Box<str> {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24").into()
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            let network = std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0);
            format!("{network}/48").into()
        }
    }
}

/// Counts strangers by their kind.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    /// When the first of them came.
    since: Option<SystemTime>,
    kinds: HashMap<Stranger, u64>,
}

impl Counters {
    pub(crate) fn count(&self, mut stranger: Stranger, now: SystemTime) {
        let mut window = self.window();
        window.since.get_or_insert(now);
        if window.kinds.len() >= MAX_KINDS && !window.kinds.contains_key(&stranger) {
            stranger.from = OTHER.into();
        }
        let count = window.kinds.entry(stranger).or_default();
        *count = count.saturating_add(1);
    }

    /// When the window that is open began.
    pub(crate) fn since(&self) -> Option<SystemTime> {
        self.window().since
    }

    /// Ends the window: what it counted, in an order of its own.
    pub(crate) fn take(&self, now: SystemTime) -> Vec<Refusals> {
        let Window { since, kinds } = std::mem::take(&mut *self.window());
        let Some(since) = since else { return Vec::new() };
        let mut kinds: Vec<_> = kinds.into_iter().collect();
        kinds.sort_by(|(a, _), (b, _)| (a.listener, &a.from, a.reason).cmp(&(b.listener, &b.from, b.reason)));
        let refusals = kinds.into_iter().map(|(stranger, count)| Refusals {
            time: now,
            since,
            listener: stranger.listener.into(),
            from: stranger.from,
            reason: stranger.reason.into(),
            count,
        });
        refusals.collect()
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger(from: &str) -> Stranger {
        Stranger { listener: "reprove", from: from.into(), reason: "NO_CREDENTIAL" }
    }

    #[test]
    fn a_network_is_what_one_caller_has() {
        for (address, expected) in [
            ("203.0.113.77", "203.0.113.0/24"),
            ("::ffff:203.0.113.77", "203.0.113.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
            ("::1", "::/48"),
        ] {
            assert_eq!(&*network(address.parse().unwrap()), expected);
        }
    }

    #[test]
    fn p9_strangers_take_room_that_is_bounded_and_all_are_counted() {
        let (counters, now) = (Counters::default(), SystemTime::UNIX_EPOCH);
        for n in 0..3 * MAX_KINDS {
            counters.count(stranger(&format!("network {n}")), now);
        }
        counters.count(stranger("network 0"), now);
        let refusals = counters.take(now);
        assert_eq!(refusals.len(), MAX_KINDS + 1);
        let of = |from: &str| refusals.iter().find(|r| &*r.from == from).unwrap().count;
        assert_eq!((of("network 0"), of(OTHER)), (2, 2 * MAX_KINDS as u64));
        assert!(counters.take(now).is_empty() && counters.since().is_none());
    }
}
