//! The composition root: config → build → run → drain.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use leasehold_api::v1::key_service_server::KeyServiceServer;
use leasehold_api::v1::tenant_service_server::TenantServiceServer;
use leasehold_audit::{AuditError, Journal, SigningKey, Sink};
use leasehold_authz::{Authorizer, RuleError};
use leasehold_clock::{SystemClock, TimeSource};
use leasehold_ids::DeploymentId;
use leasehold_lease::Leases;
use leasehold_registry::{Absent, MemoryRegistry, SqliteError, SqliteRegistry, SqliteSettings};
use leasehold_secret::{Arena, ArenaConfig, OnUnlockable, SecretError};
use leasehold_service::Service;
use leasehold_tenant::Registry;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

use crate::admin::{self, Admin, AdminError, Health};
use crate::config::{self, Audit, Config, Limits, Memory};
use crate::grpc::{
    Bounds, Calls, Connections, Keys, MAX_KEY_REQUEST, MAX_NAME, MAX_TENANT_REQUEST, MAX_WATCH_MESSAGE,
    Requests, Rooms, Server, Tenants,
};
use crate::listen::{self, Bound, ListenError, Listener};
use crate::providers::ProvidersError;
use crate::reload::{LiveRules, ReloadError};
use crate::reprove::{self, Feeds, ReproveError};
use crate::validate::validate;
use crate::watched::{self, Look};

/// How long to wait for the registry to close: as long as the service waits for a call to it.
const CLOSING: Duration = Duration::from_secs(2);

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no locked memory.
    #[error("there is no locked memory for keys")]
    Memory(#[source] SecretError),
    /// A cloud's settings cannot work.
    #[error(transparent)]
    Providers(#[from] ProvidersError),
    /// The audit sink cannot be opened.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Tenants cannot be kept.
    #[error(transparent)]
    Registry(#[from] SqliteError),
    /// Nothing can be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The listener for event feeds cannot be set up.
    #[error("the listener for event feeds cannot be set up")]
    Reprove(#[from] ReproveError),
    /// Signals cannot be listened for.
    #[error("signals cannot be listened for")]
    Signals(#[source] std::io::Error),
    /// There are more rules than there may be, or one whose captures lead nowhere.
    #[error(transparent)]
    Rules(#[from] RuleError),
    /// The configuration file is not what it was a moment ago.
    #[error("the configuration file changed while the server started")]
    Reload(#[from] ReloadError),
    /// The listener for orchestrators cannot be set up.
    #[error("the admin listener cannot be set up")]
    Admin(#[from] AdminError),
    /// The descriptors of the API are malformed: a defect of the build.
    #[error("reflection cannot be set up")]
    Reflection(#[source] tonic_reflection::server::Error),
}

/// A server that was put together and listens, but serves nothing yet.
pub struct App {
    listeners: Vec<Listener>,
    looking: Pin<Box<dyn Future<Output = ()> + Send>>,
    feeds: Option<Feeds>,
    admin: Option<Admin>,
    over: CancellationToken,
    server: Server,
    leases: Leases,
    kept: Kept,
    audit: Arc<dyn Sink>,
    health: HealthReporter,
    limits: Limits,
}

/// A server that serves.
pub struct Running {
    endpoints: Vec<String>,
    addresses: Vec<SocketAddr>,
    feed_endpoints: Vec<String>,
    admin_endpoints: Vec<String>,
    over: CancellationToken,
    server: Server,
    leases: Leases,
    kept: Kept,
    audit: Arc<dyn Sink>,
    health: HealthReporter,
    limits: Limits,
}

/// Where tenants are kept.
#[derive(Clone)]
enum Kept {
    File(SqliteRegistry),
    Memory(MemoryRegistry),
}

impl App {
    /// Puts a server together. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn build(config: Config) -> Result<Self, StartError> {
        Self::build_with_clock(config, Arc::new(SystemClock::start())).await
    }

    /// Puts a server together that goes by `clock`, for tests. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn build_with_clock(config: Config, clock: Arc<dyn TimeSource>) -> Result<Self, StartError> {
        let arena = arena(&config.memory)?;
        let providers = validate(&config, &arena, &clock).await?;
        let audit = sink(&config.audit, &config.deployment, &clock)?;
        let kept = Kept::open(&config, &clock).await?;
        let connections = Connections::default();
        let rules = live_rules(&config, &connections, &clock)?;
        let authorizer = authorizer(rules.as_ref(), &config)?;
        let leases = Leases::build(leasehold_lease::Parts {
            providers: providers.clone(),
            clock: Arc::clone(&clock),
            arena: arena.clone(),
            settings: lease_settings(&config.lease),
        });
        let service = Service::build(leasehold_service::Parts {
            registry: kept.registry(),
            leases: leases.clone(),
            authorizer,
            audit: Arc::clone(&audit),
            clock: Arc::clone(&clock),
            deployment: config.deployment,
            providers,
            settings: service_settings(&config.limits, &config.audit),
        });
        let ending = CancellationToken::new();
        let calls = Calls {
            clock: Arc::clone(&clock),
            deadline: config.limits.deadline.0,
            ending: ending.clone(),
            service: service.clone(),
        };
        let tasks = TaskTracker::new();
        let feeds = reprove::Parts {
            service: service.clone(),
            clock: Arc::clone(&clock),
            ending: ending.clone(),
            tasks: tasks.clone(),
        };
        let feeds = feeds.bind(config.reprove).await?;
        let over = CancellationToken::new();
        let admin = admin::Parts {
            health: Health { service: service.clone(), ending: ending.clone() },
            leases: leases.clone(),
            arena: arena.clone(),
            clock: Arc::clone(&clock),
            over: over.clone(),
        };
        let admin = admin.bind(config.admin).await?;
        let rooms = Rooms::new(config.limits.calls);
        let (requests, health) = requests(service, calls, arena, rooms).await?;
        let bounds = Bounds {
            connections: config.limits.connections,
            calls_per_connection: config.limits.calls_per_connection,
        };
        let server = Server { requests, bounds, connections, clock, ending, tasks };
        let Bound { listeners, mut files } = listen::bind(config.listen, &server.clock).await?;
        files.extend(rules.map(|rules| rules as Arc<dyn Look>));
        files.extend(feeds.iter().flat_map(Feeds::files));
        let looking = watched::keep_looking(files, Arc::clone(&server.clock)).map_err(StartError::Signals)?;
        let looking = Box::pin(looking);
        let limits = config.limits;
        Ok(Self { listeners, looking, feeds, admin, over, server, leases, kept, audit, health, limits })
    }

    /// Begins to serve.
    #[must_use]
    pub fn run(self) -> Running {
        let Self { listeners, looking, feeds, admin, over, server, leases, kept, audit, health, limits } =
            self;
        let endpoints: Vec<String> = listeners.iter().map(ToString::to_string).collect();
        let addresses = listeners.iter().filter_map(Listener::address).collect();
        for endpoint in &endpoints {
            tracing::info!(%endpoint, "listening");
        }
        let feed_endpoints = feeds.as_ref().map(Feeds::endpoints).unwrap_or_default();
        for endpoint in &feed_endpoints {
            tracing::info!(%endpoint, "listening for event feeds");
        }
        let admin_endpoints = admin.as_ref().map(Admin::endpoints).unwrap_or_default();
        for endpoint in &admin_endpoints {
            tracing::info!(%endpoint, "listening for orchestrators");
        }
        // Ends with the leases, whose last handle goes with the server.
        tokio::spawn(server.connections.clone().follow(leases.events()));
        let ending = server.ending.clone();
        server.tasks.spawn(async move { ending.run_until_cancelled_owned(looking).await });
        server.clone().serve(listeners);
        if let Some(feeds) = feeds {
            feeds.serve();
        }
        if let Some(admin) = admin {
            admin.serve();
        }
        Running {
            endpoints,
            addresses,
            feed_endpoints,
            admin_endpoints,
            over,
            server,
            leases,
            kept,
            audit,
            health,
            limits,
        }
    }
}

impl Running {
    /// Where it listens, as clients write it: `http://127.0.0.1:7420`, `unix:/run/leasehold.sock`.
    #[must_use]
    pub fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// The TCP addresses that it listens on.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where it listens for event feeds: `https://203.0.113.7:8443`.
    #[must_use]
    pub fn feed_endpoints(&self) -> &[String] {
        &self.feed_endpoints
    }

    /// Where it listens for orchestrators: `http://127.0.0.1:7429`.
    #[must_use]
    pub fn admin_endpoints(&self) -> &[String] {
        &self.admin_endpoints
    }

    /// Stops accepting, ends streams, lets the calls under way end until the drain deadline, wipes everything, and closes
    /// the registry and the audit journal.
    pub async fn drain(self) {
        let Self { server, leases, kept, audit, health, limits, over, .. } = self;
        tracing::info!(deadline = ?limits.drain.0, "draining");
        health.set_not_serving::<KeyServiceServer<Keys>>().await;
        health.set_not_serving::<TenantServiceServer<Tenants>>().await;
        health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        server.ending.cancel();
        server.tasks.close();
        tokio::select! {
            () = server.tasks.wait() => tracing::info!("drained"),
            () = server.clock.sleep(limits.drain.0) => tracing::warn!("the drain deadline passed; calls are cut"),
        }
        leases.end_all();
        tokio::select! {
            () = kept.close() => {}
            () = server.clock.sleep(CLOSING) => tracing::warn!("the registry was left open; nothing is lost"),
        }
        // Last, so that what was decided until now is recorded. What is decided later is refused.
        audit.close().await;
        over.cancel();
    }
}

impl Kept {
    async fn open(config: &Config, clock: &Arc<dyn TimeSource>) -> Result<Self, SqliteError> {
        let config::Registry::Sqlite { path } = &config.registry else {
            tracing::warn!("tenants and bindings are kept in memory: they are gone when this process ends");
            return Ok(Self::Memory(MemoryRegistry::new()));
        };
        let (path, deployment) = (path.clone(), config.deployment.clone());
        let settings = SqliteSettings { path, deployment, absent: Absent::Create };
        let registry = SqliteRegistry::open(settings, Arc::clone(clock)).await?;
        tracing::info!(path = %registry.path().display(), "registry");
        Ok(Self::File(registry))
    }

    fn registry(&self) -> Arc<dyn Registry> {
        match self.clone() {
            Self::File(registry) => Arc::new(registry),
            Self::Memory(registry) => Arc::new(registry),
        }
    }

    async fn close(self) {
        if let Self::File(registry) = self {
            registry.close().await;
        }
    }
}

fn arena(memory: &Memory) -> Result<Arena, StartError> {
    let on_unlockable = match memory.danger_allow_unlocked {
        true => OnUnlockable::DangerUseOrdinaryMemory,
        false => OnUnlockable::Refuse,
    };
    let arena = Arena::new(ArenaConfig { bytes: memory.arena_bytes, on_unlockable });
    let arena = arena.map_err(StartError::Memory)?;
    if arena.capacity() < memory.keys() {
        let (keys, wanted) = (arena.capacity(), memory.keys());
        tracing::warn!(
            keys,
            wanted,
            "less memory can be locked than memory.arena_bytes asks for: raise LimitMEMLOCK"
        );
    }
    tracing::info!(protection = %arena.protection(), keys = arena.capacity(), "memory for keys");
    Ok(arena)
}

fn sink(
    audit: &Audit,
    deployment: &DeploymentId,
    clock: &Arc<dyn TimeSource>,
) -> Result<Arc<dyn Sink>, AuditError> {
    let (clock, settings) = (Arc::clone(clock), audit.journal(&deployment.to_string()));
    // The key may be in the journal's directory, which is made with it.
    if let Some(directory) = &audit.directory {
        leasehold_audit::make_directory(directory)?;
    }
    let key = audit.signing_key().map(|path| SigningKey::open_or_generate(&path)).transpose()?;
    if let Some(key) = &key {
        tracing::info!(key_id = %key.id(), public_key = %key.public_key(), "checkpoints of the audit journal are signed");
    }
    Ok(Arc::new(match &audit.directory {
        Some(directory) => Journal::open(directory, key, clock, settings)?,
        None => Journal::to_handle(std::io::stderr(), key, clock, settings)?,
    }))
}

/// The rules of the configuration file as it is at any time, if the configuration is in one.
fn live_rules(
    config: &Config,
    connections: &Connections,
    clock: &Arc<dyn TimeSource>,
) -> Result<Option<Arc<LiveRules>>, StartError> {
    let open = |file: &PathBuf| {
        LiveRules::open(file.clone(), config, connections.clone(), Arc::clone(clock)).map(Arc::new)
    };
    Ok(config.file.as_ref().map(open).transpose()?)
}

/// Who decides what callers may.
fn authorizer(live: Option<&Arc<LiveRules>>, config: &Config) -> Result<Arc<dyn Authorizer>, StartError> {
    match live {
        Some(live) => Ok(Arc::clone(live) as _),
        None => Ok(Arc::new(config.rules()?)),
    }
}

fn lease_settings(lease: &config::Lease) -> leasehold_lease::Settings {
    let mut settings = leasehold_lease::Settings::default();
    settings.proofs_per_second = lease.proofs_per_second;
    settings.cache_bytes = lease.cache_bytes;
    settings.cache_bytes_per_tenant = lease.cache_bytes_per_tenant;
    settings
}

fn service_settings(limits: &Limits, audit: &Audit) -> leasehold_service::Settings {
    let mut settings = leasehold_service::Settings::default();
    settings.calls = limits.calls;
    settings.watches = limits.watches;
    settings.on_audit_failure = audit.on_failure();
    settings
}

/// Everything that is served: keys, tenants, health and reflection.
async fn requests(
    service: Service,
    calls: Calls,
    arena: Arena,
    rooms: Rooms,
) -> Result<(Requests, HealthReporter), StartError> {
    let (clock, witness) = (Arc::clone(&calls.clock), Arc::new(calls.clone()));
    let keys = Keys { service: service.clone(), calls: calls.clone(), arena };
    let keys = KeyServiceServer::new(keys);
    let watches = Routes::new(keys.clone().max_decoding_message_size(MAX_WATCH_MESSAGE)).prepare();
    let tenants = TenantServiceServer::new(Tenants { service, calls });
    let tenants = tenants.max_decoding_message_size(MAX_TENANT_REQUEST);
    let (reporter, health) = tonic_health::server::health_reporter();
    // A cloud that is down makes nothing here unhealthy: that is the affair of its tenants' leases.
    reporter.set_serving::<KeyServiceServer<Keys>>().await;
    reporter.set_serving::<TenantServiceServer<Tenants>>().await;
    let describe = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(leasehold_api::FILE_DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // What errors carry, so that tools can print it.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            // Each version of reflection tells of both.
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
            .include_reflection_service(false)
    };
    let v1 = describe().build_v1().map_err(StartError::Reflection)?;
    let v1alpha = describe().build_v1alpha().map_err(StartError::Reflection)?;
    let routes = Routes::new(keys.max_decoding_message_size(MAX_KEY_REQUEST))
        .add_service(tenants)
        .add_service(health.max_decoding_message_size(MAX_NAME))
        .add_service(v1.max_decoding_message_size(MAX_NAME))
        .add_service(v1alpha.max_decoding_message_size(MAX_NAME))
        .prepare();
    Ok((Requests { routes, watches, rooms, clock, witness }, reporter))
}
