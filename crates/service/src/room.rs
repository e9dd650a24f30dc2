//! Room for so many at once, of which nobody can take all.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Room for so many at once. A part of it is for whoever comes; the rest only for those who have less than a share, so that
/// one of them alone leaves it to the others (promise P9). Clones are one room.
#[derive(Debug)]
pub struct Room<K>(Arc<Inner<K>>);

#[derive(Debug)]
struct Inner<K> {
    capacity: usize,
    open: usize,
    share: usize,
    taken: Mutex<Taken<K>>,
}

#[derive(Debug)]
struct Taken<K> {
    total: usize,
    by: HashMap<K, usize>,
}

/// Somebody's place in a [`Room`]. Dropping it frees it.
#[derive(Debug)]
#[must_use = "a place is free again when it is dropped"]
pub struct Place<K: Hash + Eq> {
    room: Room<K>,
    who: K,
}

impl<K: Hash + Eq + Clone> Room<K> {
    /// Room for `capacity`, half of it for whoever comes, and a share of a sixteenth.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self::sharing(capacity, capacity.div_ceil(2), capacity / 16)
    }

    /// Room for `capacity`, `open` of it for whoever comes; who has `share` gets more only while some of that is free.
    #[must_use]
    pub fn sharing(capacity: usize, open: usize, share: usize) -> Self {
        let taken = Mutex::new(Taken { total: 0, by: HashMap::new() });
        Self(Arc::new(Inner { capacity, open, share: share.max(1), taken }))
    }

    /// A place, if there is one for `who`.
    pub fn take(&self, who: &K) -> Option<Place<K>> {
        let mut taken = self.0.lock();
        let has = taken.by.get(who).copied().unwrap_or(0);
        let is_scarce = taken.total >= self.0.open;
        if taken.total >= self.0.capacity || (is_scarce && has >= self.0.share) {
            return None;
        }
        taken.total += 1;
        taken.by.insert(who.clone(), has + 1);
        Some(Place { room: self.clone(), who: who.clone() })
    }

    /// How many places are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.0.lock().total
    }
}

impl<K> Inner<K> {
    /// Every critical section changes both counts or neither, so a panic elsewhere cannot have broken them.
    fn lock(&self) -> MutexGuard<'_, Taken<K>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> Clone for Room<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Hash + Eq> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.room.0.lock();
        taken.total -= 1;
        if let Some(has) = taken.by.get_mut(&self.who) {
            *has -= 1;
            if *has == 0 {
                taken.by.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p9_one_who_takes_all_there_is_leaves_half_to_the_others() {
        let room = Room::new(32);
        let greedy: Vec<_> = std::iter::from_fn(|| room.take(&0)).collect();
        assert_eq!(greedy.len(), 16);
        let modest: Vec<_> = [1, 1, 2, 2, 3, 3].iter().map(|who| room.take(who)).collect();
        assert!(modest.iter().all(Option::is_some));
        assert!(room.take(&1).is_none(), "a share is two places");
        let rest: Vec<_> = (4..).map_while(|who| room.take(&who)).collect();
        assert_eq!((rest.len(), room.taken()), (10, 32));
    }

    #[test]
    fn a_place_is_free_when_it_is_dropped_and_who_has_none_is_forgotten() {
        let room = Room::new(2);
        let first = room.take(&1).unwrap();
        assert!(room.take(&1).is_none());
        drop(first);
        assert_eq!((room.taken(), room.0.lock().by.len()), (0, 0));
        assert!(room.take(&1).is_some());
    }

    #[test]
    fn a_room_for_one_has_it() {
        let room = Room::sharing(1, 0, 0);
        let only = room.take(&1);
        assert!(only.is_some() && room.take(&2).is_none());
    }
}
