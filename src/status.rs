//! The one table from errors to statuses.
//!
//! What a client reads is decided here; what the log says is the error itself, with its sources.

use std::collections::HashMap;
use std::time::Duration;

use leasehold_api::v1::ErrorReason;
use leasehold_api::{ERROR_DOMAIN, FieldError};
use leasehold_lease::LeaseError;
use leasehold_provider::{Edge, Fault, ProviderError};
use leasehold_service::ServiceError;
use leasehold_tenant::ChangeError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, PreconditionViolation, StatusExt};

/// Why a call is refused.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A field of the request is not as it must be.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The service refused, or failed.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The plaintext of the request cannot be held.
    #[error(transparent)]
    Unheld(LeaseError),
    /// The deadline passed, the client's or ours.
    #[error("the call did not end within its deadline")]
    Deadline,
    /// As many calls are under way as there may be.
    #[error("too many calls are under way; try again")]
    TooManyCalls,
    /// The connection carried keys of a lease that ended, or its client's certificate expires.
    #[error("the connection is being closed; connect again")]
    ConnectionClosing,
    /// The process was told to end.
    #[error("this replica is shutting down; another one answers")]
    ShuttingDown,
}

impl From<leasehold_lease::LeaseError> for Refusal {
    fn from(error: LeaseError) -> Self {
        Self::Service(error.into())
    }
}

impl Refusal {
    /// Why, for programs.
    #[must_use]
    pub fn reason(&self) -> ErrorReason {
        match self {
            Self::Field(_) => ErrorReason::InvalidField,
            // Each reason of the service is one of the API's: a test holds it to that.
            Self::Service(error) => {
                ErrorReason::from_wire_name(error.reason()).unwrap_or(ErrorReason::Internal)
            }
            Self::Unheld(error) => Self::from(error.clone()).reason(),
            Self::Deadline => ErrorReason::DeadlineExceeded,
            Self::TooManyCalls => ErrorReason::OverLimit,
            Self::ConnectionClosing => ErrorReason::ConnectionClosing,
            Self::ShuttingDown => ErrorReason::ShuttingDown,
        }
    }

    /// The status that the client reads. `about` names what the request was about, `tenants/acme` for example.
    #[must_use]
    pub fn status(&self, about: &str) -> Status {
        let reason = self.reason();
        let (code, retry) = row(reason);
        let mut details = ErrorDetails::new();
        details.set_error_info(reason.wire_name(), ERROR_DOMAIN, self.metadata());
        if let Some((field, what)) = self.field() {
            details.set_bad_request(vec![tonic_types::FieldViolation::new(field, what)]);
        }
        let message = self.message();
        if is_denial(reason) {
            let violation = PreconditionViolation::new(reason.wire_name(), about, message.clone());
            details.set_precondition_failure(vec![violation]);
        }
        if let Some(pause) = retry.and_then(|usual| self.retry_after(usual)) {
            details.set_retry_info(Some(pause));
        }
        Status::with_error_details(code, message, details)
    }

    /// What the client reads: for people, with nothing that is the operator's affair alone.
    fn message(&self) -> String {
        let error = match self {
            Self::Service(error) => error,
            Self::Unheld(error) => return Self::from(error.clone()).message(),
            _ => return self.to_string(),
        };
        match error {
            ServiceError::MalformedEnvelope(source) => format!("{error}: {source}"),
            ServiceError::ForeignEnvelope(source) => format!("{error}: {source}"),
            ServiceError::Change(source) => format!("{error}: {source}"),
            ServiceError::Lease(LeaseError::Envelope(source)) => format!("{error}: {source}"),
            ServiceError::Lease(LeaseError::Internal(_)) => "internal error".to_owned(),
            _ => match self.cloud() {
                Some(cloud) => format!("{error}: {}", said(cloud)),
                None => error.to_string(),
            },
        }
    }

    fn field(&self) -> Option<(&str, &str)> {
        match self {
            Self::Field(error) => Some((error.field(), error.what())),
            Self::Service(ServiceError::InvalidArgument { field, what }) => Some((field, what)),
            _ => None,
        }
    }

    /// What the tenant's cloud answered. Not what was said to ourselves: that is no caller's affair.
    fn cloud(&self) -> Option<&ProviderError> {
        let Self::Service(error) = self else { return None };
        match self.reason() {
            ErrorReason::OwnIdentity => None,
            _ => error.cloud(),
        }
    }

    fn metadata(&self) -> HashMap<String, String> {
        let Some(cloud) = self.cloud() else { return HashMap::new() };
        let edge = match cloud.fault() {
            Fault::Denied { edge: Edge::Trust { .. } } => Some("trust"),
            Fault::Denied { edge: Edge::Key | Edge::Version } | Fault::KeyUnusable(_) => Some("key"),
            _ => None,
        };
        let pairs = [("cloud_code", cloud.code()), ("cloud_request_id", cloud.request_id()), ("edge", edge)];
        pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect()
    }

    /// How long to wait; none where a wait changes nothing after all.
    fn retry_after(&self, usual: Duration) -> Option<Duration> {
        match self {
            Self::Service(ServiceError::Change(ChangeError::TooManyBindings { .. })) => None,
            Self::Service(ServiceError::Lease(LeaseError::Throttled { retry_after, .. })) => {
                Some(retry_after.unwrap_or(usual))
            }
            _ => Some(usual),
        }
    }
}

/// The table: a status code, and how long to wait where trying again helps.
fn row(reason: ErrorReason) -> (Code, Option<Duration>) {
    use ErrorReason as R;
    let after = |millis| Some(Duration::from_millis(millis));
    match reason {
        R::CallerNotAllowed => (Code::PermissionDenied, None),
        R::InvalidField => (Code::InvalidArgument, None),
        R::TenantNotFound | R::BindingNotFound => (Code::NotFound, None),
        R::AlreadyExists => (Code::AlreadyExists, None),
        R::EtagMismatch => (Code::Aborted, None),
        R::WrongState | R::TenantSuspended | R::TenantDeleted => (Code::FailedPrecondition, None),
        R::NoActiveBinding | R::BindingNotUsable => (Code::FailedPrecondition, None),
        R::BindingDenied | R::KeyUnusable | R::RequestDenied => (Code::FailedPrecondition, None),
        R::BindingMisconfigured | R::ProofBudgetExceeded => (Code::FailedPrecondition, None),
        // A proof with all its retries ends within 10 s, and most outages that pass do so within one.
        R::CloudUnavailable => (Code::Unavailable, after(1000)),
        R::LeaseLapsed => (Code::Unavailable, after(2000)),
        R::OwnIdentity => (Code::Unavailable, after(5000)),
        R::Throttled => (Code::ResourceExhausted, after(1000)),
        R::OverLimit => (Code::ResourceExhausted, after(200)),
        R::MalformedEnvelope | R::ForeignEnvelope => (Code::InvalidArgument, None),
        R::WrongContext | R::CloudRejected => (Code::InvalidArgument, None),
        R::LeaseEnded => (Code::Aborted, after(50)),
        R::AuditUnavailable | R::RegistryUnavailable => (Code::Unavailable, after(1000)),
        R::DeadlineExceeded => (Code::DeadlineExceeded, None),
        R::ShuttingDown | R::ConnectionClosing => (Code::Unavailable, after(100)),
        R::Internal | R::Unspecified => (Code::Internal, None),
    }
}

/// What the cloud said. Where the error's own text says the kind of failure, that is not said again.
fn said(cloud: &ProviderError) -> String {
    match (cloud.fault(), cloud.code()) {
        (Fault::Denied { .. } | Fault::KeyUnusable(_) | Fault::Throttled { .. }, _) => cloud.to_string(),
        (_, Some(code)) => format!("{} ({code})", cloud.detail()),
        (_, None) => cloud.detail().to_owned(),
    }
}

fn is_denial(reason: ErrorReason) -> bool {
    matches!(reason, ErrorReason::BindingDenied | ErrorReason::KeyUnusable | ErrorReason::RequestDenied)
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
