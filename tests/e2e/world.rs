//! A server, a simulated cloud, and tenants there.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use leasehold::app::{App, Running};
use leasehold::config::{self, Config, Span};
use leasehold_api::convert::duration_to_proto;
use leasehold_api::v1::tenant_service_client::TenantServiceClient;
use leasehold_api::v1::{self, ErrorReason};
use leasehold_client::{
    Arena, ArenaConfig, Client, ClientError, EncryptionContext, Endpoint, KeyLength, Leased, OnUnlockable,
    PlaintextKey, Refusal, RetryPolicy, Settings, TenantId, WrappedKey,
};
use leasehold_cloudsim::Simulator;
use tonic::Code;
use tonic::transport::Channel;

use crate::clock::JumpingClock;
use crate::cloud::{Aws, Azure, Cloud, Estate, Gcp, estate};
use crate::journal::Journal;
use crate::watcher::Watcher;

/// The revocation bound of every tenant: the shortest there is.
pub(crate) const BOUND: Duration = Duration::from_secs(15);

/// How long a test waits for what must happen, in real time: far longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The binding that each tenant has.
pub(crate) const BINDING: &str = "main";

pub(crate) type Tenants = TenantServiceClient<Channel>;

/// A server with a cloud, tenants that were onboarded through its API, and a client of it.
pub(crate) struct World {
    pub(crate) cloud: Simulator,
    pub(crate) estate: Arc<dyn Estate>,
    pub(crate) clock: JumpingClock,
    pub(crate) client: Client,
    pub(crate) running: Running,
    directory: tempfile::TempDir,
}

impl World {
    /// A world on `cloud` in which tenants of these names are ready.
    pub(crate) async fn start(cloud: Cloud, names: &[&str]) -> Self {
        let world = Self::with(cloud, names, |_| {}).await;
        for name in names {
            world.onboard(name).await;
        }
        world
    }

    /// A world in which tenants of these names have keys and principals, but nothing has been handed over yet, with a server
    /// that is configured otherwise.
    pub(crate) async fn with(cloud: Cloud, names: &[&str], adapt: impl FnOnce(&mut Config)) -> Self {
        let simulator = simulator().await;
        let estate = estate(cloud, &simulator, names);
        Self::beside(simulator, estate, adapt).await
    }

    /// The same on AWS, for what only AWS has.
    pub(crate) async fn on_aws(names: &[&str], adapt: impl FnOnce(&mut Config)) -> (Self, Arc<Aws>) {
        let simulator = simulator().await;
        let aws = Arc::new(Aws::build(&simulator, names));
        (Self::beside(simulator, Arc::clone(&aws) as Arc<dyn Estate>, adapt).await, aws)
    }

    /// The same on Azure.
    pub(crate) async fn on_azure(names: &[&str], adapt: impl FnOnce(&mut Config)) -> (Self, Arc<Azure>) {
        let simulator = simulator().await;
        let azure = Arc::new(Azure::build(&simulator, names));
        (Self::beside(simulator, Arc::clone(&azure) as Arc<dyn Estate>, adapt).await, azure)
    }

    /// The same on Google Cloud.
    pub(crate) async fn on_gcp(names: &[&str], adapt: impl FnOnce(&mut Config)) -> (Self, Arc<Gcp>) {
        let simulator = simulator().await;
        let gcp = Arc::new(Gcp::build(&simulator, names));
        (Self::beside(simulator, Arc::clone(&gcp) as Arc<dyn Estate>, adapt).await, gcp)
    }

    async fn beside(cloud: Simulator, estate: Arc<dyn Estate>, adapt: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = JumpingClock::start();
        let mut config = server(&*estate);
        config.audit.directory = Some(directory.path().join("audit"));
        adapt(&mut config);
        let running = start(config, &clock).await;
        let client = client(&running, &clock);
        Self { cloud, estate, clock, client, running, directory }
    }

    /// Where the server's audit journal is.
    pub(crate) fn journal(&self) -> Journal {
        Journal(self.directory.path().join("audit"))
    }

    /// Another server of the same deployment, with nothing cached and a registry of its own, and a client of it.
    pub(crate) async fn replica(&self) -> (Running, Client) {
        let running = start(server(&*self.estate), &self.clock).await;
        let client = client(&running, &self.clock);
        (running, client)
    }

    pub(crate) async fn onboard(&self, tenant: &str) {
        let external_id = self.hand_over(tenant).await;
        self.estate.let_in(tenant, &external_id);
        self.activate(tenant).await.unwrap();
    }

    /// Creates the tenant and its binding; gives the external id.
    pub(crate) async fn hand_over(&self, tenant: &str) -> String {
        create_tenant(&self.client, tenant).await;
        let created = create_binding(&self.client, tenant, BINDING, self.estate.binding(tenant)).await;
        created.unwrap().external_id
    }

    pub(crate) async fn activate(&self, tenant: &str) -> Result<v1::ActivateBindingResponse, ClientError> {
        activate(&self.client, tenant, BINDING).await
    }

    /// Suspends and resumes the tenant, so that nothing is held for it any more and there is no lease.
    pub(crate) async fn make_cold(&self, tenant: &str) {
        make_cold(&self.client, tenant).await;
    }

    pub(crate) async fn tenants<Q, A, F>(
        &self,
        request: Q,
        call: impl Fn(Tenants, tonic::Request<Q>) -> F,
    ) -> Result<A, ClientError>
    where
        Q: Clone,
        F: Future<Output = Result<tonic::Response<A>, tonic::Status>>,
    {
        self.client.tenants(request, call).await
    }

    pub(crate) async fn reprove(&self, tenant: &str) -> Result<v1::ReproveTenantResponse, ClientError> {
        reprove(&self.client, tenant).await
    }

    /// Changes the term at `path`.
    pub(crate) async fn set_terms(&self, tenant: &str, terms: v1::LeaseTerms, path: &str) {
        let name = format!("tenants/{tenant}");
        let tenant = v1::Tenant { name, lease_terms: Some(terms), ..Default::default() };
        let update = v1::UpdateTenantRequest {
            tenant: Some(tenant),
            update_mask: Some(prost_types::FieldMask { paths: vec![path.to_owned()] }),
            validate_only: false,
        };
        self.tenants(update, |mut t, q| async move { t.update_tenant(q).await }).await.unwrap();
    }

    /// A new key of 32 bytes, in the clear and wrapped.
    pub(crate) async fn generate(&self, tenant: &str, branch: &str) -> (PlaintextKey, WrappedKey) {
        let made = self.client.generate_data_key(&id(tenant), KeyLength::B32, &context(branch)).await;
        let made = made.unwrap().value;
        (made.key, made.wrapped)
    }

    pub(crate) async fn unwrap(
        &self,
        tenant: &str,
        wrapped: &WrappedKey,
        branch: &str,
    ) -> Result<Leased<PlaintextKey>, ClientError> {
        self.client.unwrap_key(&id(tenant), wrapped, &context(branch)).await
    }

    /// Watches on a connection of its own: one that carries keys is closed when they are wiped.
    pub(crate) async fn watch(&self, tenant: &str, mode: v1::WatchMode) -> Watcher {
        Watcher::open(&client_of(&self.running.endpoints()[0], &self.clock), &id(tenant), mode).await
    }
}

// === what a world is made of ===

/// Clouds in which nothing exists yet.
pub(crate) async fn simulator() -> Simulator {
    leasehold::install_crypto_provider();
    let region = "eu-central-1".parse().unwrap();
    Simulator::start(leasehold_cloudsim::Config::ephemeral(region)).await.unwrap()
}

/// The configuration of a server that reaches this cloud.
pub(crate) fn server(estate: &dyn Estate) -> Config {
    let deployment = [("LEASEHOLD__DEPLOYMENT".into(), "e2e".into())];
    let mut config = config::load(None, deployment).unwrap();
    config.listen.tcp = vec!["127.0.0.1:0".parse().unwrap()];
    config.limits.drain = Span(Duration::from_secs(3));
    config.registry = config::Registry::Memory;
    // Many servers at once share what one process may lock.
    config.memory.arena_bytes = 256 * 1024;
    config.memory.danger_allow_unlocked = true;
    estate.configure(&mut config.providers);
    config
}

pub(crate) async fn start(config: Config, clock: &JumpingClock) -> Running {
    App::build_with_clock(config, Arc::new(clock.clone())).await.unwrap().run()
}

fn client(running: &Running, clock: &JumpingClock) -> Client {
    client_of(&running.endpoints()[0], clock)
}

/// A client with a connection of its own. It tries again only if the connection was closed under a call, as one that carried
/// what was wiped is; whatever the service says, it takes for an answer.
pub(crate) fn client_of(endpoint: &str, clock: &JumpingClock) -> Client {
    // The service asks for pauses of 50 ms and more.
    let moment = Duration::from_millis(1);
    let retry =
        RetryPolicy { attempts: 10, first_pause: moment, longest_pause: moment, ..Default::default() };
    client_at(&endpoint.parse().unwrap(), retry, clock)
}

/// A client with a connection of its own.
pub(crate) fn client_at(endpoint: &Endpoint, retry: RetryPolicy, clock: &JumpingClock) -> Client {
    static ARENA: OnceLock<Arena> = OnceLock::new();
    let settings = Settings { deadline: PATIENCE, retry };
    let config = ArenaConfig { bytes: 512 * 1024, on_unlockable: OnUnlockable::DangerUseOrdinaryMemory };
    let arena = ARENA.get_or_init(|| Arena::new(config).unwrap()).clone();
    Client::new(endpoint, settings, arena, Arc::new(clock.clone()))
}

pub(crate) fn id(tenant: &str) -> TenantId {
    tenant.parse().unwrap()
}

/// The encryption context of one branch.
pub(crate) fn context(branch: &str) -> EncryptionContext {
    EncryptionContext::try_from_iter([("branch", branch)]).unwrap()
}

pub(crate) async fn create_tenant(client: &Client, tenant: &str) {
    let terms = v1::LeaseTerms { revocation_bound: Some(duration_to_proto(BOUND)), ..Default::default() };
    let create = v1::CreateTenantRequest {
        tenant_id: tenant.to_owned(),
        tenant: Some(v1::Tenant { lease_terms: Some(terms), ..Default::default() }),
        validate_only: false,
    };
    client.tenants(create, |mut t: Tenants, q| async move { t.create_tenant(q).await }).await.unwrap();
}

pub(crate) async fn create_binding(
    client: &Client,
    tenant: &str,
    binding: &str,
    cloud: v1::binding::Cloud,
) -> Result<v1::Binding, ClientError> {
    let create = v1::CreateBindingRequest {
        parent: format!("tenants/{tenant}"),
        binding_id: binding.to_owned(),
        binding: Some(v1::Binding { cloud: Some(cloud), ..Default::default() }),
        validate_only: false,
    };
    let created = client.tenants(create, |mut t: Tenants, q| async move { t.create_binding(q).await }).await;
    created.map(|created| created.binding.unwrap())
}

pub(crate) async fn activate(
    client: &Client,
    tenant: &str,
    binding: &str,
) -> Result<v1::ActivateBindingResponse, ClientError> {
    let name = format!("tenants/{tenant}/bindings/{binding}");
    let activate = v1::ActivateBindingRequest { name, ..Default::default() };
    client.tenants(activate, |mut t: Tenants, q| async move { t.activate_binding(q).await }).await
}

/// Suspends and resumes the tenant, so that nothing is held for it any more and there is no lease.
pub(crate) async fn make_cold(client: &Client, tenant: &str) {
    let name = format!("tenants/{tenant}");
    let suspend = v1::SuspendTenantRequest { name: name.clone(), ..Default::default() };
    client.tenants(suspend, |mut t: Tenants, q| async move { t.suspend_tenant(q).await }).await.unwrap();
    let resume = v1::ResumeTenantRequest { name, ..Default::default() };
    client.tenants(resume, |mut t: Tenants, q| async move { t.resume_tenant(q).await }).await.unwrap();
}

/// Has every binding of the tenant proven now.
pub(crate) async fn reprove(client: &Client, tenant: &str) -> Result<v1::ReproveTenantResponse, ClientError> {
    let reprove = v1::ReproveTenantRequest { name: format!("tenants/{tenant}") };
    client.tenants(reprove, |mut t: Tenants, q| async move { t.reprove_tenant(q).await }).await
}

/// The refusal that `result` must be, with this code and reason.
#[track_caller]
pub(crate) fn refused<T>(result: Result<T, ClientError>, code: Code, reason: ErrorReason) -> Refusal {
    match result {
        Err(ClientError::Refused(refusal)) => {
            assert_eq!((refusal.code(), refusal.reason()), (code, Some(reason)), "{refusal}");
            *refusal
        }
        Err(other) => panic!("not refused by the service: {other}"),
        Ok(_) => panic!("served"),
    }
}

/// What `future` gives, which must be soon.
#[track_caller]
pub(crate) fn soon<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let given = tokio::time::timeout(PATIENCE, future).await;
        given.unwrap_or_else(|_| panic!("{caller}: not within {PATIENCE:?}"))
    }
}

/// Asks again and again until `ask` gives something, which must be soon. For what nobody announces.
#[track_caller]
pub(crate) fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    soon(async move {
        let real = leasehold_clock::SystemClock::start();
        loop {
            if let Some(given) = ask().await {
                return given;
            }
            leasehold_clock::TimeSource::sleep(&real, Duration::from_millis(20)).await;
        }
    })
}
