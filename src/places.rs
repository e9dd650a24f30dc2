//! Room for connections. Strangers give way, so that nobody can keep feeds out by holding connections open.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leasehold_clock::{Moment, TimeSource};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How long everybody has, however many come: more than a handshake over half of the world takes. Otherwise the last of those
/// who connect at once, as all do after a restart, would drive out the first of them.
const GRACE: Duration = Duration::from_secs(1);

/// The places for connections.
#[derive(Clone)]
pub(crate) struct Places(Arc<Inner>);

struct Inner {
    capacity: usize,
    clock: Arc<dyn TimeSource>,
    open: Mutex<Open>,
    freed: Notify,
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
        Self(Arc::new(Inner {
            capacity: capacity.max(1),
            clock,
            open: Mutex::default(),
            freed: Notify::new(),
        }))
    }

    /// A place. If there is none, the oldest connection that never showed a valid credential gives way once it had its time, or
    /// else the oldest of all, which its feed makes anew.
    pub(crate) async fn take(&self) -> Place {
        loop {
            let freed = self.0.freed.notified();
            match self.try_take() {
                Ok(place) => return place,
                Err(wait) => tokio::select! {
                    () = freed => {}
                    () = self.0.clock.sleep(wait) => {}
                },
            }
        }
    }

    /// A place, or how long until somebody gives way.
    fn try_take(&self) -> Result<Place, Duration> {
        let mut open = self.open();
        let since = self.0.clock.now();
        if open.taken.len() >= self.0.capacity {
            let stranger = open.taken.iter().find(|(_, taken)| !taken.known.load(Ordering::Relaxed));
            if let Some((number, taken)) = stranger.or_else(|| open.taken.iter().next()) {
                let wait = GRACE.saturating_sub(since.since(taken.since));
                if !wait.is_zero() {
                    return Err(wait);
                }
                taken.give_way.cancel();
                let number = *number;
                open.taken.remove(&number);
            }
        }
        let number = open.next;
        open.next += 1;
        let (known, give_way) = (Arc::default(), CancellationToken::new());
        open.taken.insert(number, Taken { since, known: Arc::clone(&known), give_way: give_way.clone() });
        Ok(Place { places: self.clone(), number, known, give_way })
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
        if self.places.open().taken.remove(&self.number).is_some() {
            self.places.0.freed.notify_one();
        }
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
        let held = [places.take().await, places.take().await, places.take().await];
        clock.advance(GRACE).await;
        held[0].is_known_now();
        let gone = || held.iter().map(|place| place.give_way.is_cancelled()).collect::<Vec<_>>();
        let fourth = places.take().await;
        assert_eq!(gone(), [false, true, false]);
        let fifth = places.take().await;
        assert_eq!(gone(), [false, true, true]);
        fourth.is_known_now();
        fifth.is_known_now();
        let _sixth = places.take().await;
        assert_eq!(gone(), [true, true, true], "of feeds alone the oldest");
        assert!(!fourth.give_way.is_cancelled());
    }

    #[tokio::test]
    async fn p9_everybody_has_time_to_say_who_they_are_however_many_come() {
        let (places, clock) = places(2);
        let (first, second) = (places.take().await, places.take().await);
        let mut third = Box::pin(places.take());
        assert!(futures::poll!(&mut third).is_pending());
        clock.advance(GRACE / 2).await;
        assert!(futures::poll!(&mut third).is_pending());
        drop(second);
        let third = third.await;
        let mut fourth = Box::pin(places.take());
        assert!(futures::poll!(&mut fourth).is_pending());
        clock.advance(GRACE / 2).await;
        let _fourth = fourth.await;
        assert!(first.give_way.is_cancelled() && !third.give_way.is_cancelled());
    }

    #[tokio::test]
    async fn a_place_is_free_when_its_connection_is_over() {
        let (places, _clock) = places(2);
        let first = places.take().await;
        for _ in 0..10 {
            drop(places.take().await);
        }
        assert!(!first.give_way.is_cancelled());
        assert_eq!(places.open().taken.len(), 1);
    }
}
