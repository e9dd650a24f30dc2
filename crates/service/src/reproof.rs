//! Proofs that an event feed has begun, and does not wait for.

use leasehold_authz::Operation;
use leasehold_ids::{BindingName, TenantId};
use leasehold_lease::LeaseView;

use crate::{Caller, Service, ServiceError};

/// Proofs of a tenant's bindings that somebody may have begun, and that were not begun yet.
#[derive(Debug, Clone)]
pub struct Reproof {
    service: Service,
    tenant: TenantId,
}

impl Reproof {
    /// Whose bindings.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Proves every binding that unwraps, beginning now. A denial is no error. The same decision covers doing it again soon
    /// after.
    ///
    /// # Errors
    /// What [`Service::reprove_tenant`] may fail with, once the caller was admitted.
    pub async fn prove(&self) -> Result<Vec<(BindingName, LeaseView)>, ServiceError> {
        self.service.reprove(&self.tenant).await
    }
}

impl Service {
    /// Decides on the same as [`Service::reprove_tenant`], without waiting for the proofs: whoever only wants them begun is
    /// answered at once, and what was decided is recorded by then.
    ///
    /// # Errors
    /// [`ServiceError::TenantSuspended`], [`ServiceError::TenantDeleted`].
    pub async fn request_reprove(&self, caller: &Caller, id: &TenantId) -> Result<Reproof, ServiceError> {
        let decision = self.admit(caller, Operation::ReproveTenant, Some(id)).await?;
        let result = self.served_tenant(id).await;
        let result = result.map(|tenant| Reproof { service: self.clone(), tenant: tenant.id.clone() });
        decision.conclude(result).await
    }
}
