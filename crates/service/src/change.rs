//! How records are changed: read, check, change, compare and swap, apply.

use std::sync::Arc;
use std::time::SystemTime;

use leasehold_ids::TenantId;
use leasehold_tenant::Tenant;

use crate::decision::Decision;
use crate::plan::Need;
use crate::{Service, ServiceError};

/// How often a change without an etag is repeated when somebody else was faster. Each loss means that another change went
/// through, and people change a tenant a few times a day.
const ATTEMPTS: usize = 8;

/// Whether a change is made or only checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Make it.
    #[default]
    Apply,
    /// Check everything that would be checked, and change nothing.
    ValidateOnly,
}

/// Under which condition, and in which mode, a change is made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangeOptions {
    /// The etag that the record must have; empty for any: the last change wins.
    pub etag: String,
    /// Whether it is made or only checked.
    pub mode: Mode,
}

/// What stands for one state of a tenant's record. Opaque to callers; equal for equal states.
#[must_use]
pub fn etag(tenant: &Tenant) -> String {
    format!("r{:x}", tenant.revision)
}

impl ChangeOptions {
    /// Whether `tenant` is in the state that the caller wants to change.
    pub(crate) fn check(&self, tenant: &Tenant) -> Result<(), ServiceError> {
        if self.etag.is_empty() || self.etag == etag(tenant) { Ok(()) } else { Err(ServiceError::Conflict) }
    }
}

impl Service {
    /// Changes a tenant's record by `change`, which must be a pure function: it runs again if somebody else was faster. The
    /// decision is recorded before the change can be seen, and the change applies to live leases before this returns.
    pub(crate) async fn change(
        &self,
        decision: &mut Decision,
        id: &TenantId,
        options: &ChangeOptions,
        change: impl Fn(Tenant, SystemTime) -> Result<Tenant, ServiceError> + Send,
    ) -> Result<Arc<Tenant>, ServiceError> {
        decision.in_mode(options.mode);
        let directory = &self.inner.directory;
        for _ in 0..ATTEMPTS {
            let current = directory.read(id).await?;
            options.check(&current)?;
            let changed = Arc::new(change(Tenant::clone(&current), self.inner.clock.wall())?);
            directory.check_plan(id, &Need::of(&current), &Need::of(&changed)).await?;
            if options.mode == Mode::ValidateOnly {
                return Ok(changed);
            }
            decision.serve().await?;
            let (writer, new) = (Arc::clone(directory), Arc::clone(&changed));
            let replace = async move {
                let replaced = writer.registry().replace(Tenant::clone(&new), current.revision);
                writer.within_deadline(replaced).await?;
                writer.wrote(&new);
                Ok(())
            };
            match decision.carry_out(replace).await {
                Ok(()) => return Ok(changed),
                Err(ServiceError::Conflict) if options.etag.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
        Err(ServiceError::Conflict)
    }
}
