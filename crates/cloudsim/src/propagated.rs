//! Values whose edits take a while to take effect, as edits of IAM and KMS policies do.

use crate::clock::Timestamp;

/// A value and its edits, each with the moment it takes effect.
#[derive(Clone, Debug)]
pub(crate) struct Propagated<T> {
    first: T,
    edits: Vec<(Timestamp, T)>,
}

impl<T> Propagated<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { first: value, edits: Vec::new() }
    }

    /// The value in effect at `now`. A later edit wins over an earlier one as soon as it is in effect itself.
    pub(crate) fn at(&self, now: Timestamp) -> &T {
        self.edits.iter().rev().find(|(from, _)| *from <= now).map_or(&self.first, |(_, value)| value)
    }

    /// The newest value, in effect or not: what the editor sees.
    pub(crate) fn newest(&self) -> &T {
        self.edits.last().map_or(&self.first, |(_, value)| value)
    }

    /// Sets the value from `effective` on, and forgets values that no longer matter at `now`.
    pub(crate) fn set(&mut self, value: T, now: Timestamp, effective: Timestamp) {
        self.edits.push((effective, value));
        if let Some(current) = self.edits.iter().rposition(|(from, _)| *from <= now) {
            let mut rest = self.edits.split_off(current);
            self.first = rest.remove(0).1;
            self.edits = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_unix_seconds(second)
    }

    #[test]
    fn an_edit_takes_effect_only_after_its_delay() {
        let mut value = Propagated::new("old");
        value.set("new", second(10), second(15));
        assert_eq!((*value.at(second(14)), *value.newest()), ("old", "new"));
        assert_eq!(*value.at(second(15)), "new");
    }

    #[test]
    fn a_later_edit_is_never_overtaken_by_an_earlier_slower_one() {
        let mut value = Propagated::new("old");
        value.set("slow", second(10), second(30));
        value.set("quick", second(11), second(12));
        assert_eq!(*value.at(second(11)), "old");
        assert_eq!(*value.at(second(12)), "quick");
        assert_eq!(*value.at(second(31)), "quick");
    }
}
