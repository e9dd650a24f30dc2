//! The least cloud that has two edges, keys in states, and bad days.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use async_trait::async_trait;
use leasehold_envelope::{EncryptionContext, Hierarchy, KeyVersion};
use leasehold_ids::BindingName;
use leasehold_provider_conformance::{Calls, Fixture, KeyCondition, Outage};
use leasehold_secret::{Arena, ArenaConfig};
use leasehold_tenant::{Binding, CloudSettings, ExternalId, NewBinding};

/// What every call of a bad day meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadDay {
    Throttled,
    Down,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) trust_revoked: bool,
    pub(crate) key_denied: bool,
    pub(crate) key: Option<KeyCondition>,
    pub(crate) bad_day: Option<BadDay>,
    pub(crate) own_identity_broken: bool,
    /// Sessions of earlier generations have expired.
    pub(crate) generation: u64,
    pub(crate) calls: Calls,
    /// How often the key was rotated; it names the version that wraps.
    pub(crate) rotations: u64,
    pub(crate) disabled_version: Option<KeyVersion>,
}

impl State {
    /// The version that wraps.
    pub(crate) fn version(&self) -> KeyVersion {
        format!("v{}", self.rotations).parse().unwrap()
    }
}

/// A cloud in memory. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Cloud {
    state: Arc<Mutex<State>>,
    arena: Arena,
}

impl Cloud {
    pub(crate) fn new() -> Self {
        let arena =
            Arena::new(ArenaConfig { bytes: ArenaConfig::MIN_BYTES, ..ArenaConfig::default() }).unwrap();
        Self { state: Arc::default(), arena }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn binding(tenant: &str, key: &str) -> Binding {
    let name = BindingName::new(tenant.parse().unwrap(), "main".parse().unwrap());
    let external_id = ExternalId::derive(&"test".parse().unwrap(), &name);
    let new = NewBinding {
        provider: "model".parse().unwrap(),
        key: key.parse().unwrap(),
        settings: CloudSettings::default(),
        canary_context: EncryptionContext::empty(),
        hierarchy: Hierarchy::Direct,
    };
    Binding::pending(name, new, external_id, SystemTime::UNIX_EPOCH)
}

#[async_trait]
impl Fixture for Cloud {
    fn arena(&self) -> &Arena {
        &self.arena
    }

    fn binding(&self) -> Binding {
        binding("acme", "key-of-acme")
    }

    fn other_binding(&self) -> Binding {
        binding("globex", "key-of-globex")
    }

    fn hops(&self) -> usize {
        1
    }

    fn unprotected_binding(&self) -> Binding {
        binding("loose", "key-of-loose")
    }

    fn own_account_binding(&self) -> Option<Binding> {
        Some(binding("ours", "key-of-ours"))
    }

    fn unfit_bindings(&self) -> Vec<Binding> {
        vec![binding("acme", "unfit")]
    }

    fn missing_key_binding(&self) -> Binding {
        binding("acme", "missing")
    }

    fn malformed_bindings(&self) -> Vec<Binding> {
        vec![binding("acme", "malformed")]
    }

    async fn revoke_trust(&self) {
        self.state().trust_revoked = true;
    }

    async fn deny_key(&self) {
        self.state().key_denied = true;
    }

    async fn set_key(&self, condition: KeyCondition) -> bool {
        self.state().key = Some(condition);
        true
    }

    async fn rotate(&self) -> bool {
        self.state().rotations += 1;
        true
    }

    async fn disable_version(&self, version: &KeyVersion) {
        self.state().disabled_version = Some(version.clone());
    }

    async fn throttle(&self) {
        self.state().bad_day = Some(BadDay::Throttled);
    }

    async fn outage(&self, _: Outage) {
        self.state().bad_day = Some(BadDay::Down);
    }

    async fn expire_sessions(&self) {
        self.state().generation += 1;
    }

    async fn break_own_identity(&self) {
        self.state().own_identity_broken = true;
    }

    async fn heal(&self) {
        let mut state = self.state();
        let (generation, calls, rotations) = (state.generation, state.calls, state.rotations);
        *state = State { generation, calls, rotations, ..State::default() };
    }

    async fn calls(&self) -> Calls {
        self.state().calls
    }
}
