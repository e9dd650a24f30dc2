//! The table, row by row.

use aws_sdk_kms::operation::decrypt::DecryptError;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::ErrorMetadata;

use super::*;

const BASE: Call = Call::Assume { hop: 0 };
const NEXT: Call = Call::Assume { hop: 1 };

fn denied(hop: usize) -> Fault {
    Fault::Denied { edge: Edge::Trust { hop } }
}

fn throttled() -> Fault {
    Fault::Throttled { by: Throttler::Cloud, retry_after: None }
}

/// A code; its HTTP status; what it means of GetCallerIdentity, of the first hop, of the second, and of a KMS call.
type Row = (&'static str, u16, [Fault; 4]);

fn rows() -> Vec<Row> {
    use Fault::{Misconfigured, OwnIdentity, Rejected, SessionExpired, Unavailable};
    let key = || Fault::Denied { edge: Edge::Key };
    let all = |fault: Fault| [fault.clone(), fault.clone(), fault.clone(), fault];
    let on_key = |fault: Fault| [Unavailable, Unavailable, Unavailable, fault];
    let on_assume = |fault: Fault| [Unavailable, fault.clone(), fault, Unavailable];
    let credentials = || [OwnIdentity, OwnIdentity, SessionExpired, SessionExpired];
    vec![
        ("AccessDenied", 403, [OwnIdentity, denied(0), denied(1), key()]),
        ("AccessDeniedException", 400, [OwnIdentity, denied(0), denied(1), key()]),
        ("NotAuthorized", 400, [OwnIdentity, denied(0), denied(1), key()]),
        ("DisabledException", 409, on_key(Fault::KeyUnusable(KeyState::Disabled))),
        ("NotFoundException", 404, on_key(Fault::KeyUnusable(KeyState::NotFound))),
        ("ExpiredToken", 403, credentials()),
        ("ExpiredTokenException", 400, credentials()),
        ("InvalidClientTokenId", 403, credentials()),
        ("UnrecognizedClientException", 400, credentials()),
        ("InvalidToken", 400, credentials()),
        ("SignatureDoesNotMatch", 403, all(OwnIdentity)),
        ("InvalidSignatureException", 400, all(OwnIdentity)),
        ("IncompleteSignature", 400, all(OwnIdentity)),
        ("IncompleteSignatureException", 400, all(OwnIdentity)),
        ("MissingAuthenticationToken", 403, all(OwnIdentity)),
        ("MissingAuthenticationTokenException", 400, all(OwnIdentity)),
        ("RequestExpired", 400, all(OwnIdentity)),
        ("RequestTimeTooSkewed", 403, all(OwnIdentity)),
        ("Throttling", 400, all(throttled())),
        ("ThrottlingException", 400, all(throttled())),
        ("ThrottledException", 400, all(throttled())),
        ("RequestThrottled", 400, all(throttled())),
        ("RequestThrottledException", 400, all(throttled())),
        ("TooManyRequestsException", 429, all(throttled())),
        ("RequestLimitExceeded", 503, all(throttled())),
        ("LimitExceeded", 400, all(throttled())),
        ("LimitExceededException", 400, all(throttled())),
        ("SlowDown", 503, all(throttled())),
        ("BandwidthLimitExceeded", 400, all(throttled())),
        ("InvalidCiphertextException", 400, on_key(Rejected)),
        ("IncorrectKeyException", 400, on_key(Rejected)),
        ("ValidationException", 400, [Unavailable, Misconfigured, Misconfigured, Rejected]),
        ("ValidationError", 400, [Unavailable, Misconfigured, Misconfigured, Rejected]),
        ("InvalidKeyUsageException", 400, on_key(Misconfigured)),
        ("UnsupportedOperationException", 400, on_key(Misconfigured)),
        ("InvalidArnException", 400, on_key(Misconfigured)),
        ("MalformedPolicyDocument", 400, on_assume(Misconfigured)),
        ("MalformedPolicyDocumentException", 400, on_assume(Misconfigured)),
        ("PackedPolicyTooLarge", 400, on_assume(Misconfigured)),
        ("PackedPolicyTooLargeException", 400, on_assume(Misconfigured)),
        ("RegionDisabledException", 403, on_assume(Misconfigured)),
        ("KMSInvalidStateException", 409, all(Unavailable)),
        ("KeyUnavailableException", 500, all(Unavailable)),
        ("DependencyTimeoutException", 503, all(Unavailable)),
        ("KMSInternalException", 500, all(Unavailable)),
        ("InternalFailure", 500, all(Unavailable)),
        ("InternalError", 500, all(Unavailable)),
        ("ServiceUnavailable", 503, all(Unavailable)),
        ("ServiceUnavailableException", 503, all(Unavailable)),
    ]
}

#[test]
fn every_code_says_whose_answer_it_is() {
    for (code, status, meanings) in rows() {
        for (call, meaning) in [Call::WhoAmI, BASE, NEXT, Call::Key].into_iter().zip(meanings) {
            assert_eq!(fault(call, Some(code), status, None), meaning, "{code} of {call:?}");
        }
    }
}

#[test]
fn p3_an_unknown_code_neither_denies_nor_proves_whatever_its_status() {
    for status in [400, 401, 402, 403, 404, 409, 413, 418, 451, 500, 502, 503, 504, 599] {
        for call in [Call::WhoAmI, BASE, NEXT, Call::Key] {
            assert_eq!(
                fault(call, Some("SomethingNewException"), status, None),
                Fault::Unavailable,
                "{status}"
            );
            assert_eq!(fault(call, None, status, None), Fault::Unavailable, "{status} without a code");
        }
    }
}

#[test]
fn p3_nothing_denies_without_the_status_of_a_refusal_whatever_it_says() {
    for (code, _, _) in rows() {
        for call in [Call::WhoAmI, BASE, NEXT, Call::Key] {
            for status in [200, 307, 347, 500, 503, 599] {
                let fault = fault(call, Some(code), status, None);
                assert!(!ProviderError::new(fault, "").is_denial(), "{status} {code} of {call:?}");
            }
        }
    }
}

#[test]
fn an_answer_that_is_not_the_services_own_goes_by_its_http_status() {
    assert_eq!(fault(Call::Key, None, 429, None), throttled());
    assert_eq!(fault(Call::Key, None, 403, None), Fault::Unavailable, "a proxy's 403 is not the tenant's no");
}

fn sdk_error(status: u16, code: Option<&str>, message: &str) -> SdkError<DecryptError, HttpResponse> {
    let mut meta = ErrorMetadata::builder().message(message);
    if let Some(code) = code {
        meta = meta.code(code);
    }
    let meta = meta.build();
    let mut raw = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::empty());
    raw.headers_mut().insert("retry-after", "7");
    raw.headers_mut().insert("x-amzn-requestid", "req-1");
    SdkError::service_error(DecryptError::generic(meta), raw)
}

#[test]
fn every_error_keeps_the_clouds_code_request_id_words_and_wait() {
    let error = failure(Call::Key, &sdk_error(400, Some("ThrottlingException"), "Rate exceeded"));
    let retry_after = Some(Duration::from_secs(7));
    assert_eq!(error.fault(), &Fault::Throttled { by: Throttler::Cloud, retry_after });
    assert_eq!((error.code(), error.request_id()), (Some("ThrottlingException"), Some("req-1")));
    assert_eq!(error.detail(), "Rate exceeded");
}

#[test]
fn a_message_that_quotes_the_request_is_not_repeated() {
    let quoting = "The Canonical String for this request should have been 'POST x-amz-security-token:SECRET'";
    for code in [Some("SignatureDoesNotMatch"), Some("InvalidSignatureException"), Some("New"), None] {
        let error = failure(Call::Key, &sdk_error(403, code, quoting));
        assert!(!format!("{error} {error:?}").contains("SECRET"), "{code:?}");
    }
}

#[test]
fn control_characters_of_an_answer_do_not_reach_a_log() {
    let error =
        failure(Call::Key, &sdk_error(400, Some("AccessDeniedException"), "no\r\nforged line\u{1b}[2J"));
    assert_eq!(error.detail(), "no  forged line [2J");
}

#[test]
fn a_connection_that_fails_is_unavailability() {
    for source in [
        ConnectorError::io("reset".into()),
        ConnectorError::timeout("slow".into()),
        ConnectorError::user("malformed".into()),
        ConnectorError::other("strange".into(), None),
    ] {
        let error: SdkError<DecryptError, HttpResponse> = SdkError::dispatch_failure(source);
        assert_eq!(failure(BASE, &error).fault(), &Fault::Unavailable);
    }
}

#[test]
fn base_credentials_that_cannot_be_loaded_are_our_own_affair() {
    for source in [
        CredentialsError::not_loaded_no_source(),
        CredentialsError::provider_timed_out(Duration::from_secs(5)),
        CredentialsError::invalid_configuration("profile"),
        CredentialsError::provider_error("imds"),
        CredentialsError::unhandled("?"),
    ] {
        let error: SdkError<DecryptError, HttpResponse> =
            SdkError::dispatch_failure(ConnectorError::other(source.into(), None));
        assert_eq!(failure(BASE, &error).fault(), &Fault::OwnIdentity);
    }
}

#[test]
fn answers_that_cannot_be_read_or_do_not_come_are_unavailability() {
    let raw = HttpResponse::new(StatusCode::try_from(200).unwrap(), SdkBody::empty());
    let unreadable: SdkError<DecryptError, HttpResponse> = SdkError::response_error("not json", raw);
    assert_eq!(failure(Call::Key, &unreadable).fault(), &Fault::Unavailable);
    let late: SdkError<DecryptError, HttpResponse> = SdkError::timeout_error("late");
    assert_eq!(failure(Call::Key, &late).fault(), &Fault::Unavailable);
}

#[test]
fn waits_are_read_as_seconds_and_bounded() {
    assert_eq!(retry_after(" 60 "), Some(Duration::from_secs(60)));
    assert_eq!(retry_after("99999999999"), Some(LONGEST_WAIT));
    for bad in ["", "soon", "-1", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT"] {
        assert_eq!(retry_after(bad), None, "{bad}");
    }
}
