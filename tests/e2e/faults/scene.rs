//! One server, one cloud of which is in trouble. What its callers get is in `callers`.

mod callers;

use std::sync::Arc;
use std::time::Duration;

use leasehold::app::Running;
use leasehold::config::Providers;
use leasehold_api::v1::{LeaseState, WatchMode};
use leasehold_client::{Client, KeyLength, PlaintextKey, WrappedKey};
use leasehold_clock::{Moment, TimeSource};
use leasehold_cloudsim::Simulator;
use leasehold_cloudsim::faults::{FaultId, FaultSpec};

use self::callers::unwrap;
use super::impostor;
use super::pace::Pace;
use super::proxy::{Line, Proxy};
use super::report::{Cell, Took};
use super::rows::{Harm, Row};
use crate::clock::JumpingClock;
use crate::cloud::{Cloud, Estate};
use crate::watcher::Watcher;
use crate::world::{self, BINDING, BOUND, activate, client_of, context, create_binding, create_tenant, id};

/// How long the fault lasts: longer than any call may take, and than a lease that began before it.
const FAULT: Duration = Duration::from_secs(18);

/// Far more than the longest answer that we ask for, and than what the kernel's buffers hold of one that nobody reads;
/// far less than what there was of it.
const MAX_TAKEN: u64 = 32 << 20;

/// The tenants of one cloud, for one scene. Each is there for one purpose.
pub(crate) struct Cast {
    /// Has a lease, and keys that are cached and not.
    pub(crate) user: String,
    /// Has no lease.
    pub(crate) cold: String,
    /// Has a binding that is not active.
    pub(crate) new: String,
    /// Is on the same cloud, and has no trouble if the cloud troubles single tenants.
    pub(crate) beside: String,
}

impl Cast {
    pub(crate) fn of(cloud: Cloud) -> Self {
        let named = |part: &str| format!("{cloud}-{part}");
        Self { user: named("user"), cold: named("cold"), new: named("new"), beside: named("beside") }
    }

    pub(crate) fn names(&self) -> [&str; 4] {
        [&self.user, &self.cold, &self.new, &self.beside]
    }
}

/// The tenant of `cloud` that is served by a server whose trouble is with another cloud.
pub(crate) fn elsewhere(cloud: Cloud) -> String {
    format!("{cloud}-elsewhere")
}

/// A server, ready for its trouble.
pub(crate) struct Scene {
    row: &'static Row,
    cloud: Cloud,
    simulator: Arc<Simulator>,
    estate: Arc<dyn Estate>,
    cast: Cast,
    neighbour: String,
    clock: JumpingClock,
    pace: Arc<Pace>,
    running: Running,
    trust: Proxy,
    key: Proxy,
    props: Props,
    _directory: tempfile::TempDir,
}

/// What was made before.
struct Props {
    cached: (PlaintextKey, WrappedKey),
    uncached: (PlaintextKey, WrappedKey),
    rewrapped: (PlaintextKey, WrappedKey),
    cold: (PlaintextKey, WrappedKey),
}

/// What was seen of one scene.
pub(crate) struct Seen {
    pub(crate) row: &'static str,
    pub(crate) cloud: Cloud,
    pub(crate) cells: Vec<Cell>,
    /// What must not be.
    pub(crate) wrong: Vec<String>,
}

impl Scene {
    /// On a simulator that this scene shares with those of the other clouds; `estates` are their parts of it.
    pub(crate) async fn set(
        row: &'static Row,
        cloud: Cloud,
        simulator: Arc<Simulator>,
        estates: &[Arc<dyn Estate>],
        pace: Arc<Pace>,
    ) -> Self {
        let other = Cloud::ALL[(Cloud::ALL.iter().position(|c| *c == cloud).unwrap() + 1) % Cloud::ALL.len()];
        let of = |cloud| Arc::clone(estates.iter().find(|estate| estate.cloud() == cloud).unwrap());
        let (estate, neighbours) = (of(cloud), of(other));
        let directory = tempfile::tempdir().unwrap();
        let mut config = world::server(&*estate);
        neighbours.configure(&mut config.providers);
        let endpoint = endpoint(&simulator, cloud);
        let (trust, key) = (Proxy::before(&endpoint).await, Proxy::before(&endpoint).await);
        let authority = directory.path().join("impostor.pem");
        std::fs::write(&authority, impostor::authority()).unwrap();
        divert(&mut config.providers, cloud, [trust.url(), key.url()], authority);
        config.audit.directory = Some(directory.path().join("audit"));
        let clock = pace.clock().clone();
        let running = world::start(config, &clock).await;
        let client = client_of(&running.endpoints()[0], &clock);
        let (cast, neighbour) = (Cast::of(cloud), elsewhere(other));
        for (estate, tenant) in
            cast.names().map(|t| (&estate, t)).into_iter().chain([(&neighbours, &*neighbour)])
        {
            create_tenant(&client, tenant).await;
            let made = create_binding(&client, tenant, BINDING, estate.binding(tenant)).await.unwrap();
            estate.let_in(tenant, &made.external_id);
            let idle = tenant == cast.beside && !row.is_of_single_tenants();
            if tenant != cast.new && !idle {
                activate(&client, tenant, BINDING).await.unwrap();
            }
        }
        let props = Props {
            cached: generate(&client, &cast.user, "cached").await,
            uncached: generate(&client, &cast.user, "uncached").await,
            rewrapped: generate(&client, &cast.user, "rewrapped").await,
            cold: generate(&client, &cast.cold, "cold").await,
        };
        unwrap(&client, &cast.user, &props.cached, "cached").await.unwrap();
        world::make_cold(&client, &cast.cold).await;
        Self {
            row,
            cloud,
            simulator,
            estate,
            cast,
            neighbour,
            clock,
            pace,
            running,
            trust,
            key,
            props,
            _directory: directory,
        }
    }

    /// Plays it: the fault, what callers get during it, and what they get after it.
    pub(crate) async fn play(self) -> Seen {
        let mut watcher = Watcher::open(&self.client(), &id(&self.cast.user), WatchMode::Hold).await;
        watcher.until(LeaseState::Live).await;
        let first = self.clock.now();
        world::reprove(&self.client(), &self.cast.user).await.unwrap();
        // When the lease ends if nothing proves it from now on: after the first and before the second.
        let lease = (first + BOUND, self.clock.now() + BOUND);
        let began = self.clock.now();
        let mut wrong = Vec::new();
        let injected = self.strike();
        let (calls, cached, watched, others) = tokio::join!(
            self.calls(),
            self.cached(lease),
            self.watched(&mut watcher, began, lease),
            self.neighbours(began + FAULT),
        );
        let mut cells = calls;
        for (cell, found) in [cached, watched, others] {
            cells.push(cell);
            wrong.extend(found);
        }
        let taken = self.trust.invented().max(self.key.invented());
        if taken > MAX_TAKEN {
            wrong.push(format!("{} MiB of an invented answer were read", taken >> 20));
        }
        self.clock.sleep_until(began + FAULT).await;
        self.end(injected);
        cells.push(self.recovered(&mut watcher, &mut wrong).await);
        self.wrong_answers(&cells, &mut wrong);
        self.running.drain().await;
        Seen { row: self.row.name, cloud: self.cloud, cells, wrong }
    }

    /// In which time something came, beyond what the machine takes for anything.
    fn when(&self, asked: Moment, answered: Moment) -> Took {
        Took::measured(answered.since(asked), self.pace.slowness(asked, answered))
    }

    fn client(&self) -> Client {
        client_of(&self.running.endpoints()[0], &self.clock)
    }

    // === the fault ===

    fn strike(&self) -> Vec<FaultId> {
        match &self.row.harm {
            Harm::Both(line) => {
                self.trust.set(*line);
                self.key.set(*line);
            }
            Harm::Trust(line) => self.trust.set(*line),
            Harm::Key(line) => self.key.set(*line),
            Harm::Cloud(effect) => {
                let troubled = [&self.cast.user, &self.cast.cold, &self.cast.new];
                let specs = troubled.map(|tenant| FaultSpec {
                    matching: self.estate.about(tenant),
                    effect: effect.clone(),
                    count: None,
                });
                return specs.map(|spec| self.simulator.control().inject(spec)).into();
            }
        }
        Vec::new()
    }

    fn end(&self, injected: Vec<FaultId>) {
        self.trust.set(Line::CLEAR);
        self.key.set(Line::CLEAR);
        for fault in injected {
            self.simulator.control().clear_fault(fault).unwrap();
        }
    }
}

async fn generate(client: &Client, tenant: &str, branch: &str) -> (PlaintextKey, WrappedKey) {
    let made = client.generate_data_key(&id(tenant), KeyLength::B32, &context(branch)).await.unwrap().value;
    (made.key, made.wrapped)
}

/// Where all of `cloud` is but our own identity.
fn endpoint(simulator: &Simulator, cloud: Cloud) -> String {
    let endpoints = simulator.endpoints();
    match cloud {
        Cloud::Aws => endpoints.aws.clone(),
        Cloud::Azure => endpoints.azure.clone(),
        Cloud::Gcp => endpoints.gcp.clone(),
    }
}

/// Has a server reach `cloud` at these endpoints.
fn divert(providers: &mut Providers, cloud: Cloud, [trust, key]: [String; 2], authority: std::path::PathBuf) {
    match cloud {
        Cloud::Aws => {
            let aws = providers.aws.as_mut().unwrap();
            (aws.endpoints.sts, aws.endpoints.kms) = (Some(trust), Some(key));
        }
        Cloud::Azure => {
            let azure = providers.azure.as_mut().unwrap();
            (azure.endpoints.entra, azure.endpoints.key_vault) = (Some(trust), Some(key));
            azure.extra_root_cas.push(authority);
        }
        Cloud::Gcp => {
            let gcp = providers.gcp.as_mut().unwrap();
            (gcp.endpoints.iam_credentials, gcp.endpoints.kms) = (Some(trust), Some(key));
        }
    }
}
