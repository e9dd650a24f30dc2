//! What every request passes before it is a call, and its answer after: room, and the time in which it must arrive.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use leasehold_api::FieldError;
use leasehold_authz::Identity;
use leasehold_clock::TimeSource;
use leasehold_service::Room;
use tonic::body::Body;
use tonic::service::Routes;
use tower::ServiceExt;

use super::connection::{Connection, Unread};
use super::decode::{Asked, Witness};
use super::untaken;
use crate::status::Refusal;

/// The only request that brings plaintext.
const WRAP_KEY: &str = "/leasehold.v1.KeyService/WrapKey";

const WATCH_LEASES: &str = "/leasehold.v1.KeyService/WatchLeases";

/// What the paths of key operations begin with.
const KEY_SERVICE: &str = "/leasehold.v1.KeyService/";

/// What the paths of changes of tenants begin with.
const TENANT_SERVICE: &str = "/leasehold.v1.TenantService/";

/// How long a request may take to arrive whole. It holds room from its first byte on; the largest has 64 KiB.
const ARRIVAL: Duration = Duration::from_secs(10);

/// A sixteenth of the requests there may be at once can be about tenants, besides those about keys: whoever suspends a tenant
/// does not wait for its engines.
const ABOUT_TENANTS: usize = 16;

/// What answers requests.
#[derive(Clone)]
pub(crate) struct Requests {
    /// Everything that is served but `watches`.
    pub(crate) routes: Routes,
    /// `WatchLeases`, which takes larger messages than calls are.
    pub(crate) watches: Routes,
    /// Where they wait, and are answered.
    pub(crate) rooms: Rooms,
    pub(crate) clock: Arc<dyn TimeSource>,
    /// What records the requests that are refused before they become a call.
    pub(crate) witness: Arc<dyn Witness>,
}

/// Room for requests, from their first byte to the first byte of the answer. Health and reflection need none: they are answered
/// at once. Nor do streams of `WatchLeases`, which have room of their own.
#[derive(Debug, Clone)]
pub(crate) struct Rooms {
    keys: Room<Identity>,
    tenants: Room<Identity>,
}

impl Rooms {
    pub(crate) fn new(calls: usize) -> Self {
        Self { keys: Room::new(calls), tenants: Room::new(calls.div_ceil(ABOUT_TENANTS)) }
    }

    /// The room for requests with this path, if they need one.
    fn of(&self, path: &str) -> Option<&Room<Identity>> {
        match path {
            WATCH_LEASES => None,
            _ if path.starts_with(KEY_SERVICE) => Some(&self.keys),
            _ if path.starts_with(TENANT_SERVICE) => Some(&self.tenants),
            _ => None,
        }
    }
}

impl Requests {
    /// The answer to a request that came on `connection`, with a reason in every error.
    pub(super) async fn answer(
        &self,
        connection: &Arc<Connection>,
        mut request: Request<Incoming>,
    ) -> Response<Body> {
        connection.called();
        let (asked, path) = (Asked::of(&request), request.uri().path());
        let routes = if path == WATCH_LEASES { &self.watches } else { &self.routes };
        let brings_plaintext = path == WRAP_KEY;
        let room = self.rooms.of(path);
        let place = room.map(|room| room.take(connection.identity()));
        if let Some(None) = place {
            if brings_plaintext {
                connection.refuses();
            }
            return asked.refuse(&Refusal::TooManyCalls, connection, &*self.witness).await;
        }
        let unread = Arc::new(Unread::on(connection, brings_plaintext));
        request.extensions_mut().insert(Arc::clone(&unread));
        request.extensions_mut().insert(Arc::clone(connection));
        tokio::select! {
            biased;
            answered = routes.clone().oneshot(request) => {
                let Ok::<_, Infallible>(response) = answered;
                let response = untaken::guard(connection, response);
                asked.explain(response, connection, &*self.witness).await
            }
            () = self.is_late(&unread) => {
                let refusal = FieldError::new("message", format!("did not arrive within {} s", ARRIVAL.as_secs())).into();
                asked.refuse(&refusal, connection, &*self.witness).await
            }
        }
    }

    /// Completes when a request should have arrived and has not.
    async fn is_late(&self, unread: &Unread) {
        self.clock.sleep(ARRIVAL).await;
        if unread.is_read() {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
impl Rooms {
    pub(crate) fn taken(&self) -> usize {
        self.keys.taken() + self.tenants.taken()
    }
}
