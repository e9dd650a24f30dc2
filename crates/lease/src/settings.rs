//! The settings of the leases of one process.

use std::time::Duration;

/// Settings of [`crate::Leases`]. `Default` gives what a deployment should start with.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// Proofs per second that all bindings of one provider share. Default 300: half of the about 600 assumes per second
    /// that AWS STS grants an account and region, so that a second deployment, or people, find the other half.
    pub proofs_per_second: f64,
    /// How long one proof may take, waiting for the budget excluded. Default 10 s: the total deadlines of an assume and an
    /// unwrap (5 s each).
    pub proof_deadline: Duration,
    /// How long a request waits for a proof. Default 12 s: the proof's deadline and a little for the budget.
    pub proof_wait: Duration,
    /// The least time between two proofs that denied *requests* start. Default 5 s.
    pub suspicion_interval: Duration,
    /// How often the cloud is asked which version of a key wraps, where keys have versions: after a proof of the version
    /// that wraps until then, if the last answer is as old as this. Default 5 min: a rotation is in no hurry, because the old
    /// version goes on working, and at the default bound every third proof brings it, some 8,600 calls a month for a
    /// binding that is always in use. When the version is denied, or on a reprove, it is asked at once.
    pub rotation_check: Duration,
    /// How long the sentinel may take to tell our own failure from a denial; serving pauses meanwhile. Default 2 s.
    pub sentinel_wait: Duration,
    /// Cached keys over all tenants, in bytes of the entries: 608 for a key of 32 bytes (60 sealed, 36 of the cloud's request id and
    /// 512 of everything else). Default 64 MiB, about 110,000 keys.
    pub cache_bytes: u64,
    /// Cached keys of one tenant, in bytes of the entries. Default 4 MiB, about 6,900 keys.
    pub cache_bytes_per_tenant: u64,
    /// The age at which a lease's sealing key is replaced. Default 24 h.
    pub sealing_key_max_age: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            proofs_per_second: 300.0,
            proof_deadline: Duration::from_secs(10),
            proof_wait: Duration::from_secs(12),
            suspicion_interval: Duration::from_secs(5),
            rotation_check: Duration::from_secs(5 * 60),
            sentinel_wait: Duration::from_secs(2),
            cache_bytes: 64 << 20,
            cache_bytes_per_tenant: 4 << 20,
            sealing_key_max_age: Duration::from_secs(24 * 3600),
        }
    }
}
