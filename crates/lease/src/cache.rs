//! The sealed cache: what the clouds unwrapped, as ciphertext under the lease that it was unwrapped in.
//!
//! moka gives bounds, admission and single flight. That it drops lazily and loses races between loads and invalidations
//! does not matter here: an entry is worth nothing once its lease's sealing key is wiped, and a load seals under the lease
//! that it began with, so its result dies with that lease whenever it is inserted.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leasehold_clock::Moment;
use leasehold_envelope::{ContextCommitment, WrappedKey};
use leasehold_ids::{BindingName, BindingVersion, LeaseEpoch, TenantId};
use leasehold_secret::{PlaintextKey, Sealed, SealingKey, SecretError};
use moka::future::Cache;
use sha2::{Digest, Sha256};

use crate::{Cached, LeaseError, Settings};

/// What an entry costs besides its ciphertext: moka's node, our key, the counters. Measured at 400 to 530 bytes.
const ENTRY_OVERHEAD: u64 = 512;

/// The longest that terms let an entry live; moka forgets it then, whatever we do.
const FORGET_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Names an entry: SHA-256 over everything that must match for it to be the right one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct EntryKey([u8; 32]);

impl EntryKey {
    pub(crate) fn new(
        epoch: LeaseEpoch,
        binding: &BindingName,
        version: BindingVersion,
        wrapped: &WrappedKey,
        context: &ContextCommitment,
    ) -> Self {
        let mut hash = Sha256::new();
        for part in [
            &epoch.get().to_be_bytes()[..],
            binding.tenant().as_str().as_bytes(),
            binding.binding().as_str().as_bytes(),
            &version.get().to_be_bytes(),
            wrapped.as_bytes(),
            context.as_bytes(),
        ] {
            // Length-prefixed, so that no two different tuples hash the same bytes.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// An unwrapped key, sealed under its lease.
pub(crate) struct Entry {
    sealed: Sealed,
    /// When the call that unwrapped it began.
    pub(crate) asked: Moment,
    /// Orders loads and denials of one lease; see [`crate::forbidden::Forbidden`].
    pub(crate) order: u64,
    pub(crate) request_id: Option<Box<str>>,
}

impl Entry {
    pub(crate) fn seal(
        key: &PlaintextKey,
        under: &SealingKey,
        name: &EntryKey,
        asked: Moment,
        order: u64,
        request_id: Option<Box<str>>,
    ) -> Result<Self, SecretError> {
        Ok(Self { sealed: under.seal(key, &name.0)?, asked, order, request_id })
    }

    pub(crate) fn open(&self, under: &SealingKey, name: &EntryKey) -> Result<PlaintextKey, SecretError> {
        under.open(&self.sealed, &name.0)
    }

    fn cost(&self) -> u64 {
        self.sealed.size() as u64 + self.request_id.as_ref().map_or(0, |id| id.len() as u64) + ENTRY_OVERHEAD
    }
}

/// All entries of all tenants.
pub(crate) struct SealedCache {
    entries: Cache<EntryKey, Arc<Entry>>,
    shares: Mutex<HashMap<TenantId, Share>>,
    bytes_per_tenant: u64,
}

impl SealedCache {
    pub(crate) fn new(settings: &Settings) -> Self {
        let entries = Cache::builder()
            .max_capacity(settings.cache_bytes)
            .weigher(|_, entry: &Arc<Entry>| u32::try_from(entry.cost()).unwrap_or(u32::MAX))
            .time_to_live(FORGET_AFTER)
            .build();
        Self { entries, shares: Mutex::default(), bytes_per_tenant: settings.cache_bytes_per_tenant }
    }

    /// The entry, if it is there.
    pub(crate) async fn get(&self, key: &EntryKey) -> Option<Arc<Entry>> {
        self.entries.get(key).await
    }

    /// The entry, or what `load` makes of it. Of many callers at once one loads and all get what it got, an error
    /// included. Says whether this caller's `load` ran.
    pub(crate) async fn get_or_load(
        &self,
        tenant: &TenantId,
        epoch: LeaseEpoch,
        key: EntryKey,
        load: impl Future<Output = Result<Entry, LeaseError>>,
    ) -> Result<(Arc<Entry>, bool), LeaseError> {
        let mut loaded = false;
        let entry = self
            .entries
            .try_get_with(key, async {
                loaded = true;
                load.await.map(Arc::new)
            })
            .await
            .map_err(|shared: Arc<LeaseError>| LeaseError::clone(&shared))?;
        if loaded {
            for crowded_out in self.charge(tenant, epoch, key, entry.cost()) {
                self.entries.invalidate(&crowded_out).await;
            }
        }
        Ok((entry, loaded))
    }

    /// How full it is.
    pub(crate) fn fill(&self) -> Cached {
        Cached { entries: self.entries.entry_count(), bytes: self.entries.weighted_size() }
    }

    /// Drops one entry.
    pub(crate) async fn remove(&self, key: &EntryKey) {
        self.entries.invalidate(key).await;
    }

    /// Gives back the room that the entries of an ended lease take. They are unreadable already.
    pub(crate) async fn forget(&self, tenant: &TenantId, epoch: LeaseEpoch) {
        let gone = {
            let mut shares = self.shares();
            let Some(share) = shares.get_mut(tenant) else { return };
            let gone = share.forget(epoch);
            if share.is_empty() {
                shares.remove(tenant);
            }
            gone
        };
        for key in gone {
            self.entries.invalidate(&key).await;
        }
    }

    /// Counts an entry against its tenant, and gives those of the *same* tenant that it crowds out: a flooding tenant
    /// evicts its own.
    fn charge(&self, tenant: &TenantId, epoch: LeaseEpoch, key: EntryKey, cost: u64) -> Vec<EntryKey> {
        self.shares().entry(tenant.clone()).or_default().charge(epoch, key, cost, self.bytes_per_tenant)
    }

    fn shares(&self) -> MutexGuard<'_, HashMap<TenantId, Share>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn bytes_of(&self, tenant: &TenantId) -> u64 {
        self.shares().get(tenant).map_or(0, |share| share.bytes)
    }
}

/// What one tenant has in the cache, oldest first.
#[derive(Default)]
struct Share {
    bytes: u64,
    next: u64,
    order: VecDeque<(u64, EntryKey)>,
    charged: HashMap<EntryKey, Charge>,
}

#[derive(Clone, Copy)]
struct Charge {
    serial: u64,
    epoch: LeaseEpoch,
    cost: u64,
}

impl Share {
    fn charge(&mut self, epoch: LeaseEpoch, key: EntryKey, cost: u64, most: u64) -> Vec<EntryKey> {
        let serial = self.next;
        self.next += 1;
        if let Some(replaced) = self.charged.insert(key, Charge { serial, epoch, cost }) {
            self.bytes -= replaced.cost;
        }
        self.bytes += cost;
        self.order.push_back((serial, key));
        let mut crowded_out = Vec::new();
        if self.order.len() > 2 * self.charged.len() {
            // Most of the queue are places of keys that were charged again since; nobody is crowded out for them.
            self.order.retain(|(serial, key)| self.charged.get(key).is_some_and(|c| c.serial == *serial));
        }
        while self.bytes > most {
            let Some((serial, key)) = self.order.pop_front() else { break };
            // A key that was charged again since stands further back in the queue.
            if self.charged.get(&key).is_some_and(|charge| charge.serial == serial) {
                self.uncharge(&key);
                crowded_out.push(key);
            }
        }
        crowded_out
    }

    fn forget(&mut self, epoch: LeaseEpoch) -> Vec<EntryKey> {
        let gone: Vec<_> =
            self.charged.iter().filter(|(_, c)| c.epoch == epoch).map(|(key, _)| *key).collect();
        for key in &gone {
            self.uncharge(key);
        }
        self.order.retain(|(_, key)| self.charged.contains_key(key));
        gone
    }

    fn uncharge(&mut self, key: &EntryKey) {
        if let Some(charge) = self.charged.remove(key) {
            self.bytes -= charge.cost;
        }
    }

    fn is_empty(&self) -> bool {
        self.charged.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use leasehold_secret::{Arena, ArenaConfig, KeyLength};

    use super::*;

    fn cache(bytes_per_tenant: u64) -> SealedCache {
        SealedCache::new(&Settings { cache_bytes_per_tenant: bytes_per_tenant, ..Settings::default() })
    }

    fn name(epoch: u64, n: u64) -> EntryKey {
        let binding = "tenants/t/bindings/b".parse().unwrap();
        let wrapped = n.to_be_bytes().to_vec().try_into().unwrap();
        let context = leasehold_envelope::EncryptionContext::empty().commitment();
        EntryKey::new(LeaseEpoch::new(epoch), &binding, BindingVersion::FIRST, &wrapped, &context)
    }

    async fn load(cache: &SealedCache, tenant: &str, epoch: u64, n: u64, under: &SealingKey, arena: &Arena) {
        let key = name(epoch, n);
        let entry = async {
            let plaintext = PlaintextKey::generate(arena, KeyLength::B32)?;
            Ok(Entry::seal(&plaintext, under, &key, Moment::START, 0, None)?)
        };
        cache.get_or_load(&tenant.parse().unwrap(), LeaseEpoch::new(epoch), key, entry).await.unwrap();
    }

    #[test]
    fn p9_the_cache_holds_as_many_keys_as_its_settings_say() {
        let config = ArenaConfig { bytes: ArenaConfig::MIN_BYTES, ..ArenaConfig::default() };
        let arena = Arena::new(config).unwrap();
        let (under, key) = (SealingKey::generate(&arena).unwrap(), name(1, 1));
        let plaintext = PlaintextKey::generate(&arena, KeyLength::B32).unwrap();
        let request_id = Some("1b2c3d4e-5f60-7182-93a4-b5c6d7e8f901".into());
        let entry = Entry::seal(&plaintext, &under, &key, Moment::START, 0, request_id).unwrap();
        assert_eq!(entry.cost(), 608);
        let Settings { cache_bytes, cache_bytes_per_tenant, .. } = Settings::default();
        assert_eq!((cache_bytes / entry.cost(), cache_bytes_per_tenant / entry.cost()), (110_376, 6_898));
    }

    #[tokio::test]
    async fn p9_a_flooding_tenant_evicts_only_its_own_entries() {
        let arena = Arena::new(ArenaConfig::default()).unwrap();
        let under = SealingKey::generate(&arena).unwrap();
        let cache = cache(10 * (ENTRY_OVERHEAD + 100));
        load(&cache, "quiet", 1, 0, &under, &arena).await;
        for n in 0..1_000 {
            load(&cache, "flood", 2, n, &under, &arena).await;
        }
        assert!(cache.get(&name(1, 0)).await.is_some(), "the quiet tenant keeps its entry");
        assert!(cache.get(&name(2, 0)).await.is_none(), "the flood's first entry made room");
        assert!(cache.get(&name(2, 999)).await.is_some(), "for its newest");
        assert!(cache.bytes_of(&"flood".parse().unwrap()) <= 10 * (ENTRY_OVERHEAD + 100));
    }

    #[test]
    fn an_entry_that_is_loaded_again_and_again_crowds_nobody_out() {
        let mut share = Share::default();
        let epoch = LeaseEpoch::new(1);
        share.charge(epoch, name(1, 0), 100, 1_000);
        for _ in 0..100 {
            assert!(share.charge(epoch, name(1, 1), 100, 1_000).is_empty(), "there is room for both");
            assert!(share.order.len() <= 4, "and the queue stays short");
        }
        assert_eq!(share.bytes, 200);
    }

    #[tokio::test]
    async fn p4_what_a_wiped_lease_left_in_the_cache_is_unreadable() {
        let arena = Arena::new(ArenaConfig::default()).unwrap();
        let under = SealingKey::generate(&arena).unwrap();
        let cache = cache(1 << 20);
        load(&cache, "t", 1, 0, &under, &arena).await;
        let entry = cache.get(&name(1, 0)).await.unwrap();
        assert!(entry.open(&under, &name(1, 0)).is_ok());
        under.wipe();
        assert!(matches!(entry.open(&under, &name(1, 0)), Err(SecretError::Wiped)));
    }

    #[tokio::test]
    async fn forgetting_a_lease_gives_back_its_tenants_room() {
        let arena = Arena::new(ArenaConfig::default()).unwrap();
        let under = SealingKey::generate(&arena).unwrap();
        let cache = cache(1 << 20);
        for n in 0..5 {
            load(&cache, "t", 1, n, &under, &arena).await;
        }
        load(&cache, "t", 2, 9, &under, &arena).await;
        let tenant = "t".parse().unwrap();
        cache.forget(&tenant, LeaseEpoch::new(1)).await;
        assert!(cache.get(&name(1, 0)).await.is_none());
        assert!(cache.get(&name(2, 9)).await.is_some());
        cache.forget(&tenant, LeaseEpoch::new(2)).await;
        assert_eq!(cache.bytes_of(&tenant), 0);
    }

    #[test]
    fn entries_of_different_epochs_bindings_and_contexts_never_meet() {
        let base = |epoch, binding: &str, version, wrapped: &[u8], context: &[(&str, &str)]| {
            let context =
                leasehold_envelope::EncryptionContext::try_from_iter(context.iter().copied()).unwrap();
            let wrapped = wrapped.to_vec().try_into().unwrap();
            let binding = binding.parse().unwrap();
            EntryKey::new(
                LeaseEpoch::new(epoch),
                &binding,
                BindingVersion::new(version),
                &wrapped,
                &context.commitment(),
            )
        };
        let keys = [
            base(1, "tenants/a/bindings/b", 1, b"w", &[]),
            base(2, "tenants/a/bindings/b", 1, b"w", &[]),
            base(1, "tenants/a/bindings/c", 1, b"w", &[]),
            base(1, "tenants/c/bindings/b", 1, b"w", &[]),
            base(1, "tenants/a/bindings/b", 2, b"w", &[]),
            base(1, "tenants/a/bindings/b", 1, b"x", &[]),
            base(1, "tenants/a/bindings/b", 1, b"w", &[("k", "v")]),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }
}
