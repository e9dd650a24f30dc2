//! Errors as Google's services answer them.
//!
//! <https://cloud.google.com/apis/design/errors>, and RFC 6749 section 5.2 for tokens.

use std::borrow::Cow;

use http::StatusCode;
use serde_json::{Value, json};

use super::call::Service;
use super::iam::Denial;
use crate::log::CallDecision;

const NO_CREDENTIALS: &str = "Request is missing required authentication credential. Expected OAuth 2 access token, login \
                              cookie or other valid authentication credential. See \
                              https://developers.google.com/identity/sign-in/web/devconsole-project.";
const BAD_CREDENTIALS: &str = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie \
                               or other valid authentication credential. See \
                               https://developers.google.com/identity/sign-in/web/devconsole-project.";

const PRECONDITION: &str = "type.googleapis.com/google.rpc.PreconditionFailure";

/// The form of an error's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `google.rpc.Status`.
    Status,
    /// `{"error", "error_description"}`.
    OAuth,
}

/// An answer that is an error: code, message and details are Google's own where they are known, because clients act on
/// them.
#[derive(Clone, Debug)]
pub(crate) struct GcpError {
    pub(crate) form: Form,
    pub(crate) status: StatusCode,
    /// `PERMISSION_DENIED`, `invalid_grant`, …
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: String,
    pub(crate) details: Vec<Value>,
    pub(crate) decision: CallDecision,
    /// Why policy refused, for the log alone.
    pub(crate) reason: Option<String>,
}

impl GcpError {
    pub(crate) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            form: Form::Status,
            status,
            code: code.into(),
            message: message.into(),
            details: Vec::new(),
            decision: CallDecision::Failed,
            reason: None,
        }
    }

    pub(crate) fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    }

    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "Internal error encountered.")
    }

    /// A state that does not allow the call, with the type and subject of its violation.
    pub(crate) fn precondition(message: String, kind: Option<&str>, subject: &str) -> Self {
        let violation = kind.map(|kind| {
            json!({
                "@type": PRECONDITION,
                "violations": [{"type": kind, "subject": subject}],
            })
        });
        Self {
            details: violation.into_iter().collect(),
            ..Self::new(StatusCode::BAD_REQUEST, "FAILED_PRECONDITION", message)
        }
    }

    /// What an external key manager refuses: one violation about the state of the key, which works, and one about the attempt
    /// (<https://cloud.google.com/kms/docs/reference/ekm_errors>).
    pub(crate) fn external(message: &str, kind: &str, subject: &str) -> Self {
        let violations = ["KEY_ENABLED", kind].map(|kind| json!({"type": kind, "subject": subject}));
        let details = json!({"@type": PRECONDITION, "violations": violations});
        Self { details: vec![details], ..Self::precondition(message.to_owned(), None, subject) }
    }

    /// An error of a token endpoint.
    pub(crate) fn oauth(code: &'static str, description: impl Into<String>) -> Self {
        let status =
            if code == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
        Self { form: Form::OAuth, ..Self::new(status, code, description) }
    }

    /// A refusal by policy. KMS names the resource; IAM does not.
    pub(crate) fn denied(service: Service, permission: &str, resource: Option<&str>, denial: Denial) -> Self {
        let named = resource.map(|resource| format!(" '{resource}'")).unwrap_or_default();
        let message = format!("Permission '{permission}' denied on resource{named} (or it may not exist).");
        let mut metadata = json!({"permission": permission});
        if let Some(resource) = resource {
            metadata["resource"] = resource.into();
        }
        let domain = match service {
            Service::CloudKms => "cloudkms.googleapis.com",
            _ => "iam.googleapis.com",
        };
        Self {
            details: vec![error_info("IAM_PERMISSION_DENIED", domain, metadata)],
            decision: CallDecision::Denied,
            reason: Some(denial.reason),
            ..Self::new(StatusCode::FORBIDDEN, "PERMISSION_DENIED", message)
        }
    }

    /// A token that does not tell who calls: `reason` is one of `google.api.ErrorReason`.
    pub(crate) fn unauthenticated(service: Service, reason: &str) -> Self {
        let message = if reason == "CREDENTIALS_MISSING" { NO_CREDENTIALS } else { BAD_CREDENTIALS };
        let metadata = json!({"service": service.host()});
        Self {
            details: vec![error_info(reason, "googleapis.com", metadata)],
            ..Self::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message)
        }
    }

    /// A token that was not issued for this service.
    pub(crate) fn insufficient_scope(service: Service) -> Self {
        let metadata = json!({"service": service.host()});
        Self {
            details: vec![error_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", "googleapis.com", metadata)],
            ..Self::new(
                StatusCode::FORBIDDEN,
                "PERMISSION_DENIED",
                "Request had insufficient authentication scopes.",
            )
        }
    }

    /// A quota that is used up.
    pub(crate) fn exhausted(service: Service, project: Option<&str>) -> Self {
        let (metric, limit) = match service {
            Service::CloudKms => ("Cryptographic requests", "Cryptographic requests per minute"),
            Service::IamCredentials => ("Generate credentials", "Generate credentials per minute"),
            Service::Sts | Service::OAuth => {
                ("Token exchange requests", "Token exchange requests per minute")
            }
        };
        let consumer = format!("projects/{}", project.unwrap_or("-"));
        let host = service.host();
        let message = format!(
            "Quota exceeded for quota metric '{metric}' and limit '{limit}' of service '{host}' for consumer \
             '{consumer}'."
        );
        let metadata =
            json!({"service": host, "consumer": consumer, "quota_metric": metric, "quota_limit": limit});
        let quota = json!({
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{"subject": consumer, "description": message}],
        });
        let retry = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "5s"});
        Self {
            details: vec![error_info("RATE_LIMIT_EXCEEDED", "googleapis.com", metadata), quota, retry],
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED", message)
        }
    }

    /// Its body.
    pub(crate) fn body(&self) -> Value {
        match self.form {
            Form::OAuth => json!({"error": self.code, "error_description": self.message}),
            Form::Status => {
                let mut error = json!({
                    "code": self.status.as_u16(),
                    "message": self.message,
                    "status": self.code,
                });
                if !self.details.is_empty() {
                    error["details"] = self.details.clone().into();
                }
                json!({"error": error})
            }
        }
    }
}

fn error_info(reason: &str, domain: &str, metadata: Value) -> Value {
    json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": domain,
        "metadata": metadata,
    })
}
