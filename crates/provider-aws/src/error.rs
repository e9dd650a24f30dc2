//! The one table from the codes of STS and KMS to whose answer they are.
//!
//! Sources: <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>,
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>,
//! <https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html>,
//! <https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html>.

use std::error::Error;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{DispatchFailure, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;
use leasehold_provider::{Edge, Fault, KeyState, ProviderError, Throttler};

/// KMS's word for a key whose state forbids the call, whichever state that is. `DescribeKey` tells.
pub(crate) const INVALID_STATE: &str = "KMSInvalidStateException";

/// Longest wait that we believe a cloud asks for. Longer ones are as good as this: far beyond any total deadline.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Which call failed. The same code means different things after different questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// Who are we? Asked with our base identity.
    WhoAmI,
    /// May we become the role of this hop? Asked with our base identity at hop 0, with the hop before it after that.
    Assume {
        /// From 0.
        hop: usize,
    },
    /// Anything asked of KMS, with the tenant's session.
    Key,
}

impl Call {
    /// Whether it is our own credentials, rather than a session that we were just given, that sign the call.
    fn uses_base_identity(self) -> bool {
        matches!(self, Self::WhoAmI | Self::Assume { hop: 0 })
    }
}

/// What is left of an SDK's error once its type is gone.
pub(crate) fn failure<E>(call: Call, error: &SdkError<E, HttpResponse>) -> ProviderError
where
    E: ProvideErrorMetadata + Error + 'static,
    SdkError<E, HttpResponse>: RequestId,
{
    match error {
        SdkError::ServiceError(service) => {
            let raw = service.raw();
            let wait = raw.headers().get("retry-after").and_then(retry_after);
            let fault = fault(call, service.err().code(), raw.status().as_u16(), wait);
            let detail = detail(service.err().code(), service.err().message());
            ProviderError::new(fault, detail)
                .with_code(service.err().code())
                .with_request_id(error.request_id())
        }
        SdkError::ResponseError(_) => {
            ProviderError::new(Fault::Unavailable, "the cloud's answer could not be read")
                .with_request_id(error.request_id())
        }
        SdkError::DispatchFailure(failure) => dispatch(failure),
        SdkError::TimeoutError(_) => {
            ProviderError::new(Fault::Unavailable, "the cloud did not answer in time")
        }
        SdkError::ConstructionFailure(_) => ProviderError::new(
            Fault::Misconfigured,
            "the request could not be built for this region and endpoint",
        ),
        _ => ProviderError::new(Fault::Unavailable, "the call failed in a way that the SDK does not name"),
    }
}

/// What an answer means. A no has a status of a refusal: with any other it says no more than that status, whatever it says
/// besides (promise P3).
fn fault(call: Call, code: Option<&str>, status: u16, retry_after: Option<Duration>) -> Fault {
    match said(call, code, status, retry_after) {
        Fault::Denied { .. } | Fault::KeyUnusable(_) if !(400..500).contains(&status) => Fault::Unavailable,
        fault => fault,
    }
}

/// The table. `code` is the service's own, if its answer could be read.
fn said(call: Call, code: Option<&str>, status: u16, retry_after: Option<Duration>) -> Fault {
    match (code.unwrap_or_default(), call) {
        // No.
        ("AccessDenied" | "AccessDeniedException" | "NotAuthorized", Call::Assume { hop }) => {
            Fault::Denied { edge: Edge::Trust { hop } }
        }
        ("AccessDenied" | "AccessDeniedException" | "NotAuthorized", Call::Key) => {
            Fault::Denied { edge: Edge::Key }
        }
        ("AccessDenied" | "AccessDeniedException" | "NotAuthorized", Call::WhoAmI) => Fault::OwnIdentity,
        ("DisabledException", Call::Key) => Fault::KeyUnusable(KeyState::Disabled),
        ("NotFoundException", Call::Key) => Fault::KeyUnusable(KeyState::NotFound),

        // The credentials that signed the call.
        (
            "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "InvalidToken",
            call,
        ) => {
            if call.uses_base_identity() {
                Fault::OwnIdentity
            } else {
                Fault::SessionExpired
            }
        }
        // How we signed it: a wrong clock or a broken proxy on our side, whoever's credentials they were. No tenant can
        // mend it, and assuming again would not either.
        (
            "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "RequestExpired"
            | "RequestTimeTooSkewed",
            _,
        ) => Fault::OwnIdentity,

        // Slow down. HTTP 400 here, so the status says nothing.
        (
            "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "LimitExceeded"
            | "LimitExceededException"
            | "SlowDown"
            | "BandwidthLimitExceeded",
            _,
        ) => Fault::Throttled { by: Throttler::Cloud, retry_after },

        // This ciphertext, context or parameter.
        (
            "InvalidCiphertextException"
            | "IncorrectKeyException"
            | "ValidationException"
            | "ValidationError",
            Call::Key,
        ) => Fault::Rejected,

        // What the binding says cannot work.
        ("InvalidKeyUsageException" | "UnsupportedOperationException" | "InvalidArnException", Call::Key)
        | (
            "MalformedPolicyDocument"
            | "MalformedPolicyDocumentException"
            | "PackedPolicyTooLarge"
            | "PackedPolicyTooLargeException"
            | "RegionDisabledException"
            | "ValidationError"
            | "ValidationException",
            Call::Assume { .. },
        ) => Fault::Misconfigured,

        // No answer about us: KMSInternalException, KeyUnavailableException, DependencyTimeoutException,
        // KMSInvalidStateException until DescribeKey has been asked, InternalFailure, ServiceUnavailable, and every code
        // that we do not know. An unknown 4xx is among them on purpose: it must not renew a lease, which an
        // unavailability never does; and it must not end one early, because it may be a new word for a passing fault
        // or come from a proxy. If it lasts, the lease runs out within its bound, and promise P1 holds.
        _ if status == 429 => Fault::Throttled { by: Throttler::Cloud, retry_after },
        _ => Fault::Unavailable,
    }
}

/// The cloud's own words, or ours where its words repeat what we sent: a complaint about a signature quotes the
/// canonical request, session token and all.
fn detail(code: Option<&str>, message: Option<&str>) -> String {
    let message = message.unwrap_or_default();
    let quotes_request = code.is_some_and(|code| code.contains("Signature"))
        || message.to_ascii_lowercase().contains("security-token")
        || message.contains("Canonical String");
    match (code, quotes_request, message) {
        (_, true, _) => "the cloud did not accept how we signed the request".to_owned(),
        (Some(_), _, "") => "the cloud gave no reason".to_owned(),
        (None, _, "") => "the cloud's answer was not one of the service's own".to_owned(),
        (.., message) => message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
    }
}

fn dispatch(failure: &DispatchFailure) -> ProviderError {
    let source = failure.as_connector_error().map(|error| error as &(dyn Error + 'static));
    if std::iter::successors(source, |&error| error.source()).any(|error| error.is::<CredentialsError>()) {
        return ProviderError::new(Fault::OwnIdentity, "our own base credentials could not be loaded");
    }
    let detail = if failure.is_timeout() {
        "the cloud did not answer in time"
    } else {
        "the cloud could not be reached"
    };
    ProviderError::new(Fault::Unavailable, detail)
}

/// Seconds; the other form, a date, is not used by AWS.
fn retry_after(text: &str) -> Option<Duration> {
    let seconds: u64 = text.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
