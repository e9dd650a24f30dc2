//! An answer that may be given only while the lease lasts that it was made under.

use std::time::Duration;

use crate::LeaseError;
use crate::cell::Run;

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The sealed cache; no call was made.
    Cache,
    /// The tenant's cloud.
    Cloud,
}

/// An answer under lease. It can be looked at only by [`release`](Self::release), which checks the lease once more.
#[must_use = "an answer is given by releasing it"]
pub struct Held<T> {
    pub(crate) value: T,
    pub(crate) run: Run,
    /// Another lease that must be live too, as a rewrap needs it.
    pub(crate) also: Option<Run>,
    pub(crate) source: Source,
    pub(crate) request_id: Option<Box<str>>,
    pub(crate) proof_age: Duration,
}

/// An answer that may be given now.
pub struct Released<T> {
    /// The answer.
    pub value: T,
    /// For how long its plaintext may be held, counted from when the client *sent* the request.
    pub lease_ttl: Duration,
}

impl<T> Held<T> {
    /// Where the answer came from.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// The cloud's id of the call that brought it, also when it was cached since.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// How long ago the newest complete proof began when the answer was made.
    #[must_use]
    pub fn proof_age(&self) -> Duration {
        self.proof_age
    }

    /// This answer made into another under the same lease.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Held<U> {
        let Self { value, run, also, source, request_id, proof_age } = self;
        Held { value: f(value), run, also, source, request_id, proof_age }
    }

    /// As [`map`](Self::map), for what may fail.
    pub(crate) fn try_map<U>(
        self,
        f: impl FnOnce(T) -> Result<U, LeaseError>,
    ) -> Result<Held<U>, LeaseError> {
        let Self { value, run, also, source, request_id, proof_age } = self;
        Ok(Held { value: f(value)?, run, also, source, request_id, proof_age })
    }

    /// The answer for use within Leasehold, as a rewrap wraps what it unwrapped. It is still not to be given.
    ///
    /// # Errors
    /// As [`release`](Self::release).
    pub fn peek(&self) -> Result<&T, LeaseError> {
        self.confirm().map(|_| &self.value)
    }

    /// Lets `self` be given only while the lease of `other`, which it was made from, lasts too.
    pub fn also_under<U>(self, other: Held<U>) -> Self {
        Self { also: Some(other.run), ..self }
    }

    /// The last check, to be made right before the answer is encoded: the lease that it was made under is still live.
    ///
    /// # Errors
    /// Why it is not. The answer is dropped, and so wiped.
    pub fn release(self) -> Result<Released<T>, LeaseError> {
        let lease_ttl = self.confirm()?;
        Ok(Released { value: self.value, lease_ttl })
    }

    fn confirm(&self) -> Result<Duration, LeaseError> {
        let confirm = |run: &Run| run.cell.with(|machine, now| machine.confirm(run.live.run, now));
        let left = confirm(&self.run)?;
        self.also.as_ref().map_or(Ok(left), |also| confirm(also).map(|other| other.min(left)))
    }
}
