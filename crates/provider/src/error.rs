//! Whose answer a failure is.

use std::fmt;
use std::time::Duration;

/// The edge that the tenant cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Edge {
    /// We may not become the principal.
    Trust {
        /// Which hop of the role chain said no, from 0. Only the first hop's refusal can be our own identity's fault.
        hop: usize,
    },
    /// The principal may not use the key.
    Key,
    /// Nobody may use this version of the key, says who keeps it for the cloud. Of other versions, which may be kept elsewhere,
    /// it says nothing.
    Version,
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trust { hop: 0 } => f.write_str("trust"),
            Self::Trust { hop } => write!(f, "trust (hop {})", hop + 1),
            Self::Key => f.write_str("key"),
            Self::Version => f.write_str("key version"),
        }
    }
}

/// Why a key cannot be used by anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// Disabled, the key or the version.
    Disabled,
    /// Scheduled for deletion, or its material awaits import.
    PendingDeletion,
    /// There is no such key.
    NotFound,
    /// Past its expiry. Some clouds go on unwrapping with such a key, and refuse wraps alone.
    Expired,
    /// Before the date from which on it may be used; as with [`Self::Expired`].
    NotYetValid,
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disabled => "disabled",
            Self::PendingDeletion => "pending deletion or import",
            Self::NotFound => "not found",
            Self::Expired => "expired",
            Self::NotYetValid => "not valid yet",
        })
    }
}

/// Who throttled us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Throttler {
    /// The cloud; the quota is the tenant's or ours.
    Cloud,
    /// Our own budget for this tenant.
    OwnBudget,
}

/// Whose answer a failure is, and so what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The cloud said no. A denial: of the binding if it answers an assume or the canary, of one request otherwise.
    Denied {
        /// Which edge was cut.
        edge: Edge,
    },
    /// The key cannot be used by anybody. A denial too.
    KeyUnusable(KeyState),
    /// Slow down. Neither a denial nor a proof.
    Throttled {
        /// Whose limit it was.
        by: Throttler,
        /// How long the limiter wants us to wait, if it said.
        retry_after: Option<Duration>,
    },
    /// No answer, or an answer that says nothing about us: a timeout, a 5xx, an unknown code. Neither a denial nor a proof.
    Unavailable,
    /// The session is no longer accepted: assume again, once.
    SessionExpired,
    /// This ciphertext, context or parameter is wrong. The caller's affair, never a denial.
    Rejected,
    /// Our own credentials failed before the tenant's cloud was asked. Never a denial.
    OwnIdentity,
    /// The binding's settings cannot work; nothing was asked of the cloud, or the cloud said that they cannot.
    Misconfigured,
}

/// A failed call to a cloud. Keeps the cloud's own code and request id, so that an operator and the tenant can find the
/// call in the tenant's audit log. Never holds key bytes or credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    fault: Fault,
    code: Option<Box<str>>,
    request_id: Option<Box<str>>,
    detail: Box<str>,
}

/// Most bytes of a cloud's own words that are kept; longer ones are cut at a character boundary.
const MAX_DETAIL: usize = 512;
/// Most bytes of a cloud's code or request id that are kept. 128: the clouds' own have at most 60 or so.
const MAX_WORD: usize = 128;

impl ProviderError {
    /// A failure of this kind; `detail` is one lower-case clause, or the cloud's own words.
    pub fn new(fault: Fault, detail: impl Into<String>) -> Self {
        let mut detail: String = detail.into();
        detail.truncate(detail.floor_char_boundary(MAX_DETAIL));
        Self { fault, code: None, request_id: None, detail: detail.into() }
    }

    /// The same with the cloud's code, for example `AccessDeniedException`. Cut at 128 bytes, and on one line.
    #[must_use]
    pub fn with_code(mut self, code: Option<&str>) -> Self {
        self.code = code.map(word);
        self
    }

    /// The same with the cloud's request id, kept as a code is.
    #[must_use]
    pub fn with_request_id(mut self, request_id: Option<&str>) -> Self {
        self.request_id = request_id.map(word);
        self
    }

    /// Whose answer it is.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// The cloud's code, if it gave one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The cloud's request id, if it gave one.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// What happened, in one clause. At most 512 bytes.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Whether the cloud said no: to our becoming the principal, to the principal's using the key, or to anybody's.
    #[must_use]
    pub fn is_denial(&self) -> bool {
        matches!(self.fault, Fault::Denied { .. } | Fault::KeyUnusable(_))
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            Fault::Denied { edge } => write!(f, "denied at the {edge} edge")?,
            Fault::KeyUnusable(state) => write!(f, "the key is {state}")?,
            Fault::Throttled { by: Throttler::Cloud, .. } => f.write_str("throttled by the cloud")?,
            Fault::Throttled { by: Throttler::OwnBudget, .. } => {
                f.write_str("over our own budget for this tenant")?
            }
            Fault::Unavailable => f.write_str("the cloud is unavailable")?,
            Fault::SessionExpired => f.write_str("the session expired")?,
            Fault::Rejected => f.write_str("the cloud rejected the request")?,
            Fault::OwnIdentity => f.write_str("our own identity failed")?,
            Fault::Misconfigured => f.write_str("the binding is misconfigured")?,
        }
        write!(f, ": {}", self.detail)?;
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        Ok(())
    }
}

impl std::error::Error for ProviderError {}

/// A word of a cloud's that can be logged, recorded and sent on, whoever really answered.
fn word(text: &str) -> Box<str> {
    let text = &text[..text.floor_char_boundary(MAX_WORD)];
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p9_what_a_cloud_says_is_kept_short_and_its_words_on_one_line() {
        let long = "é\n".repeat(100_000);
        let error = ProviderError::new(Fault::Unavailable, long.as_str());
        let error = error.with_code(Some(&long)).with_request_id(Some(&long));
        assert!(error.detail().len() <= MAX_DETAIL && long.starts_with(error.detail()));
        for word in [error.code().unwrap(), error.request_id().unwrap()] {
            assert!((MAX_WORD - 3..=MAX_WORD).contains(&word.len()), "{}", word.len());
            assert!(word.starts_with("é é ") && !word.contains('\n'));
        }
        let error = error.with_code(Some("AccessDenied")).with_request_id(None);
        assert_eq!((error.code(), error.request_id()), (Some("AccessDenied"), None));
    }
}
