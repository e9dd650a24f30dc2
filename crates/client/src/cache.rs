//! Unwrapped keys, held under the service's lease.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use leasehold_api::v1::WatchMode;
use leasehold_clock::TimeSource;
use leasehold_envelope::{EncryptionContext, WrappedKey};
use leasehold_ids::{BindingName, TenantId};
use leasehold_secret::PlaintextKey;
use tokio::sync::{Notify, broadcast, watch};

use crate::held::{Bounds, EntryId, Held, Ticket};
use crate::{Client, ClientError, LeaseUpdate};

/// Updates that a subscriber may be behind before it misses some.
const UPDATES: usize = 256;

/// Bounds of a [`KeyCache`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheSettings {
    /// Keys held at most; each takes 64 bytes of the arena. Default 4,096: a quarter of an arena of the default size.
    pub entries: usize,
    /// The age at which a key is asked for anew, however long its lease lives: bounds how long a key outlives a key-policy
    /// edit that forbids its encryption context alone. Default 10 min, as on the service.
    pub max_age: Duration,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self { entries: 4096, max_age: Duration::from_secs(600) }
    }
}

/// Keys that were unwrapped, each held until its lease runs out or the service says that it ended. Clones share it; it is
/// wiped when the last one is dropped. Must be made and used within a tokio runtime.
#[derive(Clone)]
pub struct KeyCache {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    client: Client,
    held: Mutex<Held>,
    /// Something has a new time at which to be wiped; or this is being dropped.
    changed: Arc<Notify>,
    /// Which tenants are watched, and how. The watcher follows it and ends with it.
    watched: watch::Sender<BTreeMap<TenantId, WatchMode>>,
    updates: broadcast::Sender<LeaseUpdate>,
}

impl KeyCache {
    /// An empty cache in front of `client`.
    #[must_use]
    pub fn new(client: Client, settings: CacheSettings) -> Self {
        let bounds = Bounds { entries: settings.entries, max_age: settings.max_age };
        let (clock, changed) = (Arc::clone(client.clock()), Arc::new(Notify::new()));
        let (watched, wanted) = watch::channel(BTreeMap::new());
        let inner = Arc::new(Inner {
            held: Mutex::new(Held::new(bounds, clock.generation())),
            changed: Arc::clone(&changed),
            watched,
            updates: broadcast::channel(UPDATES).0,
            client: client.clone(),
        });
        tokio::spawn(wipe_on_time(Arc::downgrade(&inner), changed, clock));
        tokio::spawn(crate::watch::follow(Arc::downgrade(&inner), client, wanted));
        Self { inner }
    }

    /// Lends the key that `wrapped` holds to `use_key`, unwrapping it first if it is not held. The key is wiped when its lease
    /// ends; a `use_key` that runs at that moment finishes first, so keep it short and copy nothing.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn with_key<R>(
        &self,
        tenant: &TenantId,
        wrapped: &WrappedKey,
        context: &EncryptionContext,
        use_key: impl FnOnce(&PlaintextKey) -> R,
    ) -> Result<R, ClientError> {
        let id = EntryId { tenant: tenant.clone(), wrapped: wrapped.clone(), context: context.clone() };
        if let Some(key) = self.inner.get(&id) {
            return Ok(use_key(&key));
        }
        let asked = Asked::now(&self.inner);
        let leased = self.inner.client.unwrap_key(tenant, wrapped, context).await?;
        let key = asked.arrived(id, leased)?;
        Ok(use_key(&key))
    }

    /// Watches a tenant from now on: what is held for it is renewed as long as its leases live, and wiped as soon as the
    /// service says that one ended. [`WatchMode::Hold`] keeps the leases proving; [`WatchMode::Forget`] stops watching.
    pub fn watch(&self, tenant: &TenantId, mode: WatchMode) {
        self.inner.watched.send_modify(|watched| match mode {
            WatchMode::Forget | WatchMode::Unspecified => drop(watched.remove(tenant)),
            WatchMode::Observe | WatchMode::Hold => drop(watched.insert(tenant.clone(), mode)),
        });
    }

    /// What the service says about the leases of watched tenants from now on, after it was acted on here: stop what uses
    /// keys of a binding that is no longer LIVE.
    #[must_use]
    pub fn updates(&self) -> broadcast::Receiver<LeaseUpdate> {
        self.inner.updates.subscribe()
    }

    /// Wipes everything.
    pub fn wipe(&self) {
        self.inner.held().wipe_all();
    }

    /// How many keys are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.held().len()
    }

    /// Whether no key is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

// === impl Inner ===

impl Inner {
    /// Renews or wipes as `update` says.
    pub(crate) fn apply(&self, update: LeaseUpdate) {
        match update.expires {
            Some(expires) => self.held().renew(&update.binding, expires),
            None => self.held().wipe(&update.binding),
        }
        self.changed.notify_one();
        // Nobody may be listening.
        let _ = self.updates.send(update);
    }

    /// Wipes what is held under `binding`.
    pub(crate) fn wipe(&self, binding: &BindingName) {
        self.held().wipe(binding);
    }

    fn get(&self, id: &EntryId) -> Option<Arc<PlaintextKey>> {
        let mut held = self.held();
        held.at_generation(self.client.clock().generation());
        held.get(id, self.client.clock().now())
    }

    /// Every critical section leaves the state whole, so a panic elsewhere cannot have broken it.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.changed.notify_one();
    }
}

/// A key that was asked for. However the asking ends, it is settled.
struct Asked<'a> {
    inner: &'a Inner,
    ticket: Ticket,
}

impl<'a> Asked<'a> {
    fn now(inner: &'a Inner) -> Self {
        let mut held = inner.held();
        held.at_generation(inner.client.clock().generation());
        let ticket = held.ask();
        Self { inner, ticket }
    }

    fn arrived(
        self,
        id: EntryId,
        leased: crate::Leased<PlaintextKey>,
    ) -> Result<Arc<PlaintextKey>, ClientError> {
        let now = self.inner.client.clock().now();
        let mut held = self.inner.held();
        held.at_generation(self.inner.client.clock().generation());
        if !held.admits(self.ticket, &leased.binding, leased.expires, now) {
            return Err(ClientError::LeaseOver);
        }
        let key = Arc::new(leased.value);
        held.keep(id, Arc::clone(&key), leased.binding, leased.expires, now);
        drop(held);
        self.inner.changed.notify_one();
        Ok(key)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.inner.held().settle();
    }
}

/// Wipes what expires when it expires.
async fn wipe_on_time(inner: Weak<Inner>, changed: Arc<Notify>, clock: Arc<dyn TimeSource>) {
    loop {
        let next = match inner.upgrade() {
            Some(inner) => inner.held().purge(clock.now()),
            None => return,
        };
        match next {
            Some(at) => tokio::select! {
                () = clock.sleep_until(at) => {}
                () = changed.notified() => {}
            },
            None => changed.notified().await,
        }
    }
}

impl std::fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyCache").field("len", &self.len()).finish_non_exhaustive()
    }
}
