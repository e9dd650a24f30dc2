//! The numbers that [`crate::Guarded`] keeps, each with its arithmetic.

use std::time::Duration;

/// The limits that [`crate::Guarded`] keeps. [`Limits::default`] gives the documented values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long one attempt may take. Default 2 s: about 20 times the 99th percentile of a regional KMS call, and enough
    /// for an assume of three hops in a far region (3 × 300 ms) with a new TLS connection each (3 × 300 ms).
    pub attempt: Duration,
    /// How long one call may take: waiting, attempts and pauses together. Default 5 s: two whole attempts and most of a
    /// third. A proof is two calls, so it ends within 10 s even when all goes wrong, inside the shortest bound of 15 s.
    pub total: Duration,
    /// How often a failed attempt is repeated. Default 2: what fails three times in a row is an outage, and an outage is
    /// for the lease to handle.
    pub retries: u32,
    /// The longest pause before the first retry; doubles with each. Default 100 ms: one round trip, long enough for a
    /// connection that was cut to be made anew. The pause is drawn between zero and this (full jitter,
    /// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
    pub pause: Duration,
    /// Retries that a tenant may make in one burst. Default 10: five calls that fail whole.
    pub retry_burst: u32,
    /// How long until one retry is given back. Default 1 s: a tenant whose every call fails makes one extra call a
    /// second, whatever its traffic, so an outage cannot multiply load.
    pub retry_refill: Duration,
    /// Calls of one tenant under way at the same time. Default 64: at a usual 20 ms a call that is 3,200 calls/s, a third
    /// of the smallest regional KMS quota (10,000/s); and a tenant whose calls all hang holds 64 connections, no more.
    pub concurrency: usize,
    /// Calls of one tenant that wait for a place. Default 1,024: after a restart they are through in 1,024 / 3,200 =
    /// 0.3 s; at some 8 KiB a waiting request they hold 8 MiB at worst.
    pub waiting: usize,
    /// The same as [`concurrency`](Self::concurrency) for proofs, which have their own places so that a flood of requests
    /// cannot keep a tenant's lease from being proven. Default 8: proofs are single flight per binding, and a tenant
    /// rarely has more than two bindings alive.
    pub proof_concurrency: usize,
    /// Tenants whose budgets are remembered. Default 16,384: about 500 bytes each makes 8 MiB. Idle ones are forgotten
    /// first, when there is nothing to remember.
    pub tenants: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(2),
            total: Duration::from_secs(5),
            retries: 2,
            pause: Duration::from_millis(100),
            retry_burst: 10,
            retry_refill: Duration::from_secs(1),
            concurrency: 64,
            waiting: 1024,
            proof_concurrency: 8,
            tenants: 16_384,
        }
    }
}

impl Limits {
    /// How long a call may wait for a place: so long that a whole attempt still fits before the total deadline, and a
    /// call that waited does not fail for want of time.
    pub(crate) fn longest_wait(&self) -> Duration {
        self.total.saturating_sub(self.attempt)
    }
}
