//! Whose lease it is: a binding as it was at one revision of its tenant.

use std::sync::Arc;

use leasehold_envelope::KeyVersion;
use leasehold_ids::{BindingName, TenantId};
use leasehold_tenant::{Binding, LeaseTerms, Tenant};

/// A binding with its tenant's terms, as the registry had them at one revision.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The revision of the tenant's record; a lease follows the newest one that it was shown.
    pub revision: u64,
    /// The terms under which the lease runs.
    pub terms: LeaseTerms,
    /// The binding.
    pub binding: Arc<Binding>,
}

impl Subject {
    /// `binding` of `tenant`.
    #[must_use]
    pub fn of(tenant: &Tenant, binding: &Binding) -> Self {
        Self { revision: tenant.revision, terms: tenant.terms, binding: Arc::new(binding.clone()) }
    }

    /// The binding's name.
    #[must_use]
    pub fn name(&self) -> &BindingName {
        &self.binding.name
    }

    /// The tenant that the binding belongs to.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        self.binding.name.tenant()
    }
}

/// What one lease covers: a binding and one version of its key, since clouds disable versions one by one. The version is
/// empty on clouds that have none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LeaseId {
    pub(crate) binding: BindingName,
    pub(crate) key_version: KeyVersion,
}
