//! Why a call gave nothing.

use std::time::Duration;

use leasehold_api::v1::ErrorReason;
use leasehold_secret::SecretError;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Why a call gave nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The service, or the way to it, refused. Ask the [`Refusal`] whose affair it is.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The service gave an answer that makes no sense; it is probably of another version.
    #[error("the service's answer cannot be understood: {0}")]
    Answer(&'static str),
    /// The key could not be held in locked memory.
    #[error("the key cannot be held")]
    Secret(#[source] SecretError),
    /// The lease ended while the key was on its way; the key was wiped. Asking again says how things are.
    #[error("the lease ended while the answer was on its way")]
    LeaseOver,
}

/// A failed call, taken apart.
#[derive(Debug, Clone)]
pub struct Refusal {
    code: Code,
    message: Box<str>,
    reason: Option<ErrorReason>,
    metadata: std::collections::HashMap<String, String>,
    retry_after: Option<Duration>,
    lost_its_connection: bool,
}

impl Refusal {
    /// The status code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The service's message, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The service's reason, for programs; none if the way to the service failed, or for a reason that this release does not
    /// know.
    #[must_use]
    pub fn reason(&self) -> Option<ErrorReason> {
        self.reason
    }

    /// What the service added to the reason: `cloud_code`, `cloud_request_id`, `edge`.
    #[must_use]
    pub fn metadata(&self) -> &std::collections::HashMap<String, String> {
        &self.metadata
    }

    /// How long the service asks us to wait before trying again; none if it does not say that trying again helps.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether the tenant's cloud said no.
    #[must_use]
    pub fn is_denial(&self) -> bool {
        use ErrorReason::{BindingDenied, KeyUnusable, RequestDenied};
        matches!(self.reason, Some(BindingDenied | KeyUnusable | RequestDenied))
    }

    /// Whether it was the connection that ended and not the service that answered. The service closes connections that
    /// carried keys of a lease that ended; the same call may be made on another one at once, whatever the retry policy,
    /// much as gRPC has it for calls that were never handled
    /// (<https://github.com/grpc/proposal/blob/master/A6-client-retries.md#transparent-retries>).
    pub(crate) fn lost_its_connection(&self) -> bool {
        self.lost_its_connection
    }

    /// Whether nobody said no, and the same call may succeed later: an outage, a limit, a deadline.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self.code,
            Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Aborted
        )
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.reason {
            Some(reason) => write!(f, "{} ({})", self.message, reason.wire_name()),
            None => write!(f, "{} ({:?})", self.message, self.code),
        }
    }
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let lost_its_connection = lost_its_connection(&status);
        Self::Refused(Box::new(Refusal {
            code: if lost_its_connection { Code::Unavailable } else { status.code() },
            message: message(&status),
            reason: info.and_then(|info| ErrorReason::from_wire_name(&info.reason)),
            metadata: info.map(|info| info.metadata.clone()).unwrap_or_default(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
            lost_its_connection,
        }))
    }
}

/// What the service says, or else what went wrong on the way to it: the last of the sources, a refused certificate for
/// example, of which the transport itself says only that something failed.
fn message(status: &Status) -> Box<str> {
    let source = std::error::Error::source(status);
    let last = std::iter::successors(source, |error| (*error).source()).last();
    last.map_or_else(|| status.message().into(), |error| error.to_string().into())
}

/// Whether the connection ended under the call. The transport calls that cancelled, internal or unknown; it happens whenever
/// a call meets a service that closes a connection because of what it carried. What the service says itself has no source.
fn lost_its_connection(status: &Status) -> bool {
    matches!(status.code(), Code::Cancelled | Code::Internal | Code::Unknown)
        && std::error::Error::source(status).is_some()
}

impl From<SecretError> for ClientError {
    fn from(error: SecretError) -> Self {
        Self::Secret(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(status: Status) -> Code {
        match ClientError::from(status) {
            ClientError::Refused(refusal) => refusal.code(),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_connection_that_ends_under_a_call_is_no_answer_of_the_service() {
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert_eq!(code(Status::from_error(Box::new(broken))), Code::Unavailable);
        let inner = std::io::Error::other(std::io::Error::other("received fatal alert: UnknownCA"));
        let ClientError::Refused(refusal) = Status::from_error(Box::new(inner)).into() else { panic!() };
        assert_eq!(refusal.message(), "received fatal alert: UnknownCA");
        assert_eq!(code(Status::internal("internal error")), Code::Internal);
        assert_eq!(code(Status::unknown("")), Code::Unknown);
    }
}
