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
        let Self { value, run, source, request_id, proof_age } = self;
        Held { value: f(value), run, source, request_id, proof_age }
    }

    /// Lets `self` be given only while the lease of `other` lasts too, as a rewrap needs it.
    ///
    /// # Errors
    /// As [`release`](Self::release) of `other`, now.
    pub fn also_under<U>(self, other: Held<U>) -> Result<Self, LeaseError> {
        other.release().map(|_| self)
    }

    /// The last check, to be made right before the answer is encoded: the lease that it was made under is still live.
    ///
    /// # Errors
    /// Why it is not. The answer is dropped, and so wiped.
    pub fn release(self) -> Result<Released<T>, LeaseError> {
        let run = self.run.live.run;
        let lease_ttl = self.run.cell.with(|machine, now| machine.confirm(run, now))?;
        Ok(Released { value: self.value, lease_ttl })
    }
}
