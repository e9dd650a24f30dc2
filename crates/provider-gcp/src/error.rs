//! The one table from what IAM Credentials, Cloud KMS and the sources of our own identity say to whose answer it is.
//!
//! Sources: <https://cloud.google.com/apis/design/errors>,
//! <https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys/decrypt>,
//! <https://cloud.google.com/kms/docs/reference/ekm_errors>,
//! <https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken>,
//! <https://github.com/googleapis/googleapis/blob/master/google/api/error_reason.proto>,
//! <https://www.rfc-editor.org/rfc/rfc6749#section-5.2>.

use std::error::Error;
use std::time::Duration;

use google_cloud_auth::errors::CredentialsError;
use google_cloud_gax::error::rpc::{Code, Status, StatusDetails};
use http::HeaderMap;
use leasehold_provider::{Edge, Fault, KeyState, ProviderError, Throttler};

use crate::call::CallId;

/// Longest wait that we believe a cloud asks for. Longer ones are as good as this: far beyond any total deadline.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Which call failed. The same code means different things after different questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// Are we taken for who we say that we are?
    WhoAmI,
    /// May we become the principal? Asked with our base identity.
    Assume,
    /// What state is the key in? Asked with the tenant's session.
    Look,
    /// Wrapping or unwrapping, with the tenant's session.
    Use,
}

impl Call {
    fn is_of_key(self) -> bool {
        matches!(self, Self::Look | Self::Use)
    }
}

/// A refusal, whichever client brought it.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    /// The HTTP status, 0 if there was none.
    http: u16,
    /// As in `google.rpc.Code`; `None` if the answer was not one of Google's own.
    code: Option<Code>,
    /// Of `google.rpc.ErrorInfo`.
    reason: String,
    /// Of `google.rpc.PreconditionFailure`.
    violations: Vec<String>,
    retry_after: Option<Duration>,
    request_id: Option<String>,
    /// What the refusal names, for finding out which hop it is about.
    about: String,
    message: String,
}

impl Refusal {
    /// Reads an answer that is not a success.
    pub(crate) fn read(http: u16, headers: &HeaderMap, body: &bytes::Bytes) -> Self {
        let refusal = Self { http, retry_after: retry_after(headers), ..Self::default() };
        match Status::try_from(body) {
            Ok(status) => refusal.of(&status),
            Err(_) => refusal,
        }
    }

    fn of(mut self, status: &Status) -> Self {
        self.code = Some(status.code);
        self.message.clone_from(&status.message);
        for detail in &status.details {
            match detail {
                StatusDetails::ErrorInfo(info) if self.reason.is_empty() => {
                    self.reason.clone_from(&info.reason);
                    let mut about: Vec<_> = info.metadata.values().cloned().collect();
                    about.sort();
                    self.about = about.join(" ");
                }
                StatusDetails::PreconditionFailure(failure) => {
                    self.violations
                        .extend(failure.violations.iter().map(|violation| violation.r#type.clone()));
                }
                StatusDetails::RetryInfo(info) => {
                    let asked = info.retry_delay.as_ref().and_then(|delay| Duration::try_from(*delay).ok());
                    self.retry_after = asked.map(|asked| asked.min(LONGEST_WAIT)).or(self.retry_after);
                }
                StatusDetails::RequestInfo(info) => self.request_id = Some(info.request_id.clone()),
                _ => {}
            }
        }
        self
    }

    /// Whether it is about `email`, or says so: as a whole, not as the end of a longer one.
    pub(crate) fn names(&self, email: &str) -> bool {
        let is_of_an_email = |c: char| c.is_ascii_alphanumeric() || "-_.+@".contains(c);
        let says =
            |text: &str| text.split(|c: char| !is_of_an_email(c)).any(|word| word.trim_matches('.') == email);
        says(&self.about) || says(&self.message)
    }

    /// Whether it is a no to somebody whose credentials were taken.
    pub(crate) fn is_of_somebody_known(&self) -> bool {
        let refused = matches!(self.fault(Call::Assume, 0), Fault::Denied { .. });
        refused && self.code == Some(Code::PermissionDenied)
    }

    /// As an error of `call`; `hop` is the one that it is about. The id is ours unless Google gave one: Google gives hardly
    /// any, but writes ours into the audit log.
    pub(crate) fn failure(&self, call: Call, hop: usize, id: &CallId) -> ProviderError {
        let request_id = self.request_id.as_deref().unwrap_or(id.as_str());
        ProviderError::new(self.fault(call, hop), self.detail())
            .with_code(self.whole_code().as_deref())
            .with_request_id(Some(request_id))
    }

    /// What it means. A no has a status of a refusal: with any other it says no more than that status, whatever it says besides
    /// (promise P3).
    fn fault(&self, call: Call, hop: usize) -> Fault {
        match self.said(call, hop) {
            Fault::Denied { .. } | Fault::KeyUnusable(_) if !(400..500).contains(&self.http) => {
                Fault::Unavailable
            }
            fault => fault,
        }
    }

    /// The table.
    fn said(&self, call: Call, hop: usize) -> Fault {
        let throttled = Fault::Throttled { by: Throttler::Cloud, retry_after: self.retry_after };
        let denied = || match call {
            Call::WhoAmI => Fault::OwnIdentity,
            Call::Assume => Fault::Denied { edge: Edge::Trust { hop } },
            Call::Look | Call::Use => Fault::Denied { edge: Edge::Key },
        };
        match (self.code, self.reason.as_str()) {
            // Slow down.
            (Some(Code::ResourceExhausted), _) => throttled,

            // The project that a call is charged to is that of who calls: ours when we ask to become somebody, the
            // tenant's once we are. Its owners switched the service, or its billing, off.
            (
                Some(Code::PermissionDenied | Code::FailedPrecondition),
                "SERVICE_DISABLED"
                | "BILLING_DISABLED"
                | "CONSUMER_INVALID"
                | "CONSUMER_SUSPENDED"
                | "USER_PROJECT_DENIED",
            ) if call == Call::Assume => Fault::OwnIdentity,
            (Some(Code::FailedPrecondition), "SERVICE_DISABLED" | "BILLING_DISABLED") if call.is_of_key() => {
                denied()
            }
            // A token of ours that was asked for with too small a scope; of the tenant's, we always ask for the right one.
            (Some(Code::PermissionDenied), "ACCESS_TOKEN_SCOPE_INSUFFICIENT") => match call {
                Call::WhoAmI | Call::Assume => Fault::OwnIdentity,
                Call::Look | Call::Use => Fault::Unavailable,
            },

            // No. Also: an organisation policy, a deny policy, VPC Service Controls.
            (Some(Code::PermissionDenied), _) => denied(),

            // The credentials that we sent. The principal of a session that was disabled or deleted says no by that.
            (Some(Code::Unauthenticated), "ACCOUNT_STATE_INVALID") if call.is_of_key() => denied(),
            (Some(Code::Unauthenticated), _) if call.is_of_key() => Fault::SessionExpired,
            (Some(Code::Unauthenticated), _) => Fault::OwnIdentity,

            // Not there: the service account was deleted, or never was.
            (Some(Code::NotFound), _) if call.is_of_key() => Fault::KeyUnusable(KeyState::NotFound),
            (Some(Code::NotFound), _) => denied(),

            // There, but not to be used.
            (Some(Code::FailedPrecondition), _) if call.is_of_key() => self.precondition(),
            (Some(Code::FailedPrecondition), _) => denied(),

            // This ciphertext, context or parameter. A checksum that does not match what arrived is the wire's fault, not
            // the caller's.
            (Some(Code::InvalidArgument), _) if self.is_about_checksums() => Fault::Unavailable,
            (Some(Code::InvalidArgument), _) if call == Call::Use => Fault::Rejected,
            (Some(Code::InvalidArgument), _) => Fault::Misconfigured,

            // No answer about us: INTERNAL, UNAVAILABLE, DEADLINE_EXCEEDED, ABORTED and every code that we do not know. An
            // unknown 4xx is among them on purpose: it must not renew a lease, which an unavailability never does; and it
            // must not end one early, because it may be a new word for a passing fault or come from a proxy. If it
            // lasts, the lease runs out within its bound, and promise P1 holds.
            _ if self.http == 429 => throttled,
            _ => Fault::Unavailable,
        }
    }

    /// What a failed precondition says about the key. The types of its violations tell; where there is none, the message
    /// does. A key in an external key manager has two, the first about its state and the second about the attempt to reach
    /// the manager: a no of either is one.
    fn precondition(&self) -> Fault {
        let (_, fault) = self.telling_violation().unzip();
        let word = fault.or_else(|| {
            let (_, state) = self.message.split_once("current state is: ")?;
            state_of_version(state.trim_end_matches(['.', ' ']))
        });
        word.unwrap_or(Fault::Unavailable)
    }

    /// The violation that says most, and what.
    fn telling_violation(&self) -> Option<(&str, Fault)> {
        let means = |kind| Some((kind, self.meaning_of(kind)?));
        let told = || self.violations.iter().map(String::as_str).filter_map(means);
        told().find(|(_, fault)| *fault != Fault::Unavailable).or_else(|| told().next())
    }

    /// What the type of a precondition's violation says about the key
    /// (<https://cloud.google.com/kms/docs/reference/ekm_errors> for those of external key managers, of which all others are
    /// about reaching one, or what it answers).
    fn meaning_of(&self, violation: &str) -> Option<Fault> {
        match violation {
            // Each version has a URI of its own, and so perhaps a manager.
            "EXTERNAL_PERMISSION_DENIED" => Some(Fault::Denied { edge: Edge::Version }),
            // A host that is not found is as good as one that is away: its name may be resolved again in a moment.
            "EXTERNAL_NOT_FOUND" if !self.message.contains("EKM host") => {
                Some(Fault::KeyUnusable(KeyState::NotFound))
            }
            _ if violation.starts_with("EXTERNAL_") => Some(Fault::Unavailable),
            _ => state_of_version(violation.strip_prefix("KEY_")?),
        }
    }

    fn is_about_checksums(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        message.contains("crc32c") || message.contains("checksum")
    }

    /// Status and reason, for example `PERMISSION_DENIED/IAM_PERMISSION_DENIED`; a precondition's violation is its reason.
    fn whole_code(&self) -> Option<String> {
        let code = self.code?.name();
        let telling = self.telling_violation().map(|(violation, _)| violation);
        let violation = telling.or(self.violations.first().map(String::as_str)).unwrap_or_default();
        let reason = if self.reason.is_empty() { violation } else { self.reason.as_str() };
        Some(if reason.is_empty() { code.to_owned() } else { format!("{code}/{reason}") })
    }

    /// Google's own words on one line, or ours where it gave none.
    fn detail(&self) -> String {
        match (self.code, self.message.as_str()) {
            (None, _) => "the cloud's answer was not one of the service's own".to_owned(),
            (_, "") => "the cloud gave no reason".to_owned(),
            (_, message) => one_line(message),
        }
    }
}

/// What the state of a key version says about its use; `None` for a state that we do not know.
pub(crate) fn state_of_version(state: &str) -> Option<Fault> {
    Some(match state {
        "DISABLED" => Fault::KeyUnusable(KeyState::Disabled),
        "DESTROY_SCHEDULED" | "PENDING_IMPORT" | "IMPORT_FAILED" | "PENDING_EXTERNAL_DESTRUCTION" => {
            Fault::KeyUnusable(KeyState::PendingDeletion)
        }
        "DESTROYED" | "EXTERNAL_DESTRUCTION_FAILED" | "GENERATION_FAILED" => {
            Fault::KeyUnusable(KeyState::NotFound)
        }
        // It will be there in a moment.
        "PENDING_GENERATION" => Fault::Unavailable,
        _ => return None,
    })
}

/// What is left of an error of Google's client for Cloud KMS once its type is gone.
pub(crate) fn failure(call: Call, error: &google_cloud_gax::error::Error, id: &CallId) -> ProviderError {
    let none = HeaderMap::new();
    let headers = error.http_headers().unwrap_or(&none);
    let refusal = Refusal {
        http: error.http_status_code().unwrap_or_default(),
        retry_after: retry_after(headers),
        ..Refusal::default()
    };
    if let Some(status) = error.status() {
        return refusal.of(status).failure(call, 0, id);
    }
    if refusal.http != 0 {
        return refusal.failure(call, 0, id);
    }
    let detail = if error.is_timeout() {
        "the cloud did not answer in time"
    } else if error.is_connect() || error.is_io() || error.is_transport() {
        "the cloud could not be reached"
    } else if error.is_binding() || error.is_serialization() {
        return ProviderError::new(Fault::Misconfigured, "the request could not be built for this key");
    } else {
        "the cloud's answer could not be read"
    };
    ProviderError::new(Fault::Unavailable, detail).with_request_id(Some(id.as_str()))
}

/// Why a request of our own could not be sent, or its answer not be read.
pub(crate) fn unreachable(error: &reqwest::Error, id: &CallId) -> ProviderError {
    let detail = if error.is_timeout() {
        "the cloud did not answer in time"
    } else if error.is_decode() || error.is_body() {
        "the cloud's answer could not be read"
    } else {
        "the cloud could not be reached"
    };
    ProviderError::new(Fault::Unavailable, detail).with_request_id(Some(id.as_str()))
}

/// What is left of a failure of Google's client to get us a token of our own. Its words may quote a token, so none of them
/// are kept but the code of an OAuth refusal.
pub(crate) fn base_failure(error: &CredentialsError) -> ProviderError {
    let chain = || std::iter::successors(Some(error as &(dyn Error + 'static)), |&error| error.source());
    let answered = chain().find_map(|error| {
        let status = error.downcast_ref::<reqwest::Error>().and_then(reqwest::Error::status);
        let gax = error.downcast_ref::<google_cloud_gax::error::Error>();
        status.map(|status| status.as_u16()).or_else(|| gax.and_then(|gax| gax.http_status_code()))
    });
    let unreadable = chain().any(|error| {
        let http = error.downcast_ref::<reqwest::Error>();
        http.is_some_and(|error| {
            error.is_decode() || error.is_body() || error.is_request() || error.is_timeout()
        })
    });
    let words: Vec<_> = chain().map(ToString::to_string).collect();
    let oauth = words.iter().find_map(|words| oauth_code(words));
    match (answered, oauth) {
        (Some(429), _) => ProviderError::new(
            Fault::Throttled { by: Throttler::Cloud, retry_after: None },
            "the source of our own identity throttles us",
        ),
        (Some(400..=499), Some(code)) => {
            ProviderError::new(Fault::OwnIdentity, "our own credentials were refused").with_code(Some(code))
        }
        (Some(status @ 400..=499), None) => match refusal_of_ours(status, &words) {
            Some(code) => {
                ProviderError::new(Fault::OwnIdentity, "our own identity was refused").with_code(Some(code))
            }
            None => {
                ProviderError::new(Fault::Unavailable, "the source of our own identity answers strangely")
            }
        },
        (Some(_), _) => {
            ProviderError::new(Fault::Unavailable, "the source of our own identity answers that it cannot")
        }
        (None, _) if unreadable || error.is_transient() => ProviderError::new(
            Fault::Unavailable,
            "the source of our own identity could not be reached or read",
        ),
        (None, _) => ProviderError::new(Fault::OwnIdentity, "our own credentials could not be loaded"),
    }
}

/// What is left of a refusal of the metadata server, which answers in plain words.
pub(crate) fn metadata_refusal(status: u16, headers: &HeaderMap, words: &str) -> ProviderError {
    if status == 429 {
        let fault = Fault::Throttled { by: Throttler::Cloud, retry_after: retry_after(headers) };
        return ProviderError::new(fault, "the metadata server throttles us");
    }
    match refusal_of_ours(status, &[words.to_owned()]) {
        Some(code) => {
            let detail = if status == 404 {
                "the machine has no service account"
            } else {
                "our own identity was refused"
            };
            ProviderError::new(Fault::OwnIdentity, detail).with_code(Some(code))
        }
        None => ProviderError::new(Fault::Unavailable, "the metadata server answers that it cannot"),
    }
}

/// The code under which Google refuses us a token of our own; `None` if the answer says nothing about us. The metadata
/// server answers in plain words.
fn refusal_of_ours(status: u16, words: &[String]) -> Option<&'static str> {
    let says = |word: &str| words.iter().any(|words| words.contains(word));
    let known = ["PERMISSION_DENIED", "UNAUTHENTICATED", "NOT_FOUND", "FAILED_PRECONDITION"];
    known.into_iter().find(|code| says(code)).or(match status {
        404 => Some("NOT_FOUND"),
        403 if says("is disabled") || says("Permission ") => Some("PERMISSION_DENIED"),
        _ => None,
    })
}

/// The code of an OAuth error in what the SDK says about an answer (<https://www.rfc-editor.org/rfc/rfc6749#section-5.2>,
/// <https://www.rfc-editor.org/rfc/rfc8693#section-2.2.2>).
fn oauth_code(words: &str) -> Option<&'static str> {
    [
        "invalid_grant",
        "invalid_client",
        "invalid_request",
        "invalid_target",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
        "access_denied",
    ]
    .into_iter()
    .find(|code| words.contains(&format!("\"{code}\"")) || words.contains(&format!("\\\"{code}\\\"")))
}

/// Seconds; the other form, a date, is not used by Google.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
