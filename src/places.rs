//! Room for connections. Strangers give way, so that nobody can keep feeds out by holding connections open.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leasehold_clock::{Moment, TimeSource};
use tokio_util::sync::CancellationToken;

/// How long everybody has, unless very many come: more than a handshake over half of the world takes. Otherwise the last of
/// those who connect at once, as all do after a restart, would drive out the first of them.
const GRACE: Duration = Duration::from_secs(1);

/// How many times as many as there are places may be in that time.
const AT_ONCE: usize = 4;

/// The places for connections.
#[derive(Clone)]
pub(crate) struct Places(Arc<Inner>);

struct Inner {
    capacity: usize,
    clock: Arc<dyn TimeSource>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    taken: BTreeMap<u64, Taken>,
}

#[derive(Debug)]
struct Taken {
    since: Moment,
    known: Arc<AtomicBool>,
    give_way: CancellationToken,
}

/// One connection's place. Dropping it frees it.
pub(crate) struct Place {
    places: Places,
    number: u64,
    known: Arc<AtomicBool>,
    give_way: CancellationToken,
}

impl Places {
    pub(crate) fn new(capacity: usize, clock: Arc<dyn TimeSource>) -> Self {
        Self(Arc::new(Inner { capacity: capacity.max(1), clock, open: Mutex::default() }))
    }

    /// A place. If there is none, the oldest connection that never showed a valid credential gives way, or else the oldest of
    /// all, which its feed makes anew: once it had its time, or at once when there are too many even so.
    pub(crate) fn take(&self) -> Place {
        let mut open = self.open();
        let since = self.0.clock.now();
        if open.taken.len() >= self.0.capacity {
            let stranger = open.taken.iter().find(|(_, taken)| !taken.known.load(Ordering::Relaxed));
            if let Some((number, taken)) = stranger.or_else(|| open.taken.iter().next())
                && (since.since(taken.since) >= GRACE || open.taken.len() >= self.0.capacity * AT_ONCE)
            {
                taken.give_way.cancel();
                let number = *number;
                open.taken.remove(&number);
            }
        }
        let number = open.next;
        open.next += 1;
        let (known, give_way) = (Arc::default(), CancellationToken::new());
        open.taken.insert(number, Taken { since, known: Arc::clone(&known), give_way: give_way.clone() });
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

    use leasehold_clock::ManualClock;

    fn places(capacity: usize) -> (Places, ManualClock) {
        let clock = ManualClock::new();
        (Places::new(capacity, Arc::new(clock.clone())), clock)
    }

    #[tokio::test]
    async fn p9_the_oldest_stranger_gives_way_and_who_is_known_does_not() {
        let (places, clock) = places(3);
        let held = [places.take(), places.take(), places.take()];
        clock.advance(GRACE).await;
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

    #[tokio::test]
    async fn p9_everybody_has_time_to_say_who_they_are_unless_very_many_come() {
        let (places, clock) = places(2);
        let held: Vec<_> = (0..2 * AT_ONCE).map(|_| places.take()).collect();
        let gone = || held.iter().filter(|place| place.give_way.is_cancelled()).count();
        assert_eq!(gone(), 0);
        let _more = places.take();
        assert_eq!((gone(), held[0].give_way.is_cancelled()), (1, true));
        clock.advance(GRACE).await;
        let _more = places.take();
        assert_eq!((gone(), held[1].give_way.is_cancelled()), (2, true));
    }

    #[tokio::test]
    async fn a_place_is_free_when_its_connection_is_over() {
        let (places, _clock) = places(2);
        let first = places.take();
        for _ in 0..10 {
            drop(places.take());
        }
        assert!(!first.give_way.is_cancelled());
        assert_eq!(places.open().taken.len(), 1);
    }
}
