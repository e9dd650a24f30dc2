//! One tenant with one activated binding on the cloud in memory, and leases on a clock that stands still.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leasehold_clock::{ManualClock, Moment, TimeSource};
use leasehold_envelope::{EncryptionContext, Hierarchy, WrappedKey};
use leasehold_lease::{
    LeaseError, LeaseEvent, LeaseState, Leases, Parts, Providers, Released, Settings, Subject,
};
use leasehold_provider::KeyProvider;
use leasehold_secret::{Arena, ArenaConfig, KeyLength, PlaintextKey};
use leasehold_tenant::{Binding, CloudSettings, ExternalId, LeaseTerms, NewBinding, RevocationBound, Tenant};
use tokio::sync::broadcast;

use crate::cloud::Cloud;

pub(crate) const S: fn(u64) -> Duration = Duration::from_secs;

pub(crate) struct Bench {
    pub(crate) clock: ManualClock,
    pub(crate) cloud: Cloud,
    pub(crate) arena: Arena,
    pub(crate) leases: Leases,
    pub(crate) tenant: Tenant,
    pub(crate) events: broadcast::Receiver<LeaseEvent>,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default(), |providers| providers).await
    }

    /// The same tenant and cloud, in a process that knows nothing yet.
    pub(crate) fn restarted(self) -> Self {
        self.leases.end_all();
        let leases = Leases::build(Parts {
            providers: Providers::new([Arc::new(self.cloud.clone()) as Arc<dyn KeyProvider>]),
            clock: Arc::new(self.clock.clone()),
            arena: self.arena.clone(),
            settings: Settings::default(),
        });
        let events = leases.events();
        Self { leases, events, ..self }
    }

    /// With a sentinel of the operator's.
    pub(crate) async fn with_sentinel() -> Self {
        Self::with(Settings::default(), sentinel).await
    }

    /// On a cloud whose keys have versions; the binding is activated under version `1`.
    pub(crate) async fn versioned() -> Self {
        Self::versioned_with(|providers| providers).await
    }

    pub(crate) async fn versioned_with(also: impl FnOnce(Providers) -> Providers) -> Self {
        Self::on(|cloud| cloud.rotate("1"), Settings::default(), also).await
    }

    pub(crate) async fn with(settings: Settings, also: impl FnOnce(Providers) -> Providers) -> Self {
        Self::on(|_| {}, settings, also).await
    }

    async fn on(
        prepare: impl FnOnce(&Cloud),
        settings: Settings,
        also: impl FnOnce(Providers) -> Providers,
    ) -> Self {
        let clock = ManualClock::new();
        let arena = Arena::new(ArenaConfig::default()).unwrap();
        let cloud = Cloud::new(clock.clone(), arena.clone());
        prepare(&cloud);
        let providers = also(Providers::new([Arc::new(cloud.clone()) as Arc<dyn KeyProvider>]));
        let leases = Leases::build(Parts {
            providers,
            clock: Arc::new(clock.clone()),
            arena: arena.clone(),
            settings,
        });
        let tenant = activated(&leases).await;
        let events = leases.events();
        Self { clock, cloud, arena, leases, tenant, events }
    }

    pub(crate) fn subject(&self) -> Subject {
        Subject::of(&self.tenant, self.tenant.bindings.values().next().unwrap())
    }

    /// Changes the tenant's record, and tells the leases as the service does.
    pub(crate) fn change(&mut self, change: impl FnOnce(Tenant) -> Tenant) {
        self.tenant = change(self.tenant.clone());
        self.leases.tenant_changed(&self.tenant);
    }

    pub(crate) fn bound(&mut self, seconds: u64) {
        let bound = RevocationBound::try_from(S(seconds)).unwrap();
        let now = self.clock.wall();
        self.change(|t| t.clone().updated_to(t.display_name.clone(), t.terms.bound(bound), now).unwrap());
    }

    pub(crate) async fn wrapped(&self) -> WrappedKey {
        self.wrapped_under(&EncryptionContext::empty()).await
    }

    pub(crate) async fn wrapped_under(&self, context: &EncryptionContext) -> WrappedKey {
        let made = self.leases.generate(&self.subject(), KeyLength::B32, context).await.unwrap();
        made.release().unwrap().value.wrapped
    }

    /// Unwraps and releases, as a request does.
    pub(crate) async fn unwrap(&self, wrapped: &WrappedKey) -> Result<Released<PlaintextKey>, LeaseError> {
        self.unwrap_under(wrapped, &EncryptionContext::empty()).await
    }

    pub(crate) async fn unwrap_under(
        &self,
        wrapped: &WrappedKey,
        context: &EncryptionContext,
    ) -> Result<Released<PlaintextKey>, LeaseError> {
        self.leases.unwrap(&self.subject(), wrapped, context).await?.release()
    }

    /// The same in a task of its own.
    pub(crate) fn unwrapping(
        &self,
        wrapped: &WrappedKey,
    ) -> tokio::task::JoinHandle<Result<Released<PlaintextKey>, LeaseError>> {
        let (leases, subject, wrapped) = (self.leases.clone(), self.subject(), wrapped.clone());
        tokio::spawn(async move {
            leases.unwrap(&subject, &wrapped, &EncryptionContext::empty()).await?.release()
        })
    }

    pub(crate) fn reproving(&self) -> tokio::task::JoinHandle<Result<(), LeaseError>> {
        let (leases, subject) = (self.leases.clone(), self.subject());
        tokio::spawn(async move { leases.reprove(&subject).await.map(|_| ()) })
    }

    pub(crate) fn state(&self) -> LeaseState {
        self.leases.view(self.subject().name()).state
    }

    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// The states that the lease went through since the last call.
    pub(crate) fn states(&mut self) -> Vec<LeaseState> {
        std::iter::from_fn(|| self.events.try_recv().ok()).map(|event| event.state).collect()
    }
}

/// The same providers with a sentinel of the operator's.
pub(crate) fn sentinel(providers: Providers) -> Providers {
    let name = "tenants/sentinel/bindings/own".parse().unwrap();
    let deployment = "test".parse().unwrap();
    let external_id = ExternalId::derive(&deployment, &name);
    providers.with_sentinel(Binding::pending(name, new_binding(), external_id, SystemTime::UNIX_EPOCH))
}

fn new_binding() -> NewBinding {
    NewBinding {
        provider: "test".parse().unwrap(),
        key: "key-1".parse().unwrap(),
        settings: CloudSettings::default(),
        canary_context: EncryptionContext::try_from_iter([("purpose", "proof")]).unwrap(),
        hierarchy: Hierarchy::Direct,
    }
}

async fn activated(leases: &Leases) -> Tenant {
    let now = SystemTime::UNIX_EPOCH;
    let id = "main".parse().unwrap();
    let tenant = Tenant::new("acme".parse().unwrap(), "Acme".into(), LeaseTerms::default(), now)
        .with_binding("main".parse().unwrap(), new_binding(), &"test".parse().unwrap(), now)
        .unwrap();
    let pending = tenant.binding(&id).unwrap();
    let activation = leases.check_activation(&Subject::of(&tenant, pending)).await.unwrap();
    let version = pending.version;
    tenant.with_activated(&id, version, activation.canary, now).unwrap()
}

pub(crate) fn context(value: &str) -> EncryptionContext {
    EncryptionContext::try_from_iter([("branch", value)]).unwrap()
}
