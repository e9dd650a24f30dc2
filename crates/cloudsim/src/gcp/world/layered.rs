//! A value as its owner set it, named edits laid over it, and what of it is in effect.
//!
//! Edits are layers rather than changes, so that they can be undone in any order.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::gcp::edits::EditId;
use crate::propagated::Propagated;

/// When an edit is made and when it takes effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EditTime {
    pub(crate) now: Timestamp,
    pub(crate) effective: Timestamp,
}

/// What an edit does to a value.
pub(crate) trait Layer<T> {
    fn apply(&self, value: &mut T);
}

#[derive(Debug)]
pub(crate) struct Layered<T, L> {
    base: T,
    layers: BTreeMap<EditId, L>,
    effective: Propagated<T>,
}

impl<T: Clone, L: Layer<T>> Layered<T, L> {
    pub(crate) fn new(value: T) -> Self {
        Self { base: value.clone(), layers: BTreeMap::new(), effective: Propagated::new(value) }
    }

    /// The value in effect.
    pub(crate) fn at(&self, now: Timestamp) -> &T {
        self.effective.at(now)
    }

    /// The value that its owner reads back, in effect or not.
    pub(crate) fn newest(&self) -> &T {
        self.effective.newest()
    }

    /// Replaces the value; edits over the old one go with it.
    pub(crate) fn replace(&mut self, value: T, time: EditTime) {
        self.base = value;
        self.layers.clear();
        self.publish(time);
    }

    /// Changes the owner's value under the edits.
    pub(crate) fn change(&mut self, time: EditTime, change: impl FnOnce(&mut T)) {
        change(&mut self.base);
        self.publish(time);
    }

    /// Lays an edit over the value.
    pub(crate) fn lay(&mut self, id: EditId, layer: L, time: EditTime) {
        self.layers.insert(id, layer);
        self.publish(time);
    }

    /// Takes an edit away; says whether it was there.
    pub(crate) fn lift(&mut self, id: EditId, time: EditTime) -> bool {
        let known = self.layers.remove(&id).is_some();
        if known {
            self.publish(time);
        }
        known
    }

    fn publish(&mut self, time: EditTime) {
        let mut value = self.base.clone();
        self.layers.values().for_each(|layer| layer.apply(&mut value));
        self.effective.set(value, time.now, time.effective);
    }
}
