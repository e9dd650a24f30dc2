//! The cache in front of a service that does as it is told, over a Unix socket.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leasehold_client::api::v1;
use leasehold_client::api::v1::key_service_server::{KeyService, KeyServiceServer};
use leasehold_client::{
    Arena, ArenaConfig, CacheSettings, Client, ClientError, EncryptionContext, KeyCache, OnUnlockable,
    RetryPolicy, Settings, TenantId, WrappedKey,
};
use leasehold_clock::ManualClock;
use tokio::net::UnixListener;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{Request, Response, Status, Streaming};

const BINDING: &str = "tenants/acme/bindings/main";

/// The service: unwraps everything to the same key, under a lease of 30 s.
#[derive(Clone)]
struct Fake(Arc<State>);

struct State {
    clock: ManualClock,
    unwraps: AtomicUsize,
    /// How long an answer is on its way.
    transit: Mutex<Duration>,
    arrived: Notify,
    /// An unwrap waits for this if it is for the tenant `slow`.
    go: Notify,
    /// What the watcher says, and what it is told.
    said: mpsc::UnboundedSender<v1::WatchLeasesRequest>,
    telling: Mutex<Option<mpsc::Sender<Result<v1::WatchLeasesResponse, Status>>>>,
}

type Answer<T> = Result<Response<T>, Status>;

fn none<T>() -> Answer<T> {
    Err(Status::unimplemented("not in this test"))
}

#[tonic::async_trait]
impl KeyService for Fake {
    async fn unwrap_key(&self, request: Request<v1::UnwrapKeyRequest>) -> Answer<v1::UnwrapKeyResponse> {
        self.0.unwraps.fetch_add(1, Ordering::SeqCst);
        self.0.arrived.notify_one();
        if request.get_ref().tenant == "tenants/slow" {
            self.0.go.notified().await;
        }
        self.0.clock.suspend_for(*self.0.transit.lock().unwrap());
        Ok(Response::new(v1::UnwrapKeyResponse {
            plaintext: vec![7; 32].into(),
            lease_ttl: Some(prost_types::Duration { seconds: 30, nanos: 0 }),
            binding: BINDING.to_owned(),
        }))
    }

    async fn generate_data_key(
        &self,
        _: Request<v1::GenerateDataKeyRequest>,
    ) -> Answer<v1::GenerateDataKeyResponse> {
        none()
    }

    async fn generate_data_key_without_plaintext(
        &self,
        _: Request<v1::GenerateDataKeyWithoutPlaintextRequest>,
    ) -> Answer<v1::GenerateDataKeyWithoutPlaintextResponse> {
        none()
    }

    async fn wrap_key(&self, _: Request<v1::WrapKeyRequest>) -> Answer<v1::WrapKeyResponse> {
        none()
    }

    async fn rewrap_key(&self, _: Request<v1::RewrapKeyRequest>) -> Answer<v1::RewrapKeyResponse> {
        none()
    }

    type WatchLeasesStream = ReceiverStream<Result<v1::WatchLeasesResponse, Status>>;

    async fn watch_leases(
        &self,
        request: Request<Streaming<v1::WatchLeasesRequest>>,
    ) -> Answer<Self::WatchLeasesStream> {
        let (tell, told) = mpsc::channel(8);
        *self.0.telling.lock().unwrap() = Some(tell);
        let (mut messages, said) = (request.into_inner(), self.0.said.clone());
        tokio::spawn(async move {
            while let Ok(Some(message)) = messages.message().await {
                let _ = said.send(message);
            }
        });
        Ok(Response::new(ReceiverStream::new(told)))
    }
}

struct Bench {
    fake: Fake,
    said: mpsc::UnboundedReceiver<v1::WatchLeasesRequest>,
    clock: ManualClock,
    arena: Arena,
    cache: KeyCache,
    _directory: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let (clock, (said, heard)) = (ManualClock::new(), mpsc::unbounded_channel());
        let fake = Fake(Arc::new(State {
            clock: clock.clone(),
            unwraps: AtomicUsize::new(0),
            transit: Mutex::default(),
            arrived: Notify::new(),
            go: Notify::new(),
            said,
            telling: Mutex::default(),
        }));
        let incoming = UnixListenerStream::new(UnixListener::bind(&path).unwrap());
        let server = tonic::transport::Server::builder().add_service(KeyServiceServer::new(fake.clone()));
        tokio::spawn(server.serve_with_incoming(incoming));
        let on_unlockable = OnUnlockable::DangerUseOrdinaryMemory;
        let arena = Arena::new(ArenaConfig { bytes: ArenaConfig::MIN_BYTES, on_unlockable }).unwrap();
        let settings = Settings { retry: RetryPolicy::never(), ..Settings::default() };
        let endpoint = format!("unix:{}", path.display()).parse().unwrap();
        let client = Client::new(&endpoint, settings, arena.clone(), Arc::new(clock.clone()));
        let cache = KeyCache::new(client, CacheSettings::default());
        Self { fake, said: heard, clock, arena, cache, _directory: directory }
    }

    fn unwraps(&self) -> usize {
        self.fake.0.unwraps.load(Ordering::SeqCst)
    }

    async fn first_byte(&self, tenant: &str) -> Result<u8, ClientError> {
        let tenant: TenantId = tenant.parse().unwrap();
        let wrapped = WrappedKey::try_from(vec![1, 2, 3]).unwrap();
        self.cache.with_key(&tenant, &wrapped, &EncryptionContext::empty(), |key| key.expose()[0]).await
    }

    async fn tell(&self, sequence: u64, state: v1::LeaseState, seconds: i64, epoch: u64) {
        let lease = v1::LeaseStatus {
            binding: BINDING.to_owned(),
            state: state.into(),
            lease_ttl: Some(prost_types::Duration { seconds, nanos: 0 }),
            epoch,
            ..Default::default()
        };
        let telling = self.fake.0.telling.lock().unwrap().clone().unwrap();
        telling.send(Ok(v1::WatchLeasesResponse { sequence, leases: vec![lease] })).await.unwrap();
    }
}

#[tokio::test]
async fn p1_a_key_is_held_for_its_lease_counted_from_when_the_request_was_sent() {
    let bench = Bench::new();
    *bench.fake.0.transit.lock().unwrap() = Duration::from_secs(10);
    assert_eq!(bench.first_byte("acme").await.unwrap(), 7);
    assert_eq!(bench.first_byte("acme").await.unwrap(), 7);
    assert_eq!(bench.unwraps(), 1, "the second one was held");
    bench.clock.advance(Duration::from_secs(19)).await;
    assert_eq!(bench.arena.in_use(), 1);
    bench.clock.advance(Duration::from_secs(1)).await;
    assert_eq!(bench.arena.in_use(), 0, "wiped by the timer, 30 s after it was sent");
}

#[tokio::test]
async fn an_answer_that_was_longer_on_its_way_than_its_lease_is_not_used() {
    let bench = Bench::new();
    *bench.fake.0.transit.lock().unwrap() = Duration::from_secs(30);
    assert!(matches!(bench.first_byte("acme").await, Err(ClientError::LeaseOver)));
    assert_eq!(bench.arena.in_use(), 0);
}

#[tokio::test]
async fn p2_what_the_service_denies_is_wiped_at_once_and_acknowledged() {
    let mut bench = Bench::new();
    let mut updates = bench.cache.updates();
    bench.cache.watch(&"acme".parse().unwrap(), v1::WatchMode::Hold);
    let first = bench.said.recv().await.unwrap();
    assert_eq!((first.sequence, first.subscriptions[0].mode()), (1, v1::WatchMode::Hold));
    bench.first_byte("acme").await.unwrap();
    bench.tell(1, v1::LeaseState::Live, 300, 4).await;
    updates.recv().await.unwrap();
    bench.clock.advance(Duration::from_secs(299)).await;
    assert_eq!(bench.cache.len(), 1, "renewed beyond the 30 s that the answer gave");
    bench.tell(1, v1::LeaseState::Denied, 0, 0).await;
    updates.recv().await.unwrap();
    assert_eq!(bench.arena.in_use(), 0);
    let acknowledged = loop {
        let message = bench.said.recv().await.unwrap();
        if let Some(acknowledgement) = message.acknowledgements.first() {
            break acknowledgement.clone();
        }
    };
    assert_eq!((acknowledged.epoch, acknowledged.action()), (4, v1::WatchAction::Wiped));
}

#[tokio::test]
async fn p2_a_key_that_was_on_its_way_during_a_denial_is_not_used() {
    let mut bench = Bench::new();
    let mut updates = bench.cache.updates();
    bench.cache.watch(&"slow".parse().unwrap(), v1::WatchMode::Observe);
    bench.said.recv().await.unwrap();
    let denied = async {
        bench.fake.0.arrived.notified().await;
        bench.tell(1, v1::LeaseState::Denied, 0, 0).await;
        updates.recv().await.unwrap();
        bench.fake.0.go.notify_one();
    };
    let (answer, ()) = tokio::join!(bench.first_byte("slow"), denied);
    assert!(matches!(answer, Err(ClientError::LeaseOver)));
    assert_eq!(bench.arena.in_use(), 0);
}

#[tokio::test]
async fn dropping_the_cache_wipes_it() {
    let bench = Bench::new();
    bench.first_byte("acme").await.unwrap();
    let Bench { cache, arena, clock, .. } = bench;
    drop(cache);
    clock.settle().await;
    assert_eq!(arena.in_use(), 0);
}
