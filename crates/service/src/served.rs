//! An answer that is ready, but not yet given.

use leasehold_ids::BindingName;
use leasehold_lease::{Held, Released};

use crate::ServiceError;
use crate::decision::Decision;

/// An answer under a lease, with the record that is still to be written. Dropping it wipes the answer and records that it
/// was abandoned.
pub struct Served<T> {
    held: Held<T>,
    binding: BindingName,
    decision: Decision,
}

impl<T> Served<T> {
    pub(crate) fn new(held: Held<T>, binding: BindingName, mut decision: Decision) -> Self {
        decision.answered_with(&held);
        Self { held, binding, decision }
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
        match self.held.release() {
            Ok(released) => {
                self.decision.settle();
                Ok(released)
            }
            Err(error) => Err(self.decision.refuse(error.into()).await),
        }
    }
}

impl<T> std::fmt::Debug for Served<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served").field("binding", &self.binding).finish_non_exhaustive()
    }
}
