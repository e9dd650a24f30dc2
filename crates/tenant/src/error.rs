//! Why a change or a look-up was refused.

use leasehold_ids::{BindingId, TenantId};

/// A change that the model does not allow. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// The tenant has no binding of that id.
    #[error("the tenant has no binding {0}")]
    NoSuchBinding(BindingId),
    /// The id is taken, perhaps by a retired binding; ids are never reused.
    #[error("binding {0} exists already, and ids are never reused: choose another")]
    BindingExists(BindingId),
    /// The tenant has as many bindings as it may have.
    #[error("a tenant has at most {max} bindings, retired ones included")]
    TooManyBindings {
        /// [`crate::MAX_BINDINGS`].
        max: usize,
    },
    /// The binding is not in a state that allows the change.
    #[error("binding {binding} is {actual}, and {wanted} is needed")]
    WrongBindingState {
        /// Which binding.
        binding: BindingId,
        /// Its state now.
        actual: crate::BindingState,
        /// What would allow the change.
        wanted: &'static str,
    },
    /// The tenant is not in a state that allows the change.
    #[error("the tenant is {actual}, and {wanted} is needed")]
    WrongTenantState {
        /// Its state now.
        actual: &'static str,
        /// What would allow the change.
        wanted: &'static str,
    },
}

/// Lease terms outside of what Leasehold allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TermsError {
    /// See [`crate::RevocationBound`].
    #[error("revocation_bound must be from 15 s to 1 h")]
    BoundOutOfRange,
    /// See [`crate::LeaseTerms::entry_max_age`].
    #[error("entry_max_age must be from 1 s to 24 h")]
    EntryMaxAgeOutOfRange,
    /// See [`crate::LeaseTerms::idle_after`].
    #[error("idle_after must be from 1 s to 24 h")]
    IdleAfterOutOfRange,
}

/// Why the registry did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The id is taken, perhaps by a deleted tenant; ids are never reused.
    #[error("tenant {0} exists already, or existed: ids are never reused")]
    Exists(TenantId),
    /// There is no such tenant.
    #[error("there is no tenant {0}")]
    NotFound(TenantId),
    /// Somebody else changed the record in between. Read it again and repeat the change.
    #[error("tenant {0} was changed by somebody else in between: read it again and repeat the change")]
    Conflict(TenantId),
    /// The new record cannot come after the one that is kept. Nothing was changed; repeating it does not help.
    #[error("the new record of tenant {0} does not follow the one that is kept")]
    Unfollowing(TenantId, #[source] crate::Discontinuity),
    /// A record that this release cannot read, because another one wrote it or it was altered by hand; or cannot write.
    #[error("the record of tenant {tenant} is not one that can be kept")]
    BadRecord {
        /// Whose record.
        tenant: String,
        /// Which part of it, and why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store does not answer.
    #[error("the registry is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}
