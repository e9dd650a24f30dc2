//! The one table from what goes wrong to what a feed is answered.
//!
//! Feeds try again after 429 and 5xx, and some after anything but 2xx; what trying again cannot help is a 4xx.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use http_body_util::Full;
use leasehold_service::ServiceError;
use serde_json::{Value, json};
use tonic::Code;
use tonic_types::StatusExt;

use super::callers::Stranger;
use super::jwks::FETCH_EVERY;
use crate::status::Refusal;

/// The methods that a tenant's URL knows.
const METHODS: &str = "OPTIONS, POST";

/// How long to wait for what usually passes within a second.
const SOON: Duration = Duration::from_secs(1);

/// Why a request is not done. The text is what the feed reads.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("there is nothing here; ask POST /v1/tenants/{{tenant}}:reprove")]
    NoSuchPath,
    #[error("this is asked with POST")]
    Method,
    #[error("present a secret or a token that is known here")]
    Stranger(#[source] Stranger),
    #[error("whose token this is cannot be told at present; try again")]
    Untold,
    #[error("this origin may not send events here")]
    Origin,
    #[error("this is not a tenant id")]
    NotATenant,
    #[error("the body is larger than 64 KiB")]
    TooLarge,
    #[error("the body did not arrive whole")]
    Body,
    #[error("the request did not arrive in time")]
    Slow,
    #[error("this is not the event that it is announced as")]
    NotTheEvent,
    #[error("too many requests; try again later")]
    TooMany(Duration),
    #[error("the request was not done in time; try again")]
    Deadline,
    #[error("too many tenants are being proven; try again")]
    Full,
    #[error("this replica is shutting down; another one answers")]
    ShuttingDown,
    #[error(transparent)]
    Service(#[from] ServiceError),
}

/// What is answered.
pub(super) type Answer = Response<Full<Bytes>>;

/// An answer in JSON.
pub(super) fn answer(status: StatusCode, body: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

impl Problem {
    /// What the feed is answered.
    pub(super) fn answer(self) -> Answer {
        let Row { status, reason, message, retry } = self.row();
        let error = json!({"code": status.as_u16(), "reason": reason, "message": message});
        let mut answer = answer(status, &json!({"error": error}));
        let headers = answer.headers_mut();
        for (name, value) in self.headers() {
            headers.append(name, value);
        }
        if let Some(pause) = retry {
            // Whole seconds, and never sooner than is meant.
            headers.insert(RETRY_AFTER, HeaderValue::from(pause.as_secs_f64().ceil().max(1.0) as u64));
        }
        answer
    }

    /// Why, for programs; none if the service decided it, and so recorded it.
    pub(super) fn undecided(&self) -> Option<&'static str> {
        match self {
            Self::Service(_) => None,
            other => Some(other.row().reason),
        }
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        match self {
            Self::Method => vec![(ALLOW, HeaderValue::from_static(METHODS))],
            Self::Stranger(_) => [r#"Bearer realm="leasehold""#, r#"Basic realm="leasehold""#]
                .map(|challenge| (WWW_AUTHENTICATE, HeaderValue::from_static(challenge)))
                .into(),
            _ => Vec::new(),
        }
    }

    fn row(&self) -> Row {
        let (status, reason, retry) = match self {
            Self::NoSuchPath => (StatusCode::NOT_FOUND, "NO_SUCH_PATH", None),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", None),
            Self::Stranger(_) => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", None),
            Self::Untold => (StatusCode::SERVICE_UNAVAILABLE, "ISSUER_UNAVAILABLE", Some(FETCH_EVERY)),
            Self::Origin => (StatusCode::FORBIDDEN, "ORIGIN_NOT_ALLOWED", None),
            Self::NotATenant => (StatusCode::BAD_REQUEST, "INVALID_FIELD", None),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", None),
            Self::Body | Self::NotTheEvent => (StatusCode::BAD_REQUEST, "MALFORMED_BODY", None),
            Self::Slow => (StatusCode::REQUEST_TIMEOUT, "TOO_SLOW", None),
            Self::TooMany(pause) => (StatusCode::TOO_MANY_REQUESTS, "OVER_LIMIT", Some(*pause)),
            Self::Deadline => (StatusCode::SERVICE_UNAVAILABLE, "DEADLINE_EXCEEDED", Some(SOON)),
            Self::Full => (StatusCode::SERVICE_UNAVAILABLE, "OVER_LIMIT", Some(SOON)),
            Self::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "SHUTTING_DOWN", Some(SOON)),
            Self::Service(error) => return of_service(error),
        };
        Row { status, reason, message: self.to_string(), retry }
    }
}

struct Row {
    status: StatusCode,
    reason: &'static str,
    message: String,
    retry: Option<Duration>,
}

/// As the gRPC method refuses, in the words of HTTP.
fn of_service(error: &ServiceError) -> Row {
    let refusal = Refusal::from(error.clone());
    let told = refusal.status("");
    let status = match told.code() {
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::InvalidArgument => StatusCode::BAD_REQUEST,
        Code::FailedPrecondition | Code::Aborted | Code::AlreadyExists => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable | Code::DeadlineExceeded => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let retry = told.get_details_retry_info().and_then(|info| info.retry_delay);
    Row { status, reason: refusal.reason().wire_name(), message: told.message().to_owned(), retry }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_is_answered_as_feeds_understand_it() {
        let stranger = || Problem::Stranger(Stranger::Nobody);
        let unknown = ServiceError::UnknownTenant("absent".parse().unwrap());
        for (problem, status, reason, retry) in [
            (Problem::NoSuchPath, 404, "NO_SUCH_PATH", None),
            (Problem::Method, 405, "METHOD_NOT_ALLOWED", None),
            (stranger(), 401, "UNAUTHENTICATED", None),
            (Problem::TooLarge, 413, "BODY_TOO_LARGE", None),
            (Problem::TooMany(Duration::from_millis(4_100)), 429, "OVER_LIMIT", Some("5")),
            (Problem::TooMany(Duration::ZERO), 429, "OVER_LIMIT", Some("1")),
            (Problem::ShuttingDown, 503, "SHUTTING_DOWN", Some("1")),
            (ServiceError::PermissionDenied.into(), 403, "CALLER_NOT_ALLOWED", None),
            (unknown.into(), 404, "TENANT_NOT_FOUND", None),
            (ServiceError::TenantSuspended.into(), 409, "TENANT_SUSPENDED", None),
        ] {
            let row = problem.row();
            assert_eq!((row.status.as_u16(), row.reason), (status, reason));
            let answer = problem.answer();
            assert_eq!(answer.headers().get(RETRY_AFTER).map(|v| v.to_str().unwrap()), retry, "{reason}");
        }
        assert_eq!(stranger().answer().headers().get_all(WWW_AUTHENTICATE).iter().count(), 2);
        assert_eq!(Problem::Method.answer().headers()[ALLOW], METHODS);
    }
}
