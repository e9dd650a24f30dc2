//! How all leases are, for operators. Names no tenant.

use std::collections::BTreeMap;
use std::time::Duration;

use leasehold_ids::ProviderKind;

use crate::{LeaseState, Leases};

/// How the leases of one cloud are, one for each version of a key in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// How many are in each state; those in none of them are not named.
    pub states: BTreeMap<LeaseState, usize>,
    /// How many had their newest denial masked, because the sentinel showed it to be our own identity's fault.
    pub masked: usize,
    /// The age of the oldest proof that a lease lives on.
    pub oldest_proof: Option<Duration>,
}

/// How full the sealed cache is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cached {
    /// Entries; those of ended leases, which nobody can read any more, count until they are dropped.
    pub entries: u64,
    /// Their bytes, as counted against [`cache_bytes`](crate::Settings::cache_bytes).
    pub bytes: u64,
}

impl Leases {
    /// How the leases of each cloud are now. Looks at every lease, so that it is for a scrape and not for a request.
    #[must_use]
    pub fn census(&self) -> BTreeMap<ProviderKind, Census> {
        let mut clouds = BTreeMap::<ProviderKind, Census>::new();
        for cell in self.hub().all() {
            let view = cell.with(|machine, now| machine.view(now));
            let census = clouds.entry(cell.prover().provider.kind().clone()).or_default();
            *census.states.entry(view.state).or_default() += 1;
            census.masked += usize::from(view.masked);
            census.oldest_proof = census.oldest_proof.max(view.proof_age);
        }
        clouds
    }

    /// How full the sealed cache is, as of its last housekeeping.
    #[must_use]
    pub fn cached(&self) -> Cached {
        self.hub().cache.fill()
    }
}
