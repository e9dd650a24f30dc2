//! How Event Grid makes sure that an endpoint wants its events.
//!
//! Both handshakes are answered without a credential, because neither is documented to carry one. All that this gives
//! away is that Event Grid may deliver here; each delivery needs a credential.

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::problem::{Answer, Problem, answer};

const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");
const EVENT_TYPE: HeaderName = HeaderName::from_static("aeg-event-type");

/// Who may be allowed: Event Grid, in Azure's clouds.
const ORIGINS: [&str; 3] = ["eventgrid.azure.net", "eventgrid.azure.us", "eventgrid.azure.cn"];

/// Longest code that is sent back. Event Grid's are UUIDs.
const MAX_CODE: usize = 128;

/// Answers the handshake of CloudEvents
/// (<https://github.com/cloudevents/spec/blob/v1.0.1/http-webhook.md#4-abuse-protection>).
///
/// # Errors
/// [`Problem::Origin`] for anybody but Event Grid; [`Problem::Method`] for an OPTIONS that is no handshake.
pub(super) fn of_cloud_events(headers: &HeaderMap) -> Result<Answer, Problem> {
    let origin = headers.get(REQUEST_ORIGIN).ok_or(Problem::Method)?;
    let allowed =
        ORIGINS.into_iter().find(|allowed| origin.as_bytes().eq_ignore_ascii_case(allowed.as_bytes()));
    let allowed = allowed.ok_or(Problem::Origin)?;
    let mut answer = answer(StatusCode::OK, &json!({}));
    answer.headers_mut().insert(ALLOWED_ORIGIN, HeaderValue::from_static(allowed));
    // The limits here say when they are exceeded, and Event Grid waits then.
    answer.headers_mut().insert(ALLOWED_RATE, HeaderValue::from_static("*"));
    Ok(answer)
}

/// Whether a request is announced as the handshake of the Event Grid schema
/// (<https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema>).
pub(super) fn is_validation(headers: &HeaderMap) -> bool {
    headers
        .get(EVENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().eq_ignore_ascii_case(b"SubscriptionValidation"))
}

#[derive(Deserialize)]
struct Validation {
    data: ValidationData,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ValidationData {
    validation_code: String,
}

/// Answers it: the code is sent back.
///
/// # Errors
/// [`Problem::NotTheEvent`].
pub(super) fn of_event_grid(body: &[u8]) -> Result<Answer, Problem> {
    let events: Vec<Validation> = serde_json::from_slice(body).map_err(|_| Problem::NotTheEvent)?;
    let [Validation { data: ValidationData { validation_code: code } }] = &events[..] else {
        return Err(Problem::NotTheEvent);
    };
    let plain = code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match (1..=MAX_CODE).contains(&code.len()) && plain {
        true => Ok(answer(StatusCode::OK, &json!({"validationResponse": Value::from(code.as_str())}))),
        false => Err(Problem::NotTheEvent),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn event_grid_gets_its_code_back_and_nothing_else_does() {
        let event = json!([{
            "id": "1", "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "data": {"validationCode": "512D38B6-C7B8-40C8-89FE-F46F9E9622B6", "validationUrl": "https://x"},
        }]);
        let body = of_event_grid(event.to_string().as_bytes()).unwrap().into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), r#"{"validationResponse":"512D38B6-C7B8-40C8-89FE-F46F9E9622B6"}"#);
        let code = |code: &str| json!([{"data": {"validationCode": code}}]).to_string();
        for bad in
            [String::new(), "[]".into(), "{}".into(), code(""), code("<script>"), code(&"x".repeat(129))]
        {
            assert!(matches!(of_event_grid(bad.as_bytes()), Err(Problem::NotTheEvent)), "{bad}");
        }
    }

    #[test]
    fn only_event_grid_is_allowed_to_deliver() {
        let from = |origin: &str| HeaderMap::from_iter([(REQUEST_ORIGIN, origin.parse().unwrap())]);
        let allowed = of_cloud_events(&from("eventgrid.azure.net")).unwrap();
        assert_eq!(allowed.headers()[ALLOWED_ORIGIN], "eventgrid.azure.net");
        assert!(matches!(of_cloud_events(&from("evil.example")), Err(Problem::Origin)));
        assert!(matches!(of_cloud_events(&HeaderMap::new()), Err(Problem::Method)));
    }
}
