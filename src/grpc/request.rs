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

/// How long a request may take to arrive whole. It holds room from its first byte on; the largest has 64 KiB.
const ARRIVAL: Duration = Duration::from_secs(10);

/// What answers requests.
#[derive(Clone)]
pub(crate) struct Requests {
    /// Everything that is served but `watches`.
    pub(crate) routes: Routes,
    /// `WatchLeases`, which takes larger messages than calls are.
    pub(crate) watches: Routes,
    /// For requests, from their first byte to the first byte of the answer.
    pub(crate) room: Room<Identity>,
    pub(crate) clock: Arc<dyn TimeSource>,
    /// What records the requests that are refused before they become a call.
    pub(crate) witness: Arc<dyn Witness>,
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
        let Some(_place) = self.room.take(connection.identity()) else {
            if brings_plaintext {
                connection.refuses();
            }
            return asked.refuse(&Refusal::TooManyCalls, connection, &*self.witness).await;
        };
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
                let refusal = FieldError::new("message", "did not arrive within 10 s").into();
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
