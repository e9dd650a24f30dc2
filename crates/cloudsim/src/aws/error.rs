//! Errors as the AWS services answer them.

use std::borrow::Cow;

use http::StatusCode;

use crate::aws::call::Service;
use crate::log::CallDecision;

/// An answer that is an error: its code and message are the service's own, because clients act on them.
#[derive(Clone, Debug)]
pub(crate) struct AwsError {
    pub(crate) status: StatusCode,
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: String,
    pub(crate) decision: CallDecision,
    /// Why policy refused, for the log alone where the service does not tell its caller.
    pub(crate) reason: Option<String>,
}

impl AwsError {
    /// The caller's mistake, HTTP 400.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self::with_status(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn with_status(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            decision: CallDecision::Failed,
            reason: None,
        }
    }

    /// A refusal by policy. KMS answers it with 400, STS with 403.
    pub(crate) fn denied(service: Service, message: impl Into<String>) -> Self {
        let denied = match service {
            Service::Kms => Self::new("AccessDeniedException", message),
            Service::Sts => Self::with_status(StatusCode::FORBIDDEN, "AccessDenied", message),
        };
        Self { decision: CallDecision::Denied, ..denied }
    }

    /// Adds the reason that the log gives.
    pub(crate) fn because(self, reason: &str) -> Self {
        Self { reason: Some(reason.to_owned()), ..self }
    }

    /// The service's throttling error: HTTP 400 in both services.
    pub(crate) fn throttled(service: Service) -> Self {
        let throttled = match service {
            Service::Kms => Self::new(
                "ThrottlingException",
                "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
            ),
            Service::Sts => Self::new("Throttling", "Rate exceeded"),
        };
        Self { decision: CallDecision::Faulted, ..throttled }
    }

    /// A parameter outside its constraints, in the words of the service's own validation.
    pub(crate) fn validation(service: Service, message: impl Into<String>) -> Self {
        match service {
            Service::Kms => Self::new("ValidationException", message),
            Service::Sts => Self::new("ValidationError", message),
        }
    }

    /// One constraint that a value breaks.
    pub(crate) fn constraint(service: Service, member: &str, value: &str, constraint: &str) -> Self {
        let message = format!(
            "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must {constraint}"
        );
        Self::validation(service, message)
    }

    /// An operation that the simulator, or the service, does not know.
    pub(crate) fn unknown_operation(service: Service, operation: &str) -> Self {
        match service {
            Service::Kms => Self::new("UnknownOperationException", ""),
            Service::Sts => Self::new(
                "InvalidAction",
                format!("Could not find operation {operation} for version 2011-06-15"),
            ),
        }
    }

    /// The simulator failed: no random bytes, or a broken invariant.
    pub(crate) fn internal(service: Service) -> Self {
        let code = match service {
            Service::Kms => "KMSInternalException",
            Service::Sts => "InternalFailure",
        };
        Self::with_status(
            StatusCode::INTERNAL_SERVER_ERROR,
            code,
            "the simulator could not carry out the request",
        )
    }
}
