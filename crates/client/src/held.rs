//! What is held, and until when. Pure: time is a parameter.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use leasehold_clock::{Generation, Moment};
use leasehold_envelope::{EncryptionContext, WrappedKey};
use leasehold_ids::{BindingName, TenantId};
use leasehold_secret::PlaintextKey;

/// What a key was unwrapped from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct EntryId {
    pub(crate) tenant: TenantId,
    pub(crate) wrapped: WrappedKey,
    pub(crate) context: EncryptionContext,
}

struct Entry {
    key: Arc<PlaintextKey>,
    binding: BindingName,
    expires: Moment,
    /// No renewal goes beyond this.
    oldest: Moment,
}

/// Bounds of what is held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) entries: usize,
    pub(crate) max_age: Duration,
}

/// Keys under leases.
pub(crate) struct Held {
    bounds: Bounds,
    generation: Generation,
    entries: HashMap<EntryId, Entry>,
    /// Counts wipes, to tell a key that was asked for before one from a key that was asked for after it.
    wipes: u64,
    /// The newest wipe of each binding that was wiped while something was on its way.
    wiped: BTreeMap<BindingName, u64>,
    /// The newest wipe of everything.
    wiped_all: u64,
    on_the_way: usize,
}

/// Proof of when a key was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    wipes: u64,
}

impl Held {
    pub(crate) fn new(bounds: Bounds, generation: Generation) -> Self {
        let (entries, wiped) = (HashMap::new(), BTreeMap::new());
        Self { bounds, generation, entries, wipes: 0, wiped, wiped_all: 0, on_the_way: 0 }
    }

    /// The key, if it may still be used.
    pub(crate) fn get(&mut self, id: &EntryId, now: Moment) -> Option<Arc<PlaintextKey>> {
        if self.entries.get(id)?.expires <= now {
            self.entries.remove(id);
        }
        self.entries.get(id).map(|entry| Arc::clone(&entry.key))
    }

    /// Wipes everything if this machine turned out to be a restored copy of itself.
    pub(crate) fn at_generation(&mut self, generation: Generation) {
        if generation != self.generation {
            self.generation = generation;
            self.wipe_all();
        }
    }

    /// A key is about to be asked for. Each ticket is handed back to [`Held::settle`].
    pub(crate) fn ask(&mut self) -> Ticket {
        self.on_the_way += 1;
        Ticket { wipes: self.wipes }
    }

    /// What was asked for has arrived, or never will.
    pub(crate) fn settle(&mut self) {
        self.on_the_way -= 1;
        if self.on_the_way == 0 {
            self.wiped.clear();
        }
    }

    /// Whether a key of `binding` that was asked for at `ticket` may be used: it is not expired, and its binding was not
    /// wiped since. Call before [`Held::settle`].
    pub(crate) fn admits(&self, ticket: Ticket, binding: &BindingName, expires: Moment, now: Moment) -> bool {
        let last = self.wiped.get(binding).copied().unwrap_or(0).max(self.wiped_all);
        now < expires && last <= ticket.wipes
    }

    /// Keeps a key that [`Held::admits`] admitted. A full cache keeps what it has.
    pub(crate) fn keep(
        &mut self,
        id: EntryId,
        key: Arc<PlaintextKey>,
        binding: BindingName,
        expires: Moment,
        now: Moment,
    ) {
        let oldest = now + self.bounds.max_age;
        if self.entries.len() < self.bounds.entries || self.entries.contains_key(&id) {
            self.entries.insert(id, Entry { key, binding, expires: expires.min(oldest), oldest });
        }
    }

    /// The lease of `binding` is known to live until `expires`.
    pub(crate) fn renew(&mut self, binding: &BindingName, expires: Moment) {
        for entry in self.entries.values_mut().filter(|e| e.binding == *binding) {
            entry.expires = entry.expires.max(expires.min(entry.oldest));
        }
    }

    /// Wipes every key of `binding`, those on their way included.
    pub(crate) fn wipe(&mut self, binding: &BindingName) {
        self.wipes += 1;
        if self.on_the_way > 0 {
            self.wiped.insert(binding.clone(), self.wipes);
        }
        self.entries.retain(|_, entry| entry.binding != *binding);
    }

    /// Wipes every key, those on their way included.
    pub(crate) fn wipe_all(&mut self) {
        self.wipes += 1;
        self.wiped_all = self.wipes;
        self.entries.clear();
    }

    /// Wipes what has expired and says when the next one will.
    pub(crate) fn purge(&mut self, now: Moment) -> Option<Moment> {
        self.entries.retain(|_, entry| now < entry.expires);
        self.entries.values().map(|entry| entry.expires).min()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use leasehold_secret::{Arena, ArenaConfig, KeyLength, OnUnlockable};

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    fn arena() -> Arena {
        let on_unlockable = OnUnlockable::DangerUseOrdinaryMemory;
        Arena::new(ArenaConfig { bytes: ArenaConfig::MIN_BYTES, on_unlockable }).unwrap()
    }

    fn key(arena: &Arena) -> Arc<PlaintextKey> {
        Arc::new(PlaintextKey::generate(arena, KeyLength::B32).unwrap())
    }

    fn id(wrapped: u8) -> EntryId {
        let context = EncryptionContext::empty();
        EntryId { tenant: "acme".parse().unwrap(), wrapped: vec![wrapped].try_into().unwrap(), context }
    }

    fn binding(id: &str) -> BindingName {
        format!("tenants/acme/bindings/{id}").parse().unwrap()
    }

    fn held(entries: usize) -> Held {
        Held::new(Bounds { entries, max_age: Duration::from_secs(600) }, Generation(0))
    }

    #[test]
    fn p1_a_key_is_wiped_when_its_lease_runs_out() {
        let (arena, mut held) = (arena(), held(8));
        held.keep(id(1), key(&arena), binding("b"), at(300), at(0));
        held.keep(id(2), key(&arena), binding("b"), at(100), at(0));
        assert!(held.get(&id(1), at(299)).is_some());
        assert_eq!(held.purge(at(100)), Some(at(300)));
        assert_eq!(arena.in_use(), 1, "the key that expired is wiped by the purge, without a request");
        assert!(held.get(&id(1), at(300)).is_none());
        assert_eq!(arena.in_use(), 0);
    }

    #[test]
    fn p2_a_denial_wipes_its_binding_and_no_other() {
        let (arena, mut held) = (arena(), held(8));
        held.keep(id(1), key(&arena), binding("a"), at(300), at(0));
        held.keep(id(2), key(&arena), binding("b"), at(300), at(0));
        held.wipe(&binding("a"));
        assert!(held.get(&id(1), at(0)).is_none() && held.get(&id(2), at(0)).is_some());
        assert_eq!(arena.in_use(), 1);
    }

    #[test]
    fn p2_a_key_that_was_on_its_way_when_its_binding_was_wiped_is_not_used() {
        let mut held = held(8);
        let (before, other) = (held.ask(), held.ask());
        held.wipe(&binding("a"));
        let after = held.ask();
        assert!(!held.admits(before, &binding("a"), at(300), at(0)));
        assert!(held.admits(other, &binding("b"), at(300), at(0)));
        assert!(held.admits(after, &binding("a"), at(300), at(0)));
    }

    #[test]
    fn an_answer_that_took_longer_than_its_lease_is_not_used() {
        let mut held = held(8);
        let ticket = held.ask();
        assert!(!held.admits(ticket, &binding("a"), at(15), at(15)));
    }

    #[test]
    fn a_renewal_lengthens_but_never_beyond_the_entrys_own_age() {
        let (arena, mut held) = (arena(), held(8));
        held.keep(id(1), key(&arena), binding("a"), at(300), at(0));
        held.renew(&binding("a"), at(500));
        assert!(held.get(&id(1), at(499)).is_some());
        held.renew(&binding("a"), at(400));
        assert!(held.get(&id(1), at(499)).is_some(), "an older answer takes nothing back");
        held.renew(&binding("a"), at(900));
        assert!(held.get(&id(1), at(600)).is_none());
    }

    #[test]
    fn p9_a_full_cache_keeps_what_it_has() {
        let (arena, mut held) = (arena(), held(1));
        held.keep(id(1), key(&arena), binding("a"), at(300), at(0));
        held.keep(id(2), key(&arena), binding("a"), at(300), at(0));
        assert_eq!((held.len(), arena.in_use()), (1, 1));
    }

    #[test]
    fn a_restored_snapshot_holds_nothing() {
        let (arena, mut held) = (arena(), held(8));
        let ticket = held.ask();
        held.keep(id(1), key(&arena), binding("a"), at(300), at(0));
        held.at_generation(Generation(1));
        assert_eq!(arena.in_use(), 0);
        assert!(!held.admits(ticket, &binding("a"), at(300), at(0)));
    }
}
