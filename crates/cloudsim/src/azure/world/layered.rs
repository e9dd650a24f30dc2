//! Values that their owner sets and that edits are laid over.
//!
//! An edit hides the owner's value rather than replacing it, so that edits can be undone in any order. When the owner sets
//! the value anew, the edits over the old one are gone.

use crate::azure::edits::EditId;
use crate::clock::Timestamp;
use crate::propagated::Propagated;

/// When an edit is made and when it takes effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EditTime {
    pub(crate) now: Timestamp,
    pub(crate) effective: Timestamp,
}

/// An owner's value and the edits over it.
#[derive(Clone, Debug)]
pub(crate) struct Layered<T> {
    own: T,
    /// The last one is on top.
    edits: Vec<(EditId, T)>,
    effective: Propagated<T>,
}

impl<T: Clone> Layered<T> {
    pub(crate) fn new(own: T) -> Self {
        Self { effective: Propagated::new(own.clone()), own, edits: Vec::new() }
    }

    /// The value in effect at `now`.
    pub(crate) fn at(&self, now: Timestamp) -> &T {
        self.effective.at(now)
    }

    /// The newest value, in effect or not: what the editor sees.
    pub(crate) fn newest(&self) -> &T {
        self.effective.newest()
    }

    /// Sets the owner's value, which removes the edits.
    pub(crate) fn set(&mut self, own: T, time: EditTime) {
        self.own = own;
        self.edits.clear();
        self.propagate(time);
    }

    pub(crate) fn lay(&mut self, id: EditId, value: T, time: EditTime) {
        self.edits.push((id, value));
        self.propagate(time);
    }

    /// Takes an edit off; says whether it was there.
    pub(crate) fn lift(&mut self, id: EditId, time: EditTime) -> bool {
        let before = self.edits.len();
        self.edits.retain(|(known, _)| *known != id);
        let lifted = self.edits.len() < before;
        if lifted {
            self.propagate(time);
        }
        lifted
    }

    fn propagate(&mut self, time: EditTime) {
        let value = self.edits.last().map_or(&self.own, |(_, value)| value).clone();
        self.effective.set(value, time.now, time.effective);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64, delay: i64) -> EditTime {
        EditTime {
            now: Timestamp::from_unix_seconds(second),
            effective: Timestamp::from_unix_seconds(second + delay),
        }
    }

    #[test]
    fn edits_can_be_undone_in_any_order() {
        let mut value = Layered::new("own");
        let (first, second) = (EditId::of(1), EditId::of(2));
        value.lay(first, "first", at(1, 0));
        value.lay(second, "second", at(2, 0));
        assert!(value.lift(first, at(3, 0)));
        assert_eq!(*value.newest(), "second");
        assert!(value.lift(second, at(4, 0)));
        assert_eq!(*value.newest(), "own");
        assert!(!value.lift(second, at(5, 0)));
    }

    #[test]
    fn laying_lifting_and_setting_take_effect_after_their_delay() {
        let mut value = Layered::new("own");
        value.lay(EditId::of(1), "edit", at(10, 5));
        assert_eq!(*value.at(Timestamp::from_unix_seconds(14)), "own");
        assert_eq!(*value.at(Timestamp::from_unix_seconds(15)), "edit");
        value.set("new", at(20, 5));
        assert!(!value.lift(EditId::of(1), at(21, 5)), "the owner's new value is without the edit");
        assert_eq!(*value.at(Timestamp::from_unix_seconds(24)), "edit");
        assert_eq!(*value.at(Timestamp::from_unix_seconds(25)), "new");
    }
}
