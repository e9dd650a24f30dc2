//! Temporary credentials of a tenant's principal.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use leasehold_ids::TenantId;

use crate::budget::Lane;

/// A session: the tenant's principal as we became it, with the key that it is for. Cheap to clone; what it holds is
/// dropped, and so wiped, with its last clone. Only the provider that made it can look inside.
#[derive(Clone)]
pub struct Session {
    expires_at: SystemTime,
    charged_to: Option<TenantId>,
    lane: Lane,
    credentials: Arc<dyn Any + Send + Sync>,
}

impl Session {
    /// A session that the cloud will honour until `expires_at`. `credentials` must wipe itself when dropped.
    pub fn new<T: Any + Send + Sync>(expires_at: SystemTime, credentials: T) -> Self {
        Self { expires_at, charged_to: None, lane: Lane::Request, credentials: Arc::new(credentials) }
    }

    /// The same session, whose calls are charged to the budget of `tenant`. [`crate::Guarded`] says so of every session
    /// that it gives out.
    #[must_use]
    pub(crate) fn charged_to(mut self, tenant: TenantId) -> Self {
        self.charged_to = Some(tenant);
        self
    }

    /// The same session for a proof: all calls with it take the places that are kept for proofs, whatever they unwrap.
    #[must_use]
    pub fn for_a_proof(&self) -> Self {
        Self { lane: Lane::Proof, ..self.clone() }
    }

    pub(crate) fn lane(&self) -> Lane {
        self.lane
    }

    /// Whose budget calls with this session are charged to; `None` if it did not come through [`crate::Guarded`].
    #[must_use]
    pub fn tenant(&self) -> Option<&TenantId> {
        self.charged_to.as_ref()
    }

    /// When the cloud stops honouring it, by the cloud's word and the wall clock.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// What the provider put in; `None` if another provider made this session.
    #[must_use]
    pub fn credentials<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.credentials.downcast_ref()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
