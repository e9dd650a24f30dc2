//! Errors as Azure's services answer them.

use http::StatusCode;

use crate::log::CallDecision;

/// An answer that is an error: its codes and message are the service's own, because clients act on them.
#[derive(Clone, Debug)]
pub(crate) struct AzureError {
    pub(crate) status: StatusCode,
    /// `AADSTS700016`, `Forbidden`, `invalid_request`.
    pub(crate) code: Box<str>,
    /// Key Vault's inner code, `ForbiddenByRbac`.
    pub(crate) inner: Option<Box<str>>,
    /// Entra ID's OAuth error, `unauthorized_client`.
    pub(crate) oauth: Option<&'static str>,
    pub(crate) message: String,
    pub(crate) decision: CallDecision,
    /// Why it was refused, for the log alone.
    pub(crate) reason: Option<&'static str>,
    /// Seconds of `Retry-After`.
    pub(crate) retry_after: Option<u32>,
    /// What `WWW-Authenticate` says.
    pub(crate) challenge: Option<Box<str>>,
}

impl AzureError {
    pub(crate) fn new(status: StatusCode, code: impl Into<Box<str>>, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
            inner: None,
            oauth: None,
            message: message.into(),
            decision: CallDecision::Failed,
            reason: None,
            retry_after: None,
            challenge: None,
        }
    }

    /// An error of Entra ID's.
    pub(crate) fn entra(
        status: StatusCode,
        oauth: &'static str,
        code: u32,
        message: impl Into<String>,
    ) -> Self {
        Self { oauth: Some(oauth), ..Self::new(status, format!("AADSTS{code}"), message) }
    }

    /// A malformed parameter, as Key Vault says it.
    pub(crate) fn bad_parameter(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadParameter", message)
    }

    /// A 403 of Key Vault's.
    pub(crate) fn forbidden(inner: &str, message: impl Into<String>) -> Self {
        Self { inner: Some(inner.into()), ..Self::new(StatusCode::FORBIDDEN, "Forbidden", message) }
    }

    /// Marks it as a refusal by somebody's decision rather than a failure.
    pub(crate) fn denied(self) -> Self {
        Self { decision: CallDecision::Denied, ..self }
    }

    /// Adds the reason that the log gives.
    pub(crate) fn because(self, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..self }
    }

    /// The simulator failed: no random bytes, or a broken invariant.
    pub(crate) fn internal() -> Self {
        let message = "the simulator could not carry out the request";
        Self {
            oauth: Some("server_error"),
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message)
        }
    }

    /// The most telling code it has.
    pub(crate) fn telling_code(&self) -> &str {
        self.inner.as_deref().unwrap_or(&self.code)
    }
}
