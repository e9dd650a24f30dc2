//! How Azure's services put their answers and errors on the wire.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::error::AzureError;
use super::trail;
use crate::clock::Timestamp;
use crate::exchange::{self, Reply};
use crate::faults::FaultEffect;
use crate::log::{CallDecision, CallFacts};
use crate::server::Outcome;
use crate::simulator::Shared;

/// How a service writes its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Entra,
    KeyVault,
    Identity,
}

impl Dialect {
    /// The service's name in the log.
    pub(crate) fn service(self) -> &'static str {
        match self {
            Self::Entra => "entra",
            Self::KeyVault => "key_vault",
            Self::Identity => "azure_identity",
        }
    }

    /// The service's own throttling error.
    pub(crate) fn throttled(self) -> AzureError {
        let status = StatusCode::TOO_MANY_REQUESTS;
        match self {
            Self::Entra => AzureError {
                retry_after: Some(60),
                ..AzureError::entra(
                    status,
                    "temporarily_unavailable",
                    90055,
                    "The request was throttled due to excessive request rate.",
                )
            },
            Self::KeyVault => AzureError {
                retry_after: Some(10),
                ..AzureError::new(
                    status,
                    "Throttled",
                    "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached",
                )
            },
            Self::Identity => AzureError {
                retry_after: Some(1),
                ..AzureError::new(status, "too_many_requests", "Too many requests")
            },
        }
    }

    /// The error that a fault asks for. A code `Forbidden/KeyDisabled` brings its inner code.
    fn injected(self, status: u16, code: &str, message: &str) -> AzureError {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (code, inner) = match code.split_once('/') {
            Some((code, inner)) => (code, Some(inner.into())),
            None => (code, None),
        };
        let retry_after = (status == StatusCode::TOO_MANY_REQUESTS).then_some(60);
        AzureError { inner, retry_after, ..AzureError::new(status, code, message) }
    }
}

/// Serves one call: `execute` decides it, unless a fault takes its place.
pub(crate) async fn serve(
    shared: &Shared,
    dialect: Dialect,
    mut facts: CallFacts,
    execute: impl FnOnce(&mut CallFacts) -> Result<Value, AzureError>,
) -> Outcome {
    facts.service = dialect.service().to_owned();
    let request_id = uuid::Uuid::new_v4().to_string();
    let reply = |answer| reply(dialect, &answer, &request_id, shared.clock.now());
    let fault = |effect: &FaultEffect| {
        let error = match effect {
            FaultEffect::Error { status, code, message } => dialect.injected(*status, code, message),
            _ => dialect.throttled(),
        };
        reply(Err(error))
    };
    let execute = |facts: &mut CallFacts| {
        let answer = execute(facts);
        let event = answer.as_ref().ok().and_then(|_| trail::of_call(&shared.azure.read(), facts));
        Reply { event, ..reply(answer) }
    };
    exchange::run(shared, &request_id, facts, execute, fault).await
}

/// An answer on the wire, and what the log says of it.
fn reply(dialect: Dialect, answer: &Result<Value, AzureError>, request_id: &str, now: Timestamp) -> Reply {
    let error = answer.as_ref().err();
    Reply {
        response: encode(dialect, answer, request_id, now),
        decision: error.map_or(CallDecision::Allowed, |error| error.decision),
        error_code: error.map(|error| error.telling_code().to_owned()),
        error_message: error.map(|error| error.message.clone()),
        reason: error.and_then(|error| error.reason.map(str::to_owned)),
        event: None,
    }
}

fn encode(
    dialect: Dialect,
    answer: &Result<Value, AzureError>,
    request_id: &str,
    now: Timestamp,
) -> Response<Bytes> {
    let (status, body) = match answer {
        Ok(Value::Null) => (StatusCode::NO_CONTENT, String::new()),
        Ok(value) => (StatusCode::OK, value.to_string()),
        Err(error) => (error.status, error_body(dialect, error, request_id, now).to_string()),
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-cache"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-ms-request-id", id);
    }
    if dialect == Dialect::KeyVault {
        headers.insert("x-ms-keyvault-service-version", HeaderValue::from_static("1.9.2222.1"));
    }
    let error = answer.as_ref().err();
    if let Some(seconds) = error.and_then(|error| error.retry_after) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    let challenge = error.and_then(|error| error.challenge.as_deref());
    if let Some(challenge) = challenge.and_then(|text| HeaderValue::from_str(text).ok()) {
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

fn error_body(dialect: Dialect, error: &AzureError, request_id: &str, now: Timestamp) -> Value {
    match dialect {
        Dialect::Entra => entra_body(error, request_id, now),
        Dialect::KeyVault => {
            let mut body = json!({"code": error.code, "message": error.message});
            if let Some(inner) = &error.inner {
                body["innererror"] = json!({"code": inner});
            }
            json!({"error": body})
        }
        Dialect::Identity => json!({"error": error.code, "error_description": error.message}),
    }
}

/// <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow#error-response-1>. The ids
/// stand in lines of their own, and so the description is not one line in JSON without escapes; clients fall over it.
fn entra_body(error: &AzureError, request_id: &str, now: Timestamp) -> Value {
    let timestamp = now.iso().replace('T', " ");
    let correlation_id = uuid::Uuid::new_v4().to_string();
    let description = format!(
        "{}: {}\r\nTrace ID: {request_id}\r\nCorrelation ID: {correlation_id}\r\nTimestamp: {timestamp}",
        error.code, error.message
    );
    let number: Option<u32> = error.code.strip_prefix("AADSTS").and_then(|digits| digits.parse().ok());
    // An injected error brings either an AADSTS code or an OAuth error.
    let oauth = match (error.oauth, number) {
        (Some(oauth), _) => oauth,
        (None, None) => &error.code,
        (None, Some(_)) if error.status.is_server_error() => "server_error",
        (None, Some(_)) => "invalid_request",
    };
    let mut body = json!({
        "error": oauth,
        "error_description": description,
        "error_codes": number.into_iter().collect::<Vec<_>>(),
        "timestamp": timestamp,
        "trace_id": request_id,
        "correlation_id": correlation_id,
    });
    if let Some(number) = number {
        body["error_uri"] = json!(format!("https://login.microsoftonline.com/error?code={number}"));
    }
    body
}
