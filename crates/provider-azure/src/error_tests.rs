//! The table, row by row.

use azure_core::http::headers::{HeaderName, Headers};
use azure_core::http::{RawResponse, StatusCode};
use serde_json::json;

use super::*;

const ALL: [Call; 5] = [Call::Platform, Call::WhoAmI, Call::Assume, Call::Look, Call::Use];

fn denied() -> Fault {
    Fault::Denied { edge: Edge::Trust { hop: 0 } }
}

fn throttled(retry_after: Option<u64>) -> Fault {
    Fault::Throttled { by: Throttler::Cloud, retry_after: retry_after.map(Duration::from_secs) }
}

fn answer(status: u16, body: impl ToString) -> Error {
    let mut headers = Headers::new();
    headers.insert(HeaderName::from_static("x-ms-request-id"), "req-1");
    headers.insert(HeaderName::from_static("retry-after"), "7");
    let status = StatusCode::from(status);
    let raw = RawResponse::from_bytes(status, headers, body.to_string());
    let kind = ErrorKind::HttpResponse { status, error_code: None, raw_response: Some(Box::new(raw)) };
    Error::with_message(kind, "refused")
}

fn of_entra(code: u32) -> Error {
    let body = json!({
        "error": "invalid_client",
        "error_description": format!("AADSTS{code}: No. Trace ID: t-1 Correlation ID: c-1 Timestamp: 2026-11-21 00:00:00Z"),
        "error_codes": [code], "trace_id": "t-1", "correlation_id": "c-1",
    });
    let inner = answer(if code == 90002 { 400 } else { 401 }, body);
    Error::with_error(ErrorKind::Credential, inner, "ClientAssertionCredential authentication failed")
}

fn of_vault(status: u16, code: &str, inner: Option<&str>, message: &str) -> Error {
    let inner = inner.map(|code| json!({ "code": code }));
    answer(status, json!({ "error": { "code": code, "message": message, "innererror": inner } }))
}

/// A code of Entra, and what it means in our own directory and in the tenant's.
fn entra_rows() -> Vec<(u32, Fault, Fault)> {
    use Fault::OwnIdentity;
    let own = [
        7000215, 7000222, 7000216, 7000218, 700027, 700024, 700021, 700023, 700025, 700030, 50027, 50013,
        70021, 700211, 700212, 700213, 700222, 700229, 700236,
    ];
    let no = [
        700016, 700011, 7000112, 7000229, 65001, 500014, 501051, 50105, 53003, 530035, 50076, 50079, 90002,
        900023, 500011,
    ];
    let mut rows: Vec<_> = own.into_iter().map(|code| (code, OwnIdentity, OwnIdentity)).collect();
    rows.extend(no.into_iter().map(|code| (code, OwnIdentity, denied())));
    rows.push((50196, throttled(Some(7)), throttled(Some(7))));
    rows.push((90055, throttled(Some(7)), throttled(Some(7))));
    rows
}

#[test]
fn every_code_of_entra_says_whose_answer_it_is() {
    for (code, at_home, at_tenants) in entra_rows() {
        for (call, expected) in [(Call::WhoAmI, at_home), (Call::Assume, at_tenants)] {
            let error = failure(call, &of_entra(code), None);
            assert_eq!(error.fault(), &expected, "AADSTS{code} of {call:?}");
            assert_eq!(error.code(), Some(format!("AADSTS{code}").as_str()));
            assert_eq!(
                (error.request_id(), error.detail()),
                (Some("t-1"), format!("AADSTS{code}: No.").as_str())
            );
        }
    }
}

/// HTTP status, outer and inner code, message; what it means when we look at the key, and when we use it.
type Row = (u16, &'static str, Option<&'static str>, &'static str, Fault, Fault);

fn vault_rows() -> Vec<Row> {
    use Fault::{KeyUnusable, Misconfigured, Rejected, SessionExpired, Unavailable};
    let both =
        |status, code, inner, message, fault: Fault| (status, code, inner, message, fault.clone(), fault);
    let key = || Fault::Denied { edge: Edge::Key };
    let disabled = || KeyUnusable(KeyState::Disabled);
    vec![
        both(
            401,
            "Unauthorized",
            None,
            "AKV10000: Request is missing a Bearer or PoP token.",
            SessionExpired,
        ),
        both(401, "Unauthorized", Some("TokenExpired"), "", SessionExpired),
        both(401, "Unauthorized", None, "AKV10032: Invalid issuer. Expected one of ...", key()),
        both(403, "Forbidden", Some("ForbiddenByRbac"), "Caller is not authorized", key()),
        both(403, "Forbidden", Some("ForbiddenByPolicy"), "", key()),
        both(403, "Forbidden", Some("AccessDenied"), "does not have keys get permission", key()),
        both(403, "Forbidden", Some("ForbiddenByFirewall"), "Client address is not authorized", key()),
        both(403, "Forbidden", Some("ForbiddenByConnection"), "Public network access is disabled", key()),
        both(403, "Forbidden", Some("KeyOperationForbidden"), "", key()),
        both(403, "Forbidden", None, "Caller not authorized", key()),
        both(403, "Forbidden", Some("KeyDisabled"), "", disabled()),
        both(403, "Forbidden", Some("KeyNotYetValid"), "", KeyUnusable(KeyState::NotYetValid)),
        both(403, "Forbidden", Some("KeyExpired"), "", KeyUnusable(KeyState::Expired)),
        both(403, "Forbidden", Some("SomethingNew"), "", Unavailable),
        both(404, "KeyNotFound", None, "", KeyUnusable(KeyState::NotFound)),
        both(
            409,
            "Conflict",
            Some("ObjectIsDeletedButRecoverable"),
            "",
            KeyUnusable(KeyState::PendingDeletion),
        ),
        both(409, "Conflict", Some("ObjectIsBeingDeleted"), "", KeyUnusable(KeyState::PendingDeletion)),
        both(409, "Conflict", Some("ObjectIsBeingRecovered"), "", Unavailable),
        (400, "BadParameter", None, "", Misconfigured, Rejected),
        both(429, "Throttled", None, "", throttled(Some(7))),
        both(403, "Throttled", None, "", throttled(Some(7))),
        both(500, "InternalServerError", None, "", Unavailable),
        both(503, "ServiceUnavailable", None, "", Unavailable),
        // A status of its own says more than a code that was made up on the way.
        both(502, "Forbidden", Some("ForbiddenByRbac"), "", Unavailable),
        both(307, "Forbidden", Some("ForbiddenByRbac"), "", Unavailable),
    ]
}

#[test]
fn every_code_of_key_vault_says_whose_answer_it_is() {
    for (status, code, inner, message, looking, using) in vault_rows() {
        for (call, expected) in [(Call::Look, looking), (Call::Use, using)] {
            let error = failure(call, &of_vault(status, code, inner, message), None);
            assert_eq!(error.fault(), &expected, "{status} {code} {inner:?} of {call:?}");
            assert_eq!((error.code(), error.request_id()), (inner.or(Some(code)), Some("req-1")));
        }
    }
}

#[test]
fn the_innermost_code_is_the_one_that_counts() {
    let nested = json!({ "error": { "code": "Forbidden", "innererror": { "code": "Outer", "innererror": { "code": "KeyDisabled" } } } });
    let error = failure(Call::Use, &answer(403, nested), None);
    assert_eq!((error.fault(), error.code()), (&Fault::KeyUnusable(KeyState::Disabled), Some("KeyDisabled")));
}

#[test]
fn p3_an_unknown_code_neither_denies_nor_proves_whatever_its_status() {
    for status in [400, 401, 402, 403, 404, 409, 413, 418, 451, 500, 502, 503, 504, 599] {
        for call in [Call::WhoAmI, Call::Assume] {
            let body = json!({ "error": "unauthorized_client", "error_description": "New.", "error_codes": [123456] });
            assert_eq!(failure(call, &answer(status, body), None).fault(), &Fault::Unavailable, "{status}");
        }
        for call in [Call::Look, Call::Use] {
            let error = of_vault(status, "SomethingNew", Some("ForbiddenByRbac"), "");
            assert_eq!(failure(call, &error, None).fault(), &Fault::Unavailable, "{status}");
        }
    }
}

#[test]
fn what_a_proxy_says_is_not_what_the_tenant_says() {
    for status in [400, 401, 403, 404, 407, 502] {
        for body in
            ["<html>Access denied</html>", "", "null", "{}", "[]", "{\"error\":{}}", "{\"error\":\"x\"}"]
        {
            for call in [Call::WhoAmI, Call::Assume, Call::Look, Call::Use] {
                let error = failure(call, &answer(status, body), None);
                assert_eq!(
                    (error.fault(), error.code()),
                    (&Fault::Unavailable, None),
                    "{status} {body} {call:?}"
                );
            }
        }
    }
    for call in ALL {
        assert_eq!(failure(call, &answer(429, "<html>"), None).fault(), &throttled(Some(7)));
    }
}

#[test]
fn the_platforms_refusals_are_our_own_affair() {
    for (status, expected) in [
        (400, Fault::OwnIdentity),
        (403, Fault::OwnIdentity),
        (404, Fault::Unavailable),
        (410, Fault::Unavailable),
        (429, throttled(Some(7))),
        (500, Fault::Unavailable),
    ] {
        assert_eq!(failure(Call::Platform, &answer(status, "{}"), None).fault(), &expected, "{status}");
    }
}

#[test]
fn an_answer_that_the_sdk_could_not_read_goes_by_its_head() {
    let unread = Error::with_message(ErrorKind::DataConversion, "expected value");
    let head = |status| Head { status, request_id: Some("req-2".into()), retry_after: Some("60".into()) };
    let error = failure(Call::Assume, &unread, Some(&head(429)));
    assert_eq!((error.fault(), error.request_id()), (&throttled(Some(60)), Some("req-2")));
    for status in [200, 403, 502] {
        assert_eq!(failure(Call::Assume, &unread, Some(&head(status))).fault(), &Fault::Unavailable);
    }
}

#[test]
fn no_answer_is_unavailability() {
    for kind in [
        ErrorKind::Connection,
        ErrorKind::Io,
        ErrorKind::DataConversion,
        ErrorKind::Credential,
        ErrorKind::Other,
    ] {
        for call in ALL {
            let error = Error::with_error(ErrorKind::Credential, Error::with_message(kind.clone(), "x"), "y");
            assert_eq!(failure(call, &error, None).fault(), &Fault::Unavailable);
        }
    }
}

#[test]
fn control_characters_of_an_answer_do_not_reach_a_log() {
    let error = failure(Call::Use, &of_vault(403, "Forbidden", None, "no\u{1b}[2J\r\nforged line"), None);
    assert_eq!(error.detail(), "no [2J");
}

#[test]
fn waits_are_read_as_seconds_and_bounded() {
    assert_eq!(retry_after(" 60 "), Some(Duration::from_secs(60)));
    assert_eq!(retry_after("99999999999"), Some(LONGEST_WAIT));
    for bad in ["", "soon", "-1", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT"] {
        assert_eq!(retry_after(bad), None, "{bad}");
    }
}
