//! Why nothing was served.

use std::sync::Arc;
use std::time::Duration;

use leasehold_envelope::EnvelopeError;
use leasehold_ids::ProviderKind;
use leasehold_provider::{Fault, ProviderError};
use leasehold_secret::SecretError;

/// Why a lease was ended by us rather than by the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The tenant was suspended.
    Suspended,
    /// The tenant was deleted.
    Deleted,
    /// The binding was changed or retired.
    Changed,
    /// The service is shutting down.
    ShuttingDown,
}

impl std::fmt::Display for EndReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Suspended => "the tenant is suspended",
            Self::Deleted => "the tenant is deleted",
            Self::Changed => "the binding changed in between",
            Self::ShuttingDown => "the service is shutting down",
        })
    }
}

/// Why nothing was served. Cheap to clone: the waiters of one flight all get the same.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// The tenant's cloud denies us the principal or the key. The tenant must let us in again.
    #[error("the tenant's cloud denies access")]
    Denied(#[source] Arc<ProviderError>),
    /// The tenant's cloud denied this request and not (yet) the binding, as a key policy that forbids one encryption
    /// context does.
    #[error("the tenant's cloud denies this request")]
    RequestDenied(#[source] Arc<ProviderError>),
    /// The version of the key that wraps is past its expiry, or before the date from which it may be used; the cloud wraps
    /// nothing with it. The tenant makes a new version, which is followed by itself, or changes the dates. What was wrapped
    /// before still unwraps.
    #[error(
        "the key wraps nothing outside of its dates: make a new version or change them; what it wrapped still unwraps"
    )]
    OutOfDate(#[source] Arc<ProviderError>),
    /// The bound passed without a proof, because the cloud did not answer. Retry.
    #[error("the lease lapsed: its bound passed without a proof")]
    Lapsed(#[source] Option<Arc<ProviderError>>),
    /// The cloud did not answer. Retry.
    #[error("the tenant's cloud is unavailable")]
    Unavailable(#[source] Arc<ProviderError>),
    /// The cloud denied us, and denied the operator's sentinel too: our own identity seems broken. The operator's affair.
    #[error("the service's own identity seems broken")]
    Masked(#[source] Arc<ProviderError>),
    /// Our own credentials failed before the tenant's cloud was asked. The operator's affair.
    #[error("the service's own identity failed")]
    OwnIdentity(#[source] Arc<ProviderError>),
    /// Slow down.
    #[error("throttled")]
    Throttled {
        /// How long to wait, if the limiter said.
        retry_after: Option<Duration>,
        /// What the limiter said.
        #[source]
        source: Arc<ProviderError>,
    },
    /// The ciphertext, context or parameter is wrong.
    #[error("the tenant's cloud rejected the wrapped key or its context")]
    Rejected(#[source] Arc<ProviderError>),
    /// The binding's settings cannot work.
    #[error("the binding is misconfigured")]
    Misconfigured(#[source] Arc<ProviderError>),
    /// The bytes are not an envelope that this release reads.
    #[error("the wrapped key cannot be read")]
    Envelope(#[source] EnvelopeError),
    /// The wrapped key was made with another encryption context.
    #[error("the encryption context is not the one that the key was wrapped with")]
    WrongContext,
    /// The wrapped key belongs to another binding than the one it was presented for.
    #[error("the wrapped key does not belong to this binding")]
    ForeignEnvelope,
    /// The envelope's hierarchy is not one that its binding allows.
    #[error("the wrapped key's hierarchy is not one that the binding allows")]
    WrongHierarchy,
    /// The binding's key has no such version as the envelope names: the envelope is wrong, or the version was deleted.
    #[error("the key has no such version as the wrapped key names")]
    UnknownVersion(#[source] Arc<ProviderError>),
    /// We ended the lease.
    #[error("the lease was ended: {0}")]
    Ended(EndReason),
    /// The lease that the answer was made under is over; the answer was thrown away. Retry.
    #[error("the lease ended before the answer could be given")]
    LeaseOver,
    /// The session ran out in mid-request, twice. Retry.
    #[error("the session with the tenant's cloud expired")]
    SessionExpired(#[source] Arc<ProviderError>),
    /// Keys of more versions are asked for at once than a binding may have leases.
    #[error("too many versions of the key are in use at once")]
    TooManyVersions,
    /// The binding has no canary: it was never activated.
    #[error("the binding is not activated")]
    NotActivated,
    /// No provider of this kind is built in or enabled.
    #[error("no provider {0} is enabled")]
    UnknownProvider(ProviderKind),
    /// Locked memory is full. Retry, or give the process more.
    #[error("locked memory for keys is exhausted")]
    ArenaFull,
    /// Something that cannot happen did. Nothing was served.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

impl LeaseError {
    /// How long the cloud, or our own limit, wants us to wait, if it said.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What a provider's failure means when it answers a proof.
    pub(crate) fn from_proof(error: Arc<ProviderError>) -> Self {
        match error.fault() {
            Fault::Denied { .. } | Fault::KeyUnusable(_) => Self::Denied(error),
            _ => Self::from_request(error),
        }
    }

    /// What a provider's failure means when it answers a caller's request.
    pub(crate) fn from_request(error: Arc<ProviderError>) -> Self {
        match error.fault() {
            Fault::Denied { .. } => Self::RequestDenied(error),
            Fault::KeyUnusable(_) => Self::Denied(error),
            Fault::Throttled { retry_after, .. } => {
                Self::Throttled { retry_after: *retry_after, source: error }
            }
            Fault::Rejected => Self::Rejected(error),
            Fault::SessionExpired => Self::SessionExpired(error),
            Fault::OwnIdentity => Self::OwnIdentity(error),
            Fault::Misconfigured => Self::Misconfigured(error),
            _ => Self::Unavailable(error),
        }
    }
}

impl From<SecretError> for LeaseError {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::ArenaFull { .. } => Self::ArenaFull,
            SecretError::Wiped => Self::LeaseOver,
            SecretError::NotAuthentic => Self::Internal("a cached key did not open under its own lease"),
            SecretError::KeyExhausted => Self::LeaseOver,
            _ => Self::Internal("a secret could not be handled"),
        }
    }
}
