//! Room for connections. Strangers give way, so that nobody can keep feeds out by holding connections open.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The places for connections.
#[derive(Debug, Clone)]
pub(crate) struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    capacity: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    taken: BTreeMap<u64, Taken>,
}

#[derive(Debug)]
struct Taken {
    known: Arc<AtomicBool>,
    give_way: CancellationToken,
}

/// One connection's place. Dropping it frees it.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    number: u64,
    known: Arc<AtomicBool>,
    give_way: CancellationToken,
}

impl Places {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Arc::new(Inner { capacity: capacity.max(1), open: Mutex::default() }))
    }

    /// A place. If there is none, the oldest connection that never showed a valid credential gives way, or else the oldest
    /// of all, which its feed makes anew.
    pub(crate) fn take(&self) -> Place {
        let mut open = self.open();
        if open.taken.len() >= self.0.capacity {
            let stranger = open.taken.iter().find(|(_, taken)| !taken.known.load(Ordering::Relaxed));
            let oldest = stranger.or_else(|| open.taken.iter().next()).map(|(number, _)| *number);
            if let Some(taken) = oldest.and_then(|number| open.taken.remove(&number)) {
                taken.give_way.cancel();
            }
        }
        let number = open.next;
        open.next += 1;
        let (known, give_way) = (Arc::default(), CancellationToken::new());
        open.taken.insert(number, Taken { known: Arc::clone(&known), give_way: give_way.clone() });
        Place { places: self.clone(), number, known, give_way }
    }

    /// Every critical section is one insertion or removal, so a panic elsewhere cannot have broken the list.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// A valid credential was presented on the connection.
    pub(crate) fn is_known_now(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    /// Completes when the connection has to give way.
    pub(crate) async fn must_give_way(&self) {
        self.give_way.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.open().taken.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p9_the_oldest_stranger_gives_way_and_who_is_known_does_not() {
        let places = Places::new(3);
        let held: Vec<_> = (0..3).map(|_| places.take()).collect();
        held[0].is_known_now();
        let gone = || held.iter().map(|place| place.give_way.is_cancelled()).collect::<Vec<_>>();
        let fourth = places.take();
        assert_eq!(gone(), [false, true, false]);
        let fifth = places.take();
        assert_eq!(gone(), [false, true, true]);
        fourth.is_known_now();
        fifth.is_known_now();
        let _sixth = places.take();
        assert_eq!(gone(), [true, true, true], "of feeds alone the oldest");
        assert!(!fourth.give_way.is_cancelled());
    }

    #[test]
    fn a_place_is_free_when_its_connection_is_over() {
        let places = Places::new(2);
        let first = places.take();
        for _ in 0..10 {
            drop(places.take());
        }
        assert!(!first.give_way.is_cancelled());
        assert_eq!(places.open().taken.len(), 1);
    }
}
