//! Connections over real sockets, with a service that does as it is told.

use std::net::SocketAddr;

use leasehold_api::v1;
use leasehold_api::v1::key_service_client::KeyServiceClient;
use leasehold_api::v1::key_service_server::{KeyService, KeyServiceServer};
use leasehold_clock::{ManualClock, SystemClock};
use leasehold_ids::BindingName;
use leasehold_service::Caller;
use tokio::sync::Notify;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;

use super::*;
use crate::config::Listen;
use crate::grpc::call::Call;
use crate::grpc::decode::Witness;
use crate::grpc::{MAX_KEY_REQUEST, Rooms};
use crate::listen;
use crate::status::Refusal;

/// Answers every unwrap with its tenant's name, after `go` if the tenant is called `slow`, and refuses every wrap.
#[derive(Clone, Default)]
struct Fake {
    arrived: Arc<Notify>,
    go: Arc<Notify>,
}

/// Whom refusals are told that nobody records.
struct Nobody;

#[tonic::async_trait]
impl Witness for Nobody {
    async fn refused_unread(&self, _: &Caller, _: &str, _: &Refusal) {}

    fn turned_away(&self, _: Box<str>, _: &'static str) {}
}

type Answer<T> = Result<tonic::Response<T>, Status>;

fn none<T>() -> Answer<T> {
    Err(Status::unimplemented("not in this test"))
}

#[tonic::async_trait]
impl KeyService for Fake {
    async fn unwrap_key(
        &self,
        request: tonic::Request<v1::UnwrapKeyRequest>,
    ) -> Answer<v1::UnwrapKeyResponse> {
        Call::of(&request)?;
        request.extensions().get::<Arc<Connection>>().unwrap().carries(&binding());
        self.arrived.notify_one();
        if request.get_ref().tenant == "slow" {
            self.go.notified().await;
        }
        let binding = request.into_inner().tenant;
        Ok(tonic::Response::new(v1::UnwrapKeyResponse { binding, ..Default::default() }))
    }

    async fn generate_data_key(
        &self,
        _: tonic::Request<v1::GenerateDataKeyRequest>,
    ) -> Answer<v1::GenerateDataKeyResponse> {
        none()
    }

    async fn generate_data_key_without_plaintext(
        &self,
        _: tonic::Request<v1::GenerateDataKeyWithoutPlaintextRequest>,
    ) -> Answer<v1::GenerateDataKeyWithoutPlaintextResponse> {
        none()
    }

    async fn wrap_key(&self, request: tonic::Request<v1::WrapKeyRequest>) -> Answer<v1::WrapKeyResponse> {
        let call = Call::of(&request)?;
        call.refuses();
        none()
    }

    async fn rewrap_key(&self, _: tonic::Request<v1::RewrapKeyRequest>) -> Answer<v1::RewrapKeyResponse> {
        none()
    }

    type WatchLeasesStream = ReceiverStream<Result<v1::WatchLeasesResponse, Status>>;

    async fn watch_leases(
        &self,
        _: tonic::Request<Streaming<v1::WatchLeasesRequest>>,
    ) -> Answer<Self::WatchLeasesStream> {
        none()
    }
}

fn binding() -> BindingName {
    "tenants/acme/bindings/main".parse().unwrap()
}

async fn serve(fake: &Fake, connections: usize) -> (Server, SocketAddr) {
    serve_by(Arc::new(SystemClock::start()), fake, connections).await
}

async fn serve_by(clock: Arc<dyn TimeSource>, fake: &Fake, connections: usize) -> (Server, SocketAddr) {
    let keys = KeyServiceServer::new(fake.clone()).max_decoding_message_size(MAX_KEY_REQUEST);
    let routes = Routes::new(keys).prepare();
    let server = Server {
        requests: Requests {
            watches: routes.clone(),
            routes,
            rooms: Rooms::new(4),
            clock: Arc::clone(&clock),
            witness: Arc::new(Nobody),
        },
        bounds: Bounds { connections, calls_per_connection: 16 },
        connections: Connections::default(),
        clock,
        ending: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    let listen = Listen { tcp: vec!["127.0.0.1:0".parse().unwrap()], ..Listen::default() };
    let listeners = listen::bind(listen, &server.clock).await.unwrap().listeners;
    let address = listeners[0].address().unwrap();
    server.clone().serve(listeners);
    (server, address)
}

async fn connect(address: SocketAddr) -> KeyServiceClient<Channel> {
    KeyServiceClient::connect(format!("http://{address}")).await.unwrap()
}

fn unwrap(tenant: &str) -> v1::UnwrapKeyRequest {
    v1::UnwrapKeyRequest { tenant: tenant.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn p4_a_connection_that_carried_what_was_wiped_is_closed_and_its_client_comes_back() {
    let (server, address) = serve(&Fake::default(), 8).await;
    let mut client = connect(address).await;
    client.unwrap_key(unwrap("acme")).await.unwrap();
    let carrier = server.connections.only();
    server.connections.close_carriers(Some(&binding()));
    while carrier.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
    client.unwrap_key(unwrap("acme")).await.unwrap();
}

#[tokio::test]
async fn a_call_under_way_on_a_closing_connection_is_answered() {
    let fake = Fake::default();
    let (server, address) = serve(&fake, 8).await;
    let mut client = connect(address).await;
    let slow = tokio::spawn(async move { client.unwrap_key(unwrap("slow")).await });
    fake.arrived.notified().await;
    server.connections.close_carriers(None);
    let mut other = connect(address).await;
    other.unwrap_key(unwrap("acme")).await.unwrap();
    fake.go.notify_one();
    assert_eq!(slow.await.unwrap().unwrap().into_inner().binding, "slow");
}

#[tokio::test]
async fn a_server_that_is_told_to_end_answers_what_is_under_way_and_accepts_nothing_more() {
    let fake = Fake::default();
    let (server, address) = serve(&fake, 8).await;
    let mut client = connect(address).await;
    let slow = tokio::spawn(async move { client.unwrap_key(unwrap("slow")).await });
    fake.arrived.notified().await;
    server.ending.cancel();
    server.tasks.close();
    fake.go.notify_one();
    assert!(slow.await.unwrap().is_ok());
    server.tasks.wait().await;
    assert!(KeyServiceClient::connect(format!("http://{address}")).await.is_err());
}

#[tokio::test]
async fn p9_a_connection_beyond_the_bound_is_served_only_when_another_has_gone() {
    let (server, address) = serve(&Fake::default(), 1).await;
    let mut first = connect(address).await;
    first.unwrap_key(unwrap("acme")).await.unwrap();
    let second = tokio::spawn(async move { connect(address).await.unwrap_key(unwrap("acme")).await });
    // A round trip of the first shows that the second had its turn, if it was to have one.
    first.unwrap_key(unwrap("acme")).await.unwrap();
    assert_eq!(server.connections.len(), 1);
    assert!(!second.is_finished());
    drop(first);
    assert!(second.await.unwrap().is_ok());
}

#[tokio::test]
async fn p9_a_connection_that_never_calls_loses_its_place() {
    let clock = Arc::new(ManualClock::new());
    let (server, address) = serve_by(clock.clone(), &Fake::default(), 1).await;
    let _silent = tokio::net::TcpStream::connect(address).await.unwrap();
    while server.connections.len() == 0 {
        tokio::task::yield_now().await;
    }
    clock.advance(FIRST_CALL).await;
    clock.advance(CLOSING).await;
    let mut client = connect(address).await;
    client.unwrap_key(unwrap("acme")).await.unwrap();
    let carrier = server.connections.only();
    clock.advance(FIRST_CALL).await;
    client.unwrap_key(unwrap("acme")).await.unwrap();
    assert!(carrier.strong_count() > 0, "one that has called stays");
}

#[tokio::test]
async fn p4_refused_plaintext_does_not_stay_as_long_as_its_connection_could() {
    let clock = Arc::new(ManualClock::new());
    let (server, address) = serve_by(clock.clone(), &Fake::default(), 8).await;
    let mut client = connect(address).await;
    assert!(client.wrap_key(v1::WrapKeyRequest::default()).await.is_err());
    let carrier = server.connections.only();
    clock.advance(REFUSED_STAYS - Duration::from_secs(1)).await;
    client.unwrap_key(unwrap("acme")).await.unwrap();
    assert!(carrier.strong_count() > 0, "a caller that is refused often need not connect as often");
    while carrier.strong_count() > 0 {
        clock.advance(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn p9_a_message_that_is_too_large_is_refused_with_a_reason() {
    let (server, address) = serve(&Fake::default(), 8).await;
    let mut client = connect(address).await;
    let large = v1::UnwrapKeyRequest { wrapped_key: vec![0; MAX_KEY_REQUEST].into(), ..unwrap("acme") };
    let status = client.unwrap_key(large).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert_eq!(status.get_error_details().error_info().unwrap().reason, "INVALID_FIELD");
    client.unwrap_key(unwrap("acme")).await.unwrap();
    // Nobody knows whose key was in this one, and its connection goes.
    let large = v1::WrapKeyRequest { plaintext: vec![0; MAX_KEY_REQUEST].into(), ..Default::default() };
    assert_eq!(client.wrap_key(large).await.unwrap_err().code(), Code::InvalidArgument);
    while server.connections.len() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn p9_one_caller_cannot_take_the_room_for_requests() {
    let fake = Fake::default();
    let (_server, address) = serve(&fake, 8).await;
    let client = connect(address).await;
    let slow = |mut client: KeyServiceClient<Channel>| {
        tokio::spawn(async move { client.unwrap_key(unwrap("slow")).await })
    };
    let held = [slow(client.clone()), slow(client.clone())];
    fake.arrived.notified().await;
    fake.arrived.notified().await;
    let refused = connect(address).await.unwrap_key(unwrap("acme")).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.get_error_details().error_info().unwrap().reason, "OVER_LIMIT");
    fake.go.notify_one();
    fake.go.notify_one();
    for held in held {
        held.await.unwrap().unwrap();
    }
    client.clone().unwrap_key(unwrap("acme")).await.unwrap();
}

#[tokio::test]
async fn p9_a_request_that_does_not_arrive_is_refused_in_time() {
    let clock = Arc::new(ManualClock::new());
    let (server, address) = serve_by(clock.clone(), &Fake::default(), 8).await;
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("http://x/leasehold.v1.KeyService/UnwrapKey")
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let (answer, mut body) = client.send_request(request, false).unwrap();
    // A message of 16 bytes, of which one comes.
    body.send_data(vec![0, 0, 0, 0, 16, 1].into(), false).unwrap();
    while server.requests.rooms.taken() == 0 {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(10)).await;
    let answer = answer.await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], (Code::InvalidArgument as i32).to_string());
    assert_eq!(server.requests.rooms.taken(), 0);
}

#[tokio::test]
async fn p4_what_was_wiped_is_cut_in_time_while_the_server_drains_too() {
    let clock = Arc::new(ManualClock::new());
    let fake = Fake::default();
    let (server, address) = serve_by(clock.clone(), &fake, 8).await;
    let mut client = connect(address).await;
    let slow = tokio::spawn(async move { client.unwrap_key(unwrap("slow")).await });
    fake.arrived.notified().await;
    server.ending.cancel();
    let carrier = server.connections.only();
    clock.advance(CLOSING * 4).await;
    assert!(carrier.strong_count() > 0, "what is under way has the time that a drain has");
    server.connections.close_carriers(Some(&binding()));
    while carrier.strong_count() > 0 {
        clock.advance(TAKING).await;
    }
    assert!(slow.await.unwrap().is_err());
}
