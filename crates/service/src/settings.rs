//! The settings of the service of one process.

use std::time::Duration;

use leasehold_audit::OnFailure;

/// Settings of [`crate::Service`]. `Default` gives what a deployment should start with.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// How long a tenant that is known is served while the registry does not answer, counted from when its record was
    /// last read. Default 15 min. While the registry answers, changes apply at once.
    pub registry_staleness: Duration,
    /// How old a record may be before the next request reads it again, although no change was announced. Default 60 s:
    /// one read a minute and tenant guards against an announcement that got lost.
    pub registry_recheck: Duration,
    /// How long one call to the registry may take. Default 2 s.
    pub registry_deadline: Duration,
    /// Tenants whose records are held in memory. Default 50,000, some 200 MiB at 4 KiB each; beyond it others are dropped
    /// and read again when they are next used.
    pub tenants_held: usize,
    /// Requests that are let in at once, of which one caller may have half. Default 4,096. Of key operations that wait, for a
    /// proof or a cloud, one tenant alone gets no more than a quarter of that, and the tenants of one cloud together three
    /// eighths: what they wait for may never answer, and their caller may be everybody's.
    pub calls: usize,
    /// Streams of `WatchLeases` open at once, of which one caller gets no more than half. Default 1,024, for a million tenants
    /// in all.
    pub watches: usize,
    /// What happens to a decision that cannot be recorded.
    pub on_audit_failure: OnFailure,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            registry_staleness: Duration::from_secs(15 * 60),
            registry_recheck: Duration::from_secs(60),
            registry_deadline: Duration::from_secs(2),
            tenants_held: 50_000,
            calls: 4096,
            watches: 1024,
            on_audit_failure: OnFailure::default(),
        }
    }
}
