//! The control interface over HTTP and JSON; the routes are listed in the crate's README.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{BASE, Control, calls, http_aws, http_azure, http_gcp};
use crate::error::SimError;
use crate::faults::{FaultId, FaultSpec};
use crate::server::{Handler, Outcome, plain};
use crate::simulator::Endpoints;

/// Serves the control API.
pub(crate) struct ControlHandler {
    router: Router,
}

impl ControlHandler {
    pub(crate) fn new(control: Control, endpoints: Endpoints) -> Self {
        let routes = Router::new()
            .route("/endpoints", get(|| async move { axum::Json(endpoints) }))
            .route("/faults", get(list_faults).post(inject).delete(clear_faults))
            .route("/faults/{id}", delete(clear_fault))
            .route("/calls", get(list_calls).delete(clear_calls))
            .route("/clock", get(read_clock))
            .route("/clock/advance", post(advance))
            .nest("/aws", http_aws::routes())
            .nest("/azure", http_azure::routes())
            .nest("/gcp", http_gcp::routes())
            .nest("/tenants", crate::tenants::http::routes());
        Self { router: Router::new().nest(BASE, routes).with_state(control) }
    }
}

impl Handler for ControlHandler {
    fn handle(self: Arc<Self>, request: Request<Bytes>) -> BoxFuture<'static, Outcome> {
        let router = self.router.clone();
        async move {
            let Ok(response) = router.oneshot(request.map(Body::from)).await;
            let (parts, body) = response.into_parts();
            match body.collect().await {
                Ok(body) => Outcome::Answer(http::Response::from_parts(parts, body.to_bytes())),
                Err(_) => Outcome::Answer(plain(StatusCode::INTERNAL_SERVER_ERROR, "")),
            }
        }
        .boxed()
    }
}

/// A refusal, as JSON.
pub(crate) struct Refusal(SimError);

impl From<SimError> for Refusal {
    fn from(error: SimError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self.0 {
            SimError::NotFound { .. } => StatusCode::NOT_FOUND,
            SimError::Exists { .. } => StatusCode::CONFLICT,
            SimError::Invalid { .. } => StatusCode::BAD_REQUEST,
            SimError::Bind { .. } | SimError::KeyMaterial => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, axum::Json(json!({"error": self.0.to_string()}))).into_response()
    }
}

/// What a route answers.
pub(crate) type Reply = Result<axum::Json<Value>, Refusal>;

/// Nothing to say but that it was done.
pub(crate) fn done(outcome: Result<(), SimError>) -> Reply {
    outcome?;
    Ok(axum::Json(json!({})))
}

/// A serialisable answer.
pub(crate) fn reply(value: impl serde::Serialize) -> Reply {
    Ok(axum::Json(
        serde_json::to_value(value).map_err(|error| SimError::invalid("answer", error.to_string()))?,
    ))
}

/// From which management event on.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct After {
    pub(crate) after: u64,
}

/// Management events, each with its sequence number.
pub(crate) fn events(events: Vec<(u64, Value)>) -> Reply {
    let numbered = events.into_iter().map(|(sequence, event)| json!({"sequence": sequence, "event": event}));
    reply(numbered.collect::<Vec<_>>())
}

/// Reads a JSON body, whatever its content type: curl's default shall do.
pub(crate) fn body<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, SimError> {
    serde_json::from_slice(bytes).map_err(|error| SimError::invalid("body", error.to_string()))
}

/// Reads a name from a path.
pub(crate) fn name<T: DeserializeOwned>(text: &str) -> Result<T, SimError> {
    serde_json::from_value(text.into()).map_err(|error| SimError::invalid("path", error.to_string()))
}

async fn list_faults(State(control): State<Control>) -> Reply {
    reply(control.faults())
}

async fn inject(State(control): State<Control>, bytes: Bytes) -> Reply {
    let spec: FaultSpec = body(&bytes)?;
    reply(json!({"id": control.inject(spec)}))
}

async fn clear_faults(State(control): State<Control>) -> Reply {
    control.clear_faults();
    done(Ok(()))
}

async fn clear_fault(State(control): State<Control>, Path(id): Path<u64>) -> Reply {
    done(control.clear_fault(FaultId(id)))
}

async fn list_calls(State(control): State<Control>, RawQuery(query): RawQuery) -> Reply {
    reply(control.calls(&calls::query(query.as_deref().unwrap_or_default())?))
}

async fn clear_calls(State(control): State<Control>) -> Reply {
    control.clear_calls();
    done(Ok(()))
}

async fn read_clock(State(control): State<Control>) -> Reply {
    let clock = control.clock();
    reply(json!({"now": clock.now(), "offset_seconds": clock.offset().as_secs_f64()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    seconds: f64,
}

async fn advance(State(control): State<Control>, bytes: Bytes) -> Reply {
    let Advance { seconds } = body(&bytes)?;
    let by = Duration::try_from_secs_f64(seconds)
        .map_err(|error| SimError::invalid("seconds", error.to_string()))?;
    control.advance(by);
    read_clock(State(control)).await
}
