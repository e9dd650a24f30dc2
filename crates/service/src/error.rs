//! Why a request was not served.

use std::borrow::Cow;

use leasehold_audit::{AuditError, Outcome};
use leasehold_envelope::EnvelopeError;
use leasehold_ids::{BindingId, TenantId};
use leasehold_lease::LeaseError;
use leasehold_provider::{Fault, ProviderError};
use leasehold_tenant::{BindingState, ChangeError, RegistryError, RevocationBound};

/// In what way an envelope is not one that may be unwrapped for the tenant of the request. None of them says anything
/// about another tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Foreign {
    /// It names another tenant, existing or not.
    #[error("it was not made for this tenant")]
    Tenant,
    /// It names a binding that this tenant does not have.
    #[error("it names a binding that this tenant does not have")]
    Binding,
    /// It names another cloud than its binding is on.
    #[error("it was not made by the cloud of its binding")]
    Provider,
    /// It names another key than its binding's.
    #[error("it was not made with the key of its binding")]
    Key,
    /// Its hierarchy is not its binding's.
    #[error("its hierarchy is not the one of its binding")]
    Hierarchy,
}

/// Why a request was not served; each variant says whose turn it is. [`ServiceError::reason`] is the word for programs.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// No rule allows the caller this. Says nothing about what exists.
    #[error("the caller is not allowed to do this")]
    PermissionDenied,
    /// There is no such tenant. Only callers whose rules cover the tenant learn it.
    #[error("there is no tenant {0}")]
    UnknownTenant(TenantId),
    /// The tenant has no such binding.
    #[error("the tenant has no binding {0}")]
    UnknownBinding(BindingId),
    /// The operator suspended the tenant.
    #[error("the tenant is suspended; resume it first")]
    TenantSuspended,
    /// The tenant is deleted.
    #[error("the tenant is deleted; undelete it first")]
    TenantDeleted,
    /// Nothing of the tenant's wraps.
    #[error("the tenant has no ACTIVE binding, and only an ACTIVE one wraps; activate one")]
    NoActiveBinding,
    /// The binding is in a state in which it unwraps nothing.
    #[error("binding {binding} is {state} and unwraps nothing; only ACTIVE and RETIRING bindings do")]
    BindingNotUsable {
        /// Which binding.
        binding: BindingId,
        /// Its state.
        state: BindingState,
    },
    /// A part of the request is not as it must be.
    #[error("{field} {what}")]
    InvalidArgument {
        /// Which part, as the API names it.
        field: &'static str,
        /// What it must be; follows the name of the field.
        what: Cow<'static, str>,
    },
    /// The wrapped key is no envelope.
    #[error("the wrapped key cannot be read")]
    MalformedEnvelope(#[source] EnvelopeError),
    /// The wrapped key is an envelope that may not be unwrapped here.
    #[error("the wrapped key is foreign")]
    ForeignEnvelope(#[source] Foreign),
    /// The encryption context is another than the one that the key was wrapped with.
    #[error("the encryption context is not the one that the key was wrapped with")]
    WrongContext,
    /// The etag is not that of the record as it is now, or the record changed faster than we could follow.
    #[error("the tenant was changed by somebody else in between: read it again and repeat the change")]
    Conflict,
    /// The id is taken; ids are never reused.
    #[error("tenant {0} exists already, or existed: ids are never reused")]
    TenantExists(TenantId),
    /// The model does not allow the change.
    #[error("the change is not possible")]
    Change(#[source] ChangeError),
    /// The leases of all tenants would need more proofs than may be planned. Says what this tenant's need, and nothing of the
    /// others'; the sums are in the log.
    #[error(
        "at a bound of {} s the tenant's leases, {leases} in this cloud, would need {needed:.4} proofs per second (2.5 per bound \
         each), and there is no room for so many: choose a longer bound, or have the operator raise proofs_per_second",
        bound.get().as_secs()
    )]
    OverBudget {
        /// How many leases the tenant would have in the cloud that has no room: one for each binding, two where keys have versions.
        leases: usize,
        /// Their bound.
        bound: RevocationBound,
        /// Proofs per second that they would need if all were in use.
        needed: f64,
    },
    /// One of the service's own bounds is reached.
    #[error("over a limit of the service: {0}")]
    OverLimit(&'static str),
    /// The lease, or the tenant's cloud, says no.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The registry does not answer. Retry.
    #[error("the registry of tenants is unavailable")]
    RegistryUnavailable,
    /// The decision could not be recorded, and what cannot be recorded is refused (promise P7).
    #[error("the decision could not be recorded, and what cannot be recorded is refused")]
    AuditUnavailable(#[source] AuditError),
}

impl ServiceError {
    /// Why, in UPPER_SNAKE; the reasons of the API's `ErrorReason`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::PermissionDenied => "CALLER_NOT_ALLOWED",
            Self::UnknownTenant(_) => "TENANT_NOT_FOUND",
            Self::UnknownBinding(_) | Self::Change(ChangeError::NoSuchBinding(_)) => "BINDING_NOT_FOUND",
            Self::TenantSuspended => "TENANT_SUSPENDED",
            Self::TenantDeleted => "TENANT_DELETED",
            Self::NoActiveBinding => "NO_ACTIVE_BINDING",
            Self::BindingNotUsable { .. } => "BINDING_NOT_USABLE",
            Self::InvalidArgument { .. } => "INVALID_FIELD",
            Self::MalformedEnvelope(_) => "MALFORMED_ENVELOPE",
            Self::ForeignEnvelope(_) => "FOREIGN_ENVELOPE",
            Self::WrongContext => "WRONG_CONTEXT",
            Self::Conflict => "ETAG_MISMATCH",
            Self::TenantExists(_) | Self::Change(ChangeError::BindingExists(_)) => "ALREADY_EXISTS",
            Self::OverLimit(_) | Self::Change(ChangeError::TooManyBindings { .. }) => "OVER_LIMIT",
            Self::Change(_) => "WRONG_STATE",
            Self::OverBudget { .. } => "PROOF_BUDGET_EXCEEDED",
            Self::Lease(error) => lease_reason(error),
            Self::RegistryUnavailable => "REGISTRY_UNAVAILABLE",
            Self::AuditUnavailable(_) => "AUDIT_UNAVAILABLE",
        }
    }

    /// How the record says that it ended: refused by decision, or failed for want of an answer or of room.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::OverLimit(_) | Self::RegistryUnavailable | Self::AuditUnavailable(_) => Outcome::Failed,
            Self::Lease(
                LeaseError::Lapsed(_)
                | LeaseError::Unavailable(_)
                | LeaseError::Masked(_)
                | LeaseError::OwnIdentity(_)
                | LeaseError::Throttled { .. }
                | LeaseError::SessionExpired(_)
                | LeaseError::TooManyVersions
                | LeaseError::ArenaFull
                | LeaseError::Internal(_),
            ) => Outcome::Failed,
            _ => Outcome::Refused,
        }
    }

    /// What the tenant's cloud answered, if it was asked.
    #[must_use]
    pub fn cloud(&self) -> Option<&ProviderError> {
        let Self::Lease(error) = self else { return None };
        match error {
            LeaseError::Denied(e)
            | LeaseError::RequestDenied(e)
            | LeaseError::OutOfDate(e)
            | LeaseError::Lapsed(Some(e))
            | LeaseError::Unavailable(e)
            | LeaseError::Masked(e)
            | LeaseError::OwnIdentity(e)
            | LeaseError::SessionExpired(e)
            | LeaseError::Rejected(e)
            | LeaseError::UnknownVersion(e)
            | LeaseError::Misconfigured(e)
            | LeaseError::Throttled { source: e, .. } => Some(e),
            _ => None,
        }
    }

    pub(crate) fn invalid(field: &'static str, what: impl Into<Cow<'static, str>>) -> Self {
        Self::InvalidArgument { field, what: what.into() }
    }
}

impl From<RegistryError> for ServiceError {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Exists(id) => Self::TenantExists(id),
            RegistryError::NotFound(id) => Self::UnknownTenant(id),
            RegistryError::Conflict(_) => Self::Conflict,
            error => {
                // What the store said is for the operator; callers are told to retry.
                tracing::warn!(error = &error as &dyn std::error::Error, "the registry did not answer");
                Self::RegistryUnavailable
            }
        }
    }
}

impl From<ChangeError> for ServiceError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NoSuchBinding(id) => Self::UnknownBinding(id),
            error => Self::Change(error),
        }
    }
}

fn lease_reason(error: &LeaseError) -> &'static str {
    match error {
        LeaseError::Denied(e) if matches!(e.fault(), Fault::KeyUnusable(_)) => "KEY_UNUSABLE",
        LeaseError::Denied(_) => "BINDING_DENIED",
        // Nothing but this request is refused: what was wrapped before still unwraps.
        LeaseError::RequestDenied(_) | LeaseError::OutOfDate(_) => "REQUEST_DENIED",
        LeaseError::Lapsed(_) => "LEASE_LAPSED",
        LeaseError::Unavailable(_) | LeaseError::SessionExpired(_) => "CLOUD_UNAVAILABLE",
        LeaseError::Masked(_) | LeaseError::OwnIdentity(_) => "OWN_IDENTITY",
        LeaseError::Throttled { .. } => "THROTTLED",
        LeaseError::ArenaFull | LeaseError::TooManyVersions => "OVER_LIMIT",
        LeaseError::Rejected(_) => "CLOUD_REJECTED",
        LeaseError::Misconfigured(_) => "BINDING_MISCONFIGURED",
        LeaseError::Envelope(_) => "MALFORMED_ENVELOPE",
        LeaseError::ForeignEnvelope | LeaseError::WrongHierarchy | LeaseError::UnknownVersion(_) => {
            "FOREIGN_ENVELOPE"
        }
        LeaseError::WrongContext => "WRONG_CONTEXT",
        LeaseError::Ended(_) | LeaseError::LeaseOver => "LEASE_ENDED",
        LeaseError::NotActivated | LeaseError::UnknownProvider(_) => "BINDING_NOT_USABLE",
        _ => "INTERNAL",
    }
}
