//! Requests that never came to a decision.

use leasehold_audit::{Outcome, Stranger};
use leasehold_authz::Operation;
use leasehold_ids::TenantId;

use crate::decision::Decision;
use crate::{Caller, Service};

impl Service {
    /// Records a request of `caller` that could not be read, or not be held, so that there was nothing to decide; `reason` is
    /// one of the API's. The refusal stands whether or not it can be recorded.
    pub async fn refused_unread(
        &self,
        caller: &Caller,
        what: Operation,
        tenant: Option<&TenantId>,
        outcome: Outcome,
        reason: &'static str,
    ) {
        self.begin(caller, what, tenant).refused_unread(outcome, reason).await;
    }

    /// Counts somebody who was turned away before there was a request of theirs to decide on.
    pub fn turned_away(&self, stranger: Stranger) {
        self.inner.recorder.turned_away(stranger);
    }

    pub(crate) fn begin(&self, caller: &Caller, what: Operation, tenant: Option<&TenantId>) -> Decision {
        Decision::begin(&self.inner.recorder, caller, what, tenant)
    }
}
