//! The table, row by row.

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;

fn trust() -> Fault {
    Fault::Denied { edge: Edge::Trust { hop: 1 } }
}

fn key() -> Fault {
    Fault::Denied { edge: Edge::Key }
}

fn throttled(retry_after: Option<u64>) -> Fault {
    Fault::Throttled { by: Throttler::Cloud, retry_after: retry_after.map(Duration::from_secs) }
}

/// An answer as Google lays it out.
fn answer(status: &str, message: &str, details: &Value) -> Bytes {
    json!({ "error": { "code": 400, "status": status, "message": message, "details": details } })
        .to_string()
        .into()
}

fn reason(reason: &str) -> Value {
    json!([{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com" }])
}

fn violation(kind: &str) -> Value {
    json!([{
        "@type": "type.googleapis.com/google.rpc.PreconditionFailure",
        "violations": [{ "type": kind, "subject": "projects/p", "description": "d" }],
    }])
}

fn read(http: u16, body: &Bytes) -> Refusal {
    Refusal::read(http, &HeaderMap::new(), body)
}

/// A status; its details; its message; what it means of our own identity, of an assume, of a look at the key, of its use.
type Row = (&'static str, Value, &'static str, [Fault; 4]);

fn none() -> Value {
    json!([])
}

fn all(fault: Fault) -> [Fault; 4] {
    [fault.clone(), fault.clone(), fault.clone(), fault]
}

/// What says no to whoever calls, in the project that is charged for the call.
fn charged() -> [Fault; 4] {
    [Fault::OwnIdentity, Fault::OwnIdentity, key(), key()]
}

/// Codes about who calls, and for what.
fn identity_rows() -> Vec<Row> {
    use Fault::{KeyUnusable, OwnIdentity, SessionExpired, Unavailable};
    let denied = || [OwnIdentity, trust(), key(), key()];
    vec![
        ("PERMISSION_DENIED", none(), "", denied()),
        ("PERMISSION_DENIED", reason("IAM_PERMISSION_DENIED"), "", denied()),
        ("PERMISSION_DENIED", reason("SECURITY_POLICY_VIOLATED"), "", denied()),
        ("PERMISSION_DENIED", reason("SOMETHING_NEW"), "", denied()),
        ("PERMISSION_DENIED", reason("SERVICE_DISABLED"), "", charged()),
        ("PERMISSION_DENIED", reason("BILLING_DISABLED"), "", charged()),
        ("PERMISSION_DENIED", reason("CONSUMER_INVALID"), "", charged()),
        ("PERMISSION_DENIED", reason("CONSUMER_SUSPENDED"), "", charged()),
        ("PERMISSION_DENIED", reason("USER_PROJECT_DENIED"), "", charged()),
        (
            "PERMISSION_DENIED",
            reason("ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
            "",
            [OwnIdentity, OwnIdentity, Unavailable, Unavailable],
        ),
        ("UNAUTHENTICATED", none(), "", [OwnIdentity, OwnIdentity, SessionExpired, SessionExpired]),
        (
            "UNAUTHENTICATED",
            reason("ACCESS_TOKEN_EXPIRED"),
            "",
            [OwnIdentity, OwnIdentity, SessionExpired, SessionExpired],
        ),
        ("UNAUTHENTICATED", reason("ACCOUNT_STATE_INVALID"), "", [OwnIdentity, OwnIdentity, key(), key()]),
        (
            "NOT_FOUND",
            none(),
            "",
            [OwnIdentity, trust(), KeyUnusable(KeyState::NotFound), KeyUnusable(KeyState::NotFound)],
        ),
    ]
}

/// Codes about the key, what is wrapped, and the service.
fn key_rows() -> Vec<Row> {
    use Fault::{KeyUnusable, Misconfigured, OwnIdentity, Rejected, Unavailable};
    let state = |fault: Fault| [OwnIdentity, trust(), fault.clone(), fault];
    let gone = || KeyUnusable(KeyState::PendingDeletion);
    vec![
        ("FAILED_PRECONDITION", violation("KEY_DISABLED"), "", state(KeyUnusable(KeyState::Disabled))),
        ("FAILED_PRECONDITION", violation("KEY_DESTROY_SCHEDULED"), "", state(gone())),
        ("FAILED_PRECONDITION", violation("KEY_DESTROYED"), "", state(KeyUnusable(KeyState::NotFound))),
        ("FAILED_PRECONDITION", violation("KEY_PENDING_IMPORT"), "", state(gone())),
        ("FAILED_PRECONDITION", violation("KEY_IMPORT_FAILED"), "", state(gone())),
        ("FAILED_PRECONDITION", violation("KEY_PENDING_EXTERNAL_DESTRUCTION"), "", state(gone())),
        (
            "FAILED_PRECONDITION",
            violation("KEY_GENERATION_FAILED"),
            "",
            state(KeyUnusable(KeyState::NotFound)),
        ),
        ("FAILED_PRECONDITION", violation("KEY_PENDING_GENERATION"), "", state(Unavailable)),
        (
            "FAILED_PRECONDITION",
            none(),
            "projects/p/… is not enabled, current state is: DISABLED.",
            state(KeyUnusable(KeyState::Disabled)),
        ),
        ("FAILED_PRECONDITION", none(), "current state is: DESTROY_SCHEDULED.", state(gone())),
        ("FAILED_PRECONDITION", none(), "", state(Unavailable)),
        ("FAILED_PRECONDITION", reason("SERVICE_DISABLED"), "", charged()),
        (
            "INVALID_ARGUMENT",
            none(),
            "Decryption failed",
            [Misconfigured, Misconfigured, Misconfigured, Rejected],
        ),
        (
            "INVALID_ARGUMENT",
            none(),
            "The checksum in field ciphertext_crc32c did not match",
            all(Unavailable),
        ),
        ("RESOURCE_EXHAUSTED", none(), "", all(throttled(None))),
        (
            "RESOURCE_EXHAUSTED",
            json!([{ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s" }]),
            "",
            all(throttled(Some(7))),
        ),
        ("UNAVAILABLE", none(), "", all(Unavailable)),
        ("INTERNAL", none(), "", all(Unavailable)),
        ("DEADLINE_EXCEEDED", none(), "", all(Unavailable)),
        ("ABORTED", none(), "", all(Unavailable)),
        ("CANCELLED", none(), "", all(Unavailable)),
        ("UNIMPLEMENTED", none(), "", all(Unavailable)),
        ("OUT_OF_RANGE", none(), "", all(Unavailable)),
        ("ALREADY_EXISTS", none(), "", all(Unavailable)),
        ("DATA_LOSS", none(), "", all(Unavailable)),
        ("UNKNOWN", none(), "", all(Unavailable)),
    ]
}

/// Two violations, as a key in an external key manager has them.
fn violations(state: &str, external: &str) -> Value {
    let mut details = violation(state);
    let second = json!({ "type": external, "subject": "projects/p", "description": "d" });
    details[0]["violations"].as_array_mut().unwrap().push(second);
    details
}

/// What comes of keys in external key managers.
fn external_rows() -> Vec<Row> {
    use Fault::{KeyUnusable, OwnIdentity, Unavailable};
    let of_key = |fault: Fault| [OwnIdentity, trust(), fault.clone(), fault];
    let external = |kind| violations("KEY_ENABLED", kind);
    let gone = || KeyUnusable(KeyState::NotFound);
    let version = || Fault::Denied { edge: Edge::Version };
    vec![
        (
            "FAILED_PRECONDITION",
            external("EXTERNAL_PERMISSION_DENIED"),
            "Permission was denied when accessing the key.",
            of_key(version()),
        ),
        ("FAILED_PRECONDITION", violation("EXTERNAL_PERMISSION_DENIED"), "", of_key(version())),
        (
            "FAILED_PRECONDITION",
            violations("KEY_PENDING_GENERATION", "EXTERNAL_PERMISSION_DENIED"),
            "",
            of_key(version()),
        ),
        ("FAILED_PRECONDITION", external("EXTERNAL_NOT_FOUND"), "Could not find a key.", of_key(gone())),
        (
            "FAILED_PRECONDITION",
            external("EXTERNAL_NOT_FOUND"),
            "Could not query EKM host.",
            of_key(Unavailable),
        ),
        (
            "FAILED_PRECONDITION",
            violations("KEY_DISABLED", "EXTERNAL_SOMETHING_NEW"),
            "",
            of_key(KeyUnusable(KeyState::Disabled)),
        ),
        ("FAILED_PRECONDITION", external("EXTERNAL_SOMETHING_NEW"), "", of_key(Unavailable)),
        ("FAILED_PRECONDITION", violation("SOMETHING_NEW"), "", of_key(Unavailable)),
    ]
}

const CALLS: [Call; 4] = [Call::WhoAmI, Call::Assume, Call::Look, Call::Use];

#[test]
fn every_code_says_whose_answer_it_is() {
    for (status, details, message, meanings) in
        identity_rows().into_iter().chain(key_rows()).chain(external_rows())
    {
        let refusal = read(400, &answer(status, message, &details));
        for (call, meaning) in CALLS.into_iter().zip(meanings) {
            assert_eq!(refusal.fault(call, 1), meaning, "{status} {details} {message:?} of {call:?}");
        }
    }
}

#[test]
fn p3_an_unknown_code_neither_denies_nor_proves_whatever_its_status() {
    for http in [400, 401, 402, 403, 404, 407, 409, 412, 418, 451, 500, 502, 503, 504, 599] {
        for body in [
            answer("POLARITY_REVERSED", "no", &json!([])),
            json!({ "error": { "code": http } }).to_string().into(),
            "<html>Access Denied by corporate policy</html>".into(),
            Bytes::new(),
        ] {
            for call in CALLS {
                assert_eq!(
                    read(http, &body).fault(call, 0),
                    Fault::Unavailable,
                    "{http} {body:?} of {call:?}"
                );
            }
        }
    }
}

#[test]
fn p3_nothing_denies_without_the_status_of_a_refusal_whatever_it_says() {
    for (status, details, message, _) in identity_rows().into_iter().chain(key_rows()).chain(external_rows())
    {
        for http in [307, 347, 500, 503, 599] {
            let refusal = read(http, &answer(status, message, &details));
            for call in CALLS {
                let error = ProviderError::new(refusal.fault(call, 1), "");
                assert!(!error.is_denial(), "{http} {status} {details} {message:?} of {call:?}");
            }
        }
    }
}

#[test]
fn an_answer_that_is_not_googles_own_goes_by_its_http_status() {
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", "60".parse().unwrap());
    let refusal = Refusal::read(429, &headers, &"slow down".into());
    assert_eq!(refusal.fault(Call::Use, 0), throttled(Some(60)));
}

#[test]
fn every_error_keeps_status_reason_words_and_a_request_id() {
    let id = CallId::new();
    let refusal =
        read(403, &answer("PERMISSION_DENIED", "not\r\nyou\u{1b}[2J", &reason("IAM_PERMISSION_DENIED")));
    let error = refusal.failure(Call::Use, 0, &id);
    assert_eq!(error.code(), Some("PERMISSION_DENIED/IAM_PERMISSION_DENIED"));
    assert_eq!(error.request_id(), Some(id.as_str()), "ours, which Google writes into the audit log");
    assert_eq!(error.detail(), "not  you [2J");
    let precondition = read(400, &answer("FAILED_PRECONDITION", "", &violation("KEY_DISABLED")));
    let error = precondition.failure(Call::Use, 0, &id);
    assert_eq!(error.code(), Some("FAILED_PRECONDITION/KEY_DISABLED"));
    let details = violations("KEY_ENABLED", "EXTERNAL_PERMISSION_DENIED");
    let external = read(400, &answer("FAILED_PRECONDITION", "", &details)).failure(Call::Use, 0, &id);
    assert_eq!(external.code(), Some("FAILED_PRECONDITION/EXTERNAL_PERMISSION_DENIED"));
    let given = json!([{ "@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "theirs" }]);
    let error = read(500, &answer("INTERNAL", "", &given)).failure(Call::Use, 0, &id);
    assert_eq!(error.request_id(), Some("theirs"));
}

#[test]
fn a_refusal_names_what_it_is_about() {
    let details = json!([{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "IAM_PERMISSION_DENIED", "domain": "iam.googleapis.com",
        "metadata": { "resource": "projects/-/serviceAccounts/a@p.iam.gserviceaccount.com" },
    }]);
    let refusal = read(403, &answer("PERMISSION_DENIED", "", &details));
    assert!(refusal.names("a@p.iam.gserviceaccount.com") && !refusal.names("b@p.iam.gserviceaccount.com"));
}

#[test]
fn a_service_account_is_not_taken_for_one_whose_name_ends_like_its_own() {
    let says = |message: &str| read(403, &answer("PERMISSION_DENIED", message, &json!([])));
    const NAMED: &str = "leasehold@p.iam.gserviceaccount.com";
    for message in [
        NAMED.to_owned(),
        format!("Permission denied on '{NAMED}'."),
        format!("Gaia id not found for email {NAMED}."),
        format!("projects/-/serviceAccounts/{NAMED}: no"),
    ] {
        assert!(says(&message).names(NAMED), "{message}");
    }
    for message in [
        format!("acme-{NAMED}"),
        format!("x.{NAMED}"),
        format!("{NAMED}.evil.example"),
        "leasehold@p".to_owned(),
    ] {
        assert!(!says(&message).names(NAMED), "{message}");
    }
}

#[test]
fn waits_are_read_as_seconds_and_bounded() {
    let wait = |text: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", text.parse().unwrap());
        retry_after(&headers)
    };
    assert_eq!(wait(" 60 "), Some(Duration::from_secs(60)));
    assert_eq!(wait("99999999999"), Some(LONGEST_WAIT));
    for bad in ["", "soon", "-1", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT"] {
        assert_eq!(wait(bad), None, "{bad}");
    }
}

#[test]
fn credentials_that_cannot_be_loaded_are_our_own_affair() {
    let error = base_failure(&CredentialsError::from_msg(false, "no such file"));
    assert_eq!(error.fault(), &Fault::OwnIdentity);
    let error = base_failure(&CredentialsError::from_msg(true, "try again"));
    assert_eq!(error.fault(), &Fault::Unavailable);
}

#[test]
fn what_the_sdk_says_about_a_token_is_not_repeated() {
    let error = base_failure(&CredentialsError::from_msg(false, "body=<{\"id_token\":\"SECRET\"}>"));
    assert!(!format!("{error} {error:?}").contains("SECRET"));
}

#[test]
fn an_sdk_error_without_an_answer_is_unavailability() {
    use google_cloud_gax::error::Error as Gax;
    let id = CallId::new();
    for error in [
        Gax::timeout("late"),
        Gax::io("reset"),
        Gax::connect("refused"),
        Gax::deser("garbled"),
        Gax::transport(HeaderMap::new(), "cut"),
        Gax::http(403, HeaderMap::new(), "<html>".into()),
    ] {
        assert_eq!(failure(Call::Use, &error, &id).fault(), &Fault::Unavailable, "{error}");
    }
    let throttle = Gax::http(429, HeaderMap::new(), Bytes::new());
    assert_eq!(failure(Call::Use, &throttle, &id).fault(), &throttled(None));
}
