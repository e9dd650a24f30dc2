//! Why a command failed, and the exit code that says so.

use std::error::Error;

use leasehold_client::api::v1::ErrorReason;
use leasehold_client::{ClientError, Refusal};
use serde_json::{Value, json};
use tonic::Code;

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
    details: Value,
    hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Failed,
    Usage,
    Denied,
    Unavailable,
    NotWorking,
    Broken,
}

impl Failure {
    /// Something failed; `message` says what.
    pub fn new(message: impl Into<String>) -> Self {
        Self { kind: Kind::Failed, message: message.into(), details: Value::Null, hint: None }
    }

    /// The command was used wrongly; `message` says how to use it.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, ..Self::new(message) }
    }

    /// Nobody can tell at present; `message` says why.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self { kind: Kind::Unavailable, ..Self::new(message) }
    }

    /// A caller may not do what was asked about; `message` says who.
    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self { kind: Kind::Denied, ..Self::new(message) }
    }

    /// A binding was tried and does not work; `message` says which.
    pub(crate) fn not_working(message: impl Into<String>) -> Self {
        Self { kind: Kind::NotWorking, ..Self::new(message) }
    }

    /// What was to be verified is not as it should be; `message` says where.
    pub(crate) fn broken(message: impl Into<String>) -> Self {
        Self { kind: Kind::Broken, ..Self::new(message) }
    }

    /// The same with what to try next.
    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// An error with all its sources.
    pub fn from_error(error: &dyn Error) -> Self {
        let sources = std::iter::successors(error.source(), |error| (*error).source());
        Self::new(sources.fold(error.to_string(), |text, source| format!("{text}: {source}")))
    }

    /// The exit code of the process: 1 failed, 2 usage, 3 denied, 4 unavailable, 5 a binding that was tried does not work, 6 what was
    /// verified is broken.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Denied => 3,
            Kind::Unavailable => 4,
            Kind::NotWorking => 5,
            Kind::Broken => 6,
        }
    }

    /// The failure for programs.
    pub(crate) fn to_json(&self) -> Value {
        let exit_code = self.exit_code();
        let (message, details, hint) = (&self.message, &self.details, &self.hint);
        json!({ "error": { "message": message, "exit_code": exit_code, "details": details, "hint": hint } })
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl<E: Error> From<E> for Failure
where
    E: LocalError,
{
    fn from(error: E) -> Self {
        Self::from_error(&error)
    }
}

/// Errors that are neither a denial nor an outage.
pub(crate) trait LocalError: Error {}

macro_rules! local_errors {
    ($($error:ty),* $(,)?) => {
        $(impl LocalError for $error {})*
    };
}

local_errors!(
    std::io::Error,
    crate::app::StartError,
    crate::config::ConfigError,
    crate::telemetry::TelemetryError,
    leasehold_audit::AuditError,
    leasehold_secret::SecretError,
    leasehold_envelope::EnvelopeError,
    leasehold_envelope::ContextError,
    leasehold_client::EndpointError,
    leasehold_registry::ExportError,
    leasehold_registry::SqliteError,
    leasehold_tenant::RegistryError,
    leasehold_client::TlsError,
    serde_json::Error,
);

#[cfg(feature = "simulator")]
local_errors!(
    leasehold_cloudsim::SimError,
    leasehold_provider_aws::ArnError,
    leasehold_provider_azure::IdError,
    reqwest::Error,
);

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Refused(refusal) => {
                Self { kind: kind(refusal), details: details(refusal), ..Self::new(explained(refusal)) }
            }
            ClientError::LeaseOver => Self { kind: Kind::Unavailable, ..Self::from_error(&error) },
            _ => Self::from_error(&error),
        }
    }
}

fn kind(refusal: &Refusal) -> Kind {
    if refusal.is_denial() || refusal.reason() == Some(ErrorReason::CallerNotAllowed) {
        Kind::Denied
    } else if refusal.is_passing() && refusal.reason() != Some(ErrorReason::EtagMismatch) {
        Kind::Unavailable
    } else {
        Kind::Failed
    }
}

fn explained(refusal: &Refusal) -> String {
    match (refusal.code(), refusal.reason()) {
        (Code::Unavailable, None) => {
            format!("the service cannot be reached; is it running? ({})", refusal.message())
        }
        _ => refusal.to_string(),
    }
}

fn details(refusal: &Refusal) -> Value {
    json!({
        "code": format!("{:?}", refusal.code()),
        "reason": refusal.reason().map(ErrorReason::wire_name),
        "metadata": refusal.metadata(),
        "retry_after_seconds": refusal.retry_after().map(|pause| pause.as_secs_f64()),
    })
}

#[cfg(test)]
mod tests {
    use tonic::Status;
    use tonic_types::{ErrorDetails, StatusExt};

    use super::*;

    fn refused(code: Code, reason: &str) -> Failure {
        let mut details = ErrorDetails::new();
        details.set_error_info(reason, leasehold_api::ERROR_DOMAIN, []);
        ClientError::from(Status::with_error_details(code, "text", details)).into()
    }

    #[test]
    fn exit_codes_tell_denied_from_unavailable_from_the_rest() {
        for (code, reason, exit) in [
            (Code::FailedPrecondition, "BINDING_DENIED", 3),
            (Code::FailedPrecondition, "KEY_UNUSABLE", 3),
            (Code::FailedPrecondition, "REQUEST_DENIED", 3),
            (Code::PermissionDenied, "CALLER_NOT_ALLOWED", 3),
            (Code::Unavailable, "CLOUD_UNAVAILABLE", 4),
            (Code::Unavailable, "LEASE_LAPSED", 4),
            (Code::ResourceExhausted, "THROTTLED", 4),
            (Code::DeadlineExceeded, "DEADLINE_EXCEEDED", 4),
            (Code::Aborted, "LEASE_ENDED", 4),
            (Code::Aborted, "ETAG_MISMATCH", 1),
            (Code::NotFound, "TENANT_NOT_FOUND", 1),
            (Code::FailedPrecondition, "TENANT_SUSPENDED", 1),
        ] {
            assert_eq!(refused(code, reason).exit_code(), exit, "{reason}");
        }
        assert_eq!(Failure::from(ClientError::from(Status::unavailable("no route"))).exit_code(), 4);
        assert_eq!(Failure::usage("").exit_code(), 2);
    }
}
