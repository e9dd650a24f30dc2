//! The service put together, and the stage that every request passes first.

use std::fmt;
use std::sync::Arc;

use leasehold_audit::Sink;
use leasehold_authz::Identity;
use leasehold_authz::{Authorizer, Operation, Verdict};
use leasehold_clock::TimeSource;
use leasehold_ids::{DeploymentId, ProviderKind, TenantId};
use leasehold_lease::{Leases, Providers};
use leasehold_tenant::{Registry, Tenant};
use tokio::task::AbortHandle;

use crate::decision::{Decision, Recorder};
use crate::directory::Directory;
use crate::meter::LastFailure;
use crate::room::Room;
use crate::verify::Verifying;
use crate::{Caller, ServiceError, Settings};

/// What a service is built of.
pub struct Parts {
    /// Where tenants are kept.
    pub registry: Arc<dyn Registry>,
    /// The leases of this process.
    pub leases: Leases,
    /// Who may do what.
    pub authorizer: Arc<dyn Authorizer>,
    /// Where decisions are recorded.
    pub audit: Arc<dyn Sink>,
    /// The time.
    pub clock: Arc<dyn TimeSource>,
    /// Which deployment this is; external ids are derived from it.
    pub deployment: DeploymentId,
    /// The clouds; the same ones that the leases use.
    pub providers: Providers,
    /// Bounds and choices.
    pub settings: Settings,
}

/// The whole pipeline behind the API. Cheap to clone; clones are one service.
#[derive(Clone)]
pub struct Service {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) directory: Arc<Directory>,
    pub(crate) leases: Leases,
    pub(crate) clock: Arc<dyn TimeSource>,
    pub(crate) deployment: DeploymentId,
    pub(crate) providers: Providers,
    pub(crate) watches: Room<Identity>,
    pub(crate) of_tenants: Room<TenantId>,
    pub(crate) of_clouds: Room<ProviderKind>,
    pub(crate) verifying: Verifying,
    authorizer: Arc<dyn Authorizer>,
    pub(crate) recorder: Arc<Recorder>,
    follower: AbortHandle,
}

impl Service {
    /// Puts the parts together and begins to follow the registry's changes. Must be called on a tokio runtime; what it
    /// starts there ends with the last clone.
    #[must_use]
    pub fn build(parts: Parts) -> Self {
        // Subscribed before anything is read, so that no change falls in between.
        let announced = parts.registry.changes();
        let (clock, settings) = (Arc::clone(&parts.clock), parts.settings.clone());
        let directory = Directory::new(parts.registry, parts.leases.clone(), clock, settings);
        let directory = Arc::new(directory);
        let follower = tokio::spawn(Arc::clone(&directory).follow(announced)).abort_handle();
        let recorder = Recorder {
            sink: parts.audit,
            clock: Arc::clone(&parts.clock),
            on_failure: parts.settings.on_audit_failure,
            last_failure: LastFailure::default(),
        };
        let calls = parts.settings.calls;
        let inner = Inner {
            directory,
            leases: parts.leases,
            clock: parts.clock,
            deployment: parts.deployment,
            providers: parts.providers,
            watches: Room::new(parts.settings.watches),
            of_tenants: Room::sharing(calls, calls / 4, calls / 16),
            of_clouds: Room::sharing(calls, 0, calls / 8 * 3),
            verifying: Verifying::default(),
            authorizer: parts.authorizer,
            recorder: Arc::new(recorder),
            follower,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Whether decisions can be recorded, as far as is known: while they cannot, all are refused.
    #[must_use]
    pub fn records(&self) -> bool {
        self.inner.recorder.works()
    }

    /// The stage before every other: nothing is looked up for a caller that no rule allows (promise P6).
    pub(crate) async fn admit(
        &self,
        caller: &Caller,
        what: Operation,
        tenant: Option<&TenantId>,
    ) -> Result<Decision, ServiceError> {
        let mut decision = self.begin(caller, what, tenant);
        match self.inner.authorizer.decide(&caller.identity, what, tenant) {
            Verdict::Allowed { rule } => {
                decision.allowed_by(rule);
                Ok(decision)
            }
            Verdict::Refused => Err(decision.refuse(ServiceError::PermissionDenied).await),
        }
    }

    /// Whether the caller may do `what` to `tenant`, for what is no decision: a listing that was admitted is filtered so.
    #[must_use]
    pub fn allows(&self, caller: &Caller, what: Operation, tenant: &TenantId) -> bool {
        self.inner.authorizer.decide(&caller.identity, what, Some(tenant)).is_allowed()
    }

    /// The tenant, if keys are served for it.
    pub(crate) async fn served_tenant(&self, id: &TenantId) -> Result<Arc<Tenant>, ServiceError> {
        let tenant = self.inner.directory.tenant(id).await?;
        check_served(&tenant)?;
        Ok(tenant)
    }
}

/// Whether keys are served for `tenant`, and if not, why.
pub(crate) fn check_served(tenant: &Tenant) -> Result<(), ServiceError> {
    if tenant.deleted.is_some() {
        Err(ServiceError::TenantDeleted)
    } else if tenant.is_served() {
        Ok(())
    } else {
        Err(ServiceError::TenantSuspended)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("deployment", &self.inner.deployment).finish_non_exhaustive()
    }
}
