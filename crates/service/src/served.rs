//! An answer that is ready, but not yet given.

use leasehold_ids::BindingName;
use leasehold_lease::{Held, LeaseError, LeaseState, Leases, Released};

use crate::ServiceError;
use crate::decision::Decision;

/// An answer under a lease, with the record that is still to be written. Dropping it wipes the answer and records that it
/// was abandoned.
pub struct Served<T> {
    held: Held<T>,
    binding: BindingName,
    /// Another binding whose lease must be live too.
    also: Option<(Leases, BindingName)>,
    decision: Decision,
}

impl<T> Served<T> {
    pub(crate) fn new(held: Held<T>, binding: BindingName, mut decision: Decision) -> Self {
        decision.answered_with(&held);
        Self { held, binding, also: None, decision }
    }

    /// The same, to be given only while the lease of `other` is live as well.
    pub(crate) fn also_under(self, leases: Leases, other: BindingName) -> Self {
        Self { also: Some((leases, other)), ..self }
    }

    /// The binding under whose lease the answer is.
    #[must_use]
    pub fn binding(&self) -> &BindingName {
        &self.binding
    }

    /// Records the answer, and then checks the lease for the last time. Call it right before the answer is encoded, and
    /// wait for nothing in between.
    ///
    /// # Errors
    /// [`ServiceError::AuditUnavailable`] if it could not be recorded; [`ServiceError::Lease`] if the lease is over. The
    /// answer is wiped in both cases.
    pub async fn release(mut self) -> Result<Released<T>, ServiceError> {
        self.decision.serve().await?;
        let live = |(leases, other): &(Leases, BindingName)| leases.view(other).state == LeaseState::Live;
        let checked = if self.also.as_ref().is_none_or(live) { Ok(()) } else { Err(LeaseError::LeaseOver) };
        match checked.and_then(|()| self.held.release()) {
            Ok(released) => Ok(released),
            Err(error) => Err(self.decision.refuse(error.into()).await),
        }
    }
}

impl<T> std::fmt::Debug for Served<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served").field("binding", &self.binding).finish_non_exhaustive()
    }
}
