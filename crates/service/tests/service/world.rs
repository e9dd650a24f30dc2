//! Everything around a service, ready for a test.

use std::sync::Arc;
use std::time::Duration;

use leasehold_audit::{MemorySink, Outcome, Record};
use leasehold_authz::{Identity, IdentityPattern, Operations, Rule, Rules};
use leasehold_clock::ManualClock;
use leasehold_envelope::{EncryptionContext, Hierarchy, WrappedKey};
use leasehold_ids::{BindingName, TenantId};
use leasehold_lease::{LeaseState, Leases, Providers};
use leasehold_provider::KeyProvider;
use leasehold_secret::{Arena, ArenaConfig, KeyLength, OnUnlockable, PlaintextKey};
use leasehold_service::{Caller, ChangeOptions, Mode, NewTenant, Parts, Service, ServiceError, Settings};
use leasehold_tenant::{Binding, CloudSettings, ExternalId, LeaseTerms, NewBinding, RevocationBound};

use crate::cloud::FakeCloud;
use crate::registry::FakeRegistry;

/// May do everything.
pub(crate) const ROOT: u32 = 0;
/// May handle keys of `acme` and of tenants whose id begins with `acme-`, and list them.
pub(crate) const ENGINE: u32 = 7;
/// May do nothing.
pub(crate) const NOBODY: u32 = 9;

pub(crate) struct World {
    pub(crate) service: Service,
    pub(crate) cloud: Arc<FakeCloud>,
    pub(crate) registry: FakeRegistry,
    pub(crate) audit: MemorySink,
    pub(crate) clock: ManualClock,
    pub(crate) leases: Leases,
    pub(crate) arena: Arena,
}

impl World {
    /// A service without tenants.
    pub(crate) fn empty() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(adjust: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        adjust(&mut settings);
        Self::build(settings, leasehold_lease::Settings::default(), FakeRegistry::new(), |providers| {
            providers
        })
    }

    /// A replica before `registry` whose proofs have this budget.
    pub(crate) fn with_budget(proofs_per_second: f64, registry: FakeRegistry) -> Self {
        let mut leases = leasehold_lease::Settings::default();
        leases.proofs_per_second = proofs_per_second;
        Self::build(Settings::default(), leases, registry, |providers| providers)
    }

    /// A service whose operator has a sentinel, which gets no answer: serving pauses for as long as a verdict may take.
    pub(crate) fn with_silent_sentinel() -> Self {
        let now = std::time::SystemTime::UNIX_EPOCH;
        let name = name("operator", "sentinel");
        let external_id = ExternalId::derive(&"test".parse().unwrap(), &name);
        let sentinel = Binding::pending(name, new_binding(), external_id, now);
        let leases = leasehold_lease::Settings::default();
        let with_sentinel = |providers: Providers| providers.with_sentinel(sentinel);
        let world = Self::build(Settings::default(), leases, FakeRegistry::new(), with_sentinel);
        world.cloud.be_silent_to("sentinel");
        world
    }

    fn build(
        settings: Settings,
        of_leases: leasehold_lease::Settings,
        registry: FakeRegistry,
        with_sentinel: impl FnOnce(Providers) -> Providers,
    ) -> Self {
        let arena = Arena::new(ArenaConfig {
            on_unlockable: OnUnlockable::DangerUseOrdinaryMemory,
            ..ArenaConfig::default()
        })
        .unwrap();
        let clock = ManualClock::new();
        let cloud = Arc::new(FakeCloud::new(arena.clone(), clock.clone()));
        let providers = with_sentinel(Providers::new([Arc::clone(&cloud) as Arc<dyn KeyProvider>]));
        let leases = Leases::build(leasehold_lease::Parts {
            providers: providers.clone(),
            clock: Arc::new(clock.clone()),
            arena: arena.clone(),
            settings: of_leases,
        });
        let audit = MemorySink::new();
        let service = Service::build(Parts {
            registry: Arc::new(registry.clone()),
            leases: leases.clone(),
            authorizer: Arc::new(rules()),
            audit: Arc::new(audit.clone()),
            clock: Arc::new(clock.clone()),
            deployment: "test".parse().unwrap(),
            providers,
            settings,
        });
        Self { service, cloud, registry, audit, clock, leases, arena }
    }

    /// A service with tenant `acme`, whose binding `main` is ACTIVE.
    pub(crate) async fn with_acme() -> Self {
        let world = Self::empty();
        world.settle_acme().await;
        world
    }

    /// Creates tenant `acme`, whose binding `main` is ACTIVE.
    pub(crate) async fn settle_acme(&self) {
        self.create_tenant("acme").await;
        self.activate("acme", "main").await;
        // The announcements of all this have been followed.
        self.clock.settle().await;
    }

    pub(crate) async fn create_tenant(&self, id: &str) {
        let terms = LeaseTerms::with_bound(RevocationBound::DEFAULT);
        let new = NewTenant { display_name: id.to_owned(), terms, ..NewTenant::default() };
        let created = self.service.create_tenant(&root(), &tenant(id), new, Mode::Apply).await;
        created.unwrap();
    }

    pub(crate) async fn create_binding(&self, of: &str, id: &str) {
        let id = Some(id.parse().unwrap());
        let options = ChangeOptions::default();
        self.service.create_binding(&root(), &tenant(of), id, new_binding(), &options).await.unwrap();
    }

    /// Creates and activates a binding.
    pub(crate) async fn activate(&self, of: &str, id: &str) {
        self.create_binding(of, id).await;
        let activated =
            self.service.activate_binding(&root(), &name(of, id), &ChangeOptions::default()).await;
        activated.unwrap();
    }

    pub(crate) async fn retire(&self, of: &str, id: &str) {
        let retired = self.service.retire_binding(&root(), &name(of, id), &ChangeOptions::default()).await;
        retired.unwrap();
    }

    pub(crate) async fn suspend(&self, id: &str) {
        self.service.suspend_tenant(&root(), &tenant(id), &ChangeOptions::default()).await.unwrap();
    }

    pub(crate) async fn resume(&self, id: &str) {
        self.service.resume_tenant(&root(), &tenant(id), &ChangeOptions::default()).await.unwrap();
    }

    /// A key wrapped for `of` under its ACTIVE binding, with `context()`.
    pub(crate) async fn wrap(&self, of: &str, key: &[u8]) -> WrappedKey {
        let key = self.key(key);
        let served = self.service.wrap_key(&root(), &tenant(of), key, &context()).await.unwrap();
        served.release().await.unwrap().value
    }

    /// What `wrapped` unwraps to for `of`, with `context()`.
    pub(crate) async fn unwrap(&self, of: &str, wrapped: &WrappedKey) -> Result<Vec<u8>, ServiceError> {
        let served = self.service.unwrap_key(&root(), &tenant(of), wrapped, &context()).await?;
        Ok(served.release().await?.value.expose().to_vec())
    }

    pub(crate) fn key(&self, bytes: &[u8]) -> PlaintextKey {
        PlaintextKey::take(&self.arena, &mut bytes.to_vec()).unwrap()
    }

    pub(crate) fn lease(&self, of: &str, binding: &str) -> LeaseState {
        self.leases.view(&name(of, binding)).state
    }

    /// Operation, outcome and reason of the records after the first `skip`.
    pub(crate) fn outcomes(&self, skip: usize) -> Vec<(String, Outcome, Option<String>)> {
        let brief = |r: &Record| {
            (r.operation.clone().into_owned(), r.outcome, r.reason.as_ref().map(|r| r.clone().into_owned()))
        };
        self.audit.records().iter().skip(skip).map(brief).collect()
    }
}

pub(crate) fn caller(uid: u32) -> Caller {
    Caller { identity: Identity::UnixPeer { uid, gid: 1, pid: None }, request_id: "request-1".into() }
}

pub(crate) fn root() -> Caller {
    caller(ROOT)
}

pub(crate) fn tenant(id: &str) -> TenantId {
    id.parse().unwrap()
}

pub(crate) fn name(tenant: &str, binding: &str) -> BindingName {
    BindingName::new(tenant.parse().unwrap(), binding.parse().unwrap())
}

pub(crate) fn context() -> EncryptionContext {
    EncryptionContext::try_from_iter([("branch", "main")]).unwrap()
}

pub(crate) fn new_binding() -> NewBinding {
    NewBinding {
        provider: "test".parse().unwrap(),
        key: "key-1".parse().unwrap(),
        settings: CloudSettings::default(),
        canary_context: EncryptionContext::empty(),
        hierarchy: Hierarchy::Direct,
    }
}

pub(crate) const LENGTH: KeyLength = KeyLength::B32;

pub(crate) const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn rules() -> Rules {
    let engine = Rule {
        name: "engine".into(),
        identity: IdentityPattern::UnixUser(ENGINE),
        operations: Operations::parse(["keys", "ListTenants"]).unwrap(),
        tenants: vec!["acme".parse().unwrap(), "acme-*".parse().unwrap()],
    };
    Rules::new(vec![Rule::everything("root", IdentityPattern::UnixUser(ROOT)), engine]).unwrap()
}
