//! A request's way: from its path through its credential, the limits and the service to a proof that begins.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderName};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use leasehold_audit::{Stranger, network};
use leasehold_authz::{FeedName, Identity};
use leasehold_clock::TimeSource;
use leasehold_ids::TenantId;
use leasehold_service::{Caller, Reproof, Service};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::callers::{self, Callers, Feed};
use super::handshake;
use super::problem::{Answer, Problem, answer};
use super::proofs::{Begun, Proofs};
use crate::places::Place;
use crate::rate::Buckets;

/// Largest body. Nothing of it is used but the code of a handshake; an EventBridge event has at most 256 KiB, and what our
/// templates send of it less than one.
const MAX_BODY: usize = 64 * 1024;

/// How long a body may take to arrive, and a request to be answered. EventBridge waits for 5 s: what takes longer is
/// answered to nobody. Of that, the registry may take 2 s.
const BODY_DEADLINE: Duration = Duration::from_secs(3);
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_millis(4_800);

/// Names a request in its answer, the log and the audit record.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Answers requests.
pub(super) struct Handler {
    pub(super) service: Service,
    pub(super) callers: Callers,
    pub(super) per_feed: Buckets<FeedName>,
    pub(super) per_tenant: Buckets<TenantId>,
    /// For handshakes of Event Grid, which anybody may ask for and which bring a body.
    pub(super) handshakes: Semaphore,
    pub(super) proofs: Proofs,
    pub(super) room: Semaphore,
    pub(super) clock: Arc<dyn TimeSource>,
    pub(super) ending: CancellationToken,
}

impl Handler {
    /// The answer to `request`, which came from `peer` on the connection of `place`.
    pub(super) async fn answer(&self, request: Request<Incoming>, place: &Place, peer: IpAddr) -> Answer {
        let request_id: Box<str> = uuid::Uuid::new_v4().to_string().into();
        let answered = match self.room.try_acquire() {
            Ok(_permit) => tokio::select! {
                biased;
                answered = self.handle(request, place, &request_id) => answered,
                () = self.clock.sleep(DEADLINE) => Err(Problem::Deadline),
            },
            Err(_) => Err(Problem::TooMany(Duration::from_secs(1))),
        };
        // What strangers can cause at any rate is for whoever looks for it; decisions are in the audit record, and strangers
        // are counted there.
        let mut answer = answered.unwrap_or_else(|problem| {
            problem.undecided().into_iter().for_each(|reason| self.turned_away(peer, reason));
            tracing::debug!(%request_id, error = &problem as &dyn std::error::Error, "an event feed is refused");
            problem.answer()
        });
        if let Ok(id) = HeaderValue::try_from(&*request_id) {
            answer.headers_mut().insert(REQUEST_ID, id);
        }
        // So that strangers ask no more often than connections are accepted.
        if !place.is_known() {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    /// Counts a request, or a connection, that came to no decision.
    pub(super) fn turned_away(&self, peer: IpAddr, reason: &'static str) {
        self.service.turned_away(Stranger { listener: "reprove", from: network(peer), reason });
    }

    async fn handle(
        &self,
        request: Request<Incoming>,
        place: &Place,
        request_id: &str,
    ) -> Result<Answer, Problem> {
        if self.ending.is_cancelled() {
            return Err(Problem::ShuttingDown);
        }
        let (head, body) = request.into_parts();
        let tenant = tenant_of(head.uri.path()).ok_or(Problem::NoSuchPath)?;
        match head.method {
            Method::POST => {}
            Method::OPTIONS => return handshake::of_cloud_events(&head.headers),
            _ => return Err(Problem::Method),
        }
        if handshake::is_validation(&head.headers) {
            let busy = |_| Problem::TooMany(HANDSHAKE_DEADLINE);
            let _permit = self.handshakes.try_acquire().map_err(busy)?;
            return handshake::of_event_grid(&self.read(body, HANDSHAKE_DEADLINE).await?);
        }
        let feed = self.callers.authenticate(&head.headers).await.map_err(|stranger| match stranger {
            callers::Stranger::Untold => Problem::Untold,
            stranger => Problem::Stranger(stranger),
        })?;
        place.is_known_now();
        self.per_feed.take(&feed.name).map_err(Problem::TooMany)?;
        let _share = feed.room.try_acquire().map_err(|_| Problem::TooMany(Duration::from_secs(1)))?;
        let tenant: TenantId = tenant.parse().map_err(|_| Problem::NotATenant)?;
        // Nobody uses up the requests of a tenant that they may not ask about; and whoever may asks at the same rate about
        // those that do not exist.
        if feed.covers(&tenant) {
            self.per_tenant.take(&tenant).map_err(Problem::TooMany)?;
        }
        self.read(body, BODY_DEADLINE).await?;
        self.reprove(feed, tenant, request_id).await
    }

    async fn reprove(&self, feed: &Feed, tenant: TenantId, request_id: &str) -> Result<Answer, Problem> {
        let caller =
            Caller { identity: Identity::EventFeed(feed.name.clone()), request_id: request_id.into() };
        let reproof = self.service.request_reprove(&caller, &tenant).await?;
        let begun = self.proofs.ask(&tenant, move || prove(reproof.clone())).map_err(|_| Problem::Full)?;
        let proof = match begun {
            Begun::Started => "started",
            Begun::Queued => "queued",
        };
        tracing::debug!(%request_id, feed = %feed.name, %tenant, proof, "an event feed asks for a proof");
        Ok(answer(StatusCode::ACCEPTED, &json!({"tenant": format!("tenants/{tenant}"), "proof": proof})))
    }

    /// The whole body, which has to be read even where it is not used, or the connection could not go on.
    async fn read(&self, body: Incoming, deadline: Duration) -> Result<Bytes, Problem> {
        let whole = tokio::select! {
            whole = Limited::new(body, MAX_BODY).collect() => whole,
            () = self.clock.sleep(deadline) => return Err(Problem::Slow),
        };
        match whole {
            Ok(whole) => Ok(whole.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(Problem::TooLarge),
            Err(_) => Err(Problem::Body),
        }
    }
}

/// What comes of it is in the leases' own log and events.
async fn prove(reproof: Reproof) {
    if let Err(error) = reproof.prove().await {
        let error = &error as &dyn std::error::Error;
        tracing::debug!(tenant = %reproof.tenant(), error, "a proof that an event asked for was not made");
    }
}

/// The tenant that a path names, as it is written there.
fn tenant_of(path: &str) -> Option<&str> {
    let tenant = path.strip_prefix("/v1/tenants/")?.strip_suffix(":reprove")?;
    (!tenant.contains('/')).then_some(tenant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_tenant_or_nothing() {
        assert_eq!(tenant_of("/v1/tenants/acme:reprove"), Some("acme"));
        for path in
            ["/", "/v1/tenants/acme", "/v1/tenants/a/b:reprove", "/v2/tenants/acme:reprove", "/metrics"]
        {
            assert_eq!(tenant_of(path), None, "{path}");
        }
    }
}
