//! Verification of a binding: whether it works, and if not, at which step and why.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use leasehold_authz::Operation;
use leasehold_ids::{BindingName, TenantId};
use leasehold_lease::{Examination, Subject};
use leasehold_provider::{Depth, Verdict};
use leasehold_tenant::{Binding, BindingState, ChangeError, Tenant};

use crate::decision::Decision;
use crate::{Caller, Service, ServiceError};

/// What a verification found.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Each step.
    pub examination: Examination,
    /// The state of the binding that was verified.
    pub state: BindingState,
}

/// The tenants of whom a binding is being verified. One at a time for each: a verification makes a dozen calls among those
/// of the tenant's proofs, and many at once would keep the tenant's leases from being proven.
#[derive(Debug, Default)]
pub(crate) struct Verifying(Mutex<BTreeSet<TenantId>>);

/// A verification under way, until it is dropped.
struct Turn<'a> {
    all: &'a Verifying,
    tenant: TenantId,
}

impl Verifying {
    fn begin(&self, tenant: &TenantId) -> Result<Turn<'_>, ServiceError> {
        match self.tenants().insert(tenant.clone()) {
            true => Ok(Turn { all: self, tenant: tenant.clone() }),
            false => Err(ServiceError::OverLimit("verifications of one tenant at a time")),
        }
    }

    fn tenants(&self) -> MutexGuard<'_, BTreeSet<TenantId>> {
        // The set is whole after every statement that holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.all.tenants().remove(&self.tenant);
    }
}

impl Verified {
    /// Why the binding does not work, as a refused key operation would say; none if it works.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        if self.examination.verdict() != Verdict::Failed {
            return None;
        }
        let failure = self.examination.failure.clone().map(ServiceError::from);
        // What only a closer look does not like is how the tenant set things up.
        Some(failure.map_or("BINDING_MISCONFIGURED", |failure| failure.reason()))
    }
}

impl Service {
    /// Tries a binding step by step in the tenant's cloud. Changes nothing and ends no lease; that the binding does not work
    /// is no error, but what the answer says.
    ///
    /// A PENDING binding can be verified before it is activated, and one of a suspended tenant too: a suspension ends what
    /// is held and stops what goes on by itself, and this does neither. It is how an operator finds out whether resuming
    /// will work. A deleted tenant's cloud is not asked any more, and neither is that of a RETIRED binding.
    ///
    /// # Errors
    /// [`ServiceError::UnknownBinding`]; [`ServiceError::TenantDeleted`]; [`ServiceError::Change`] if the binding is RETIRED;
    /// [`ServiceError::OverLimit`] while another binding of the tenant, or this one, is being verified.
    pub async fn verify_binding(
        &self,
        caller: &Caller,
        name: &BindingName,
        depth: Depth,
    ) -> Result<Verified, ServiceError> {
        let mut decision = self.admit(caller, Operation::VerifyBinding, Some(name.tenant())).await?;
        let result = self.verify(&mut decision, name, depth).await;
        decision.conclude(result).await
    }

    async fn verify(
        &self,
        decision: &mut Decision,
        name: &BindingName,
        depth: Depth,
    ) -> Result<Verified, ServiceError> {
        let tenant = self.inner.directory.read(name.tenant()).await?;
        let binding = verifiable(&tenant, name)?;
        decision.about(binding);
        let _turn = self.inner.verifying.begin(&tenant.id)?;
        let examination = self.inner.leases.examine(&Subject::of(&tenant, binding), depth).await;
        if let Some(failure) = examination.failure.clone().map(ServiceError::from) {
            decision.told(failure.cloud());
        }
        Ok(Verified { examination, state: binding.state })
    }
}

/// The binding, if its cloud may be asked now.
fn verifiable<'t>(tenant: &'t Tenant, name: &BindingName) -> Result<&'t Binding, ServiceError> {
    let binding = tenant.binding(name.binding())?;
    if tenant.deleted.is_some() {
        return Err(ServiceError::TenantDeleted);
    }
    if binding.state != BindingState::Retired {
        return Ok(binding);
    }
    let (binding, actual) = (name.binding().clone(), binding.state);
    Err(ChangeError::WrongBindingState { binding, actual, wanted: "PENDING, ACTIVE or RETIRING" }.into())
}
