//! What each tenant may take of a budget before it waits behind the others.
//!
//! A plan counts on two leases for each binding whose key has versions. A tenant may read many more versions than that, and
//! at the shortest bound each is proven every few seconds: that must be at nobody else's cost. Whoever took more than their
//! share goes behind those who did not, and no slower than they let them.

use std::collections::HashMap;

use leasehold_clock::Moment;
use leasehold_ids::TenantId;

use crate::budget::Bucket;

/// The share of the budget that one tenant may take before others that wait. A tenth: of 300 proofs per second 30, which
/// 180 leases at the shortest bound of 15 s need (2.5 per bound each). A tenant may be planned to need more, and gets it
/// from what the others leave: all plans together leave 30 %.
const TENANT_SHARE: f64 = 0.1;

/// Tenants that are remembered before those are forgotten who took nothing of late.
const REMEMBERED: usize = 1024;

/// What every tenant took of late.
pub(crate) struct Shares {
    rate: f64,
    of: HashMap<TenantId, Bucket>,
    /// How many are remembered before some are forgotten again: at most twice as many as there must be.
    most: usize,
}

impl Shares {
    /// Shares of a budget of `rate` per second.
    pub(crate) fn new(rate: f64) -> Self {
        Self { rate: rate * TENANT_SHARE, of: HashMap::new(), most: REMEMBERED }
    }

    /// Counts one turn of `tenant`, and says whether it is within its share.
    pub(crate) fn charge(&mut self, tenant: &TenantId, now: Moment) -> bool {
        if self.of.len() >= self.most {
            self.of.retain(|_, bucket| !bucket.is_full(now));
            self.most = REMEMBERED.max(2 * self.of.len());
        }
        let bucket = self.of.entry(tenant.clone()).or_insert_with(|| Bucket::full(self.rate, now));
        bucket.refill(now);
        bucket.take()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn p9_who_took_nothing_of_late_is_forgotten() {
        let mut shares = Shares::new(10.0);
        for n in 0..10_000u64 {
            let at = Moment::from_start(Duration::from_millis(10 * n));
            assert!(shares.charge(&format!("t-{n}").parse().unwrap(), at));
            assert!(shares.of.len() <= REMEMBERED + 1);
        }
    }
}
