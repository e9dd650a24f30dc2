//! For how long, and how, what is held for a tenant may be held.

use std::time::Duration;

use crate::TermsError;

/// The longest time after the start of the newest proof for which a lease lives (promise P1). 15 s to 1 h.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Duration", into = "Duration")]
pub struct RevocationBound(Duration);

impl RevocationBound {
    /// 300 s.
    pub const DEFAULT: Self = Self(Duration::from_secs(300));
    /// 60 s.
    pub const STRICT: Self = Self(Duration::from_secs(60));
    /// 15 s: below that a proof with its retries (5 s) would take a third of the bound.
    pub const LEAST: Self = Self(Duration::from_secs(15));
    /// 1 h: the longest session that a chained role gives.
    pub const MOST: Self = Self(Duration::from_secs(3600));

    /// The bound as a span.
    #[must_use]
    pub fn get(self) -> Duration {
        self.0
    }
}

impl TryFrom<Duration> for RevocationBound {
    type Error = TermsError;
    fn try_from(span: Duration) -> Result<Self, TermsError> {
        if (Self::LEAST.0..=Self::MOST.0).contains(&span) {
            Ok(Self(span))
        } else {
            Err(TermsError::BoundOutOfRange)
        }
    }
}

impl From<RevocationBound> for Duration {
    fn from(bound: RevocationBound) -> Self {
        bound.0
    }
}

/// Whether what was unwrapped may be kept for the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheMode {
    /// Kept, sealed under the lease.
    #[default]
    On,
    /// Never kept: every unwrap is a call to the tenant's cloud.
    Off,
}

impl CacheMode {
    /// `on` or `off`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// The terms under which a tenant's leases run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "TermsRecord", into = "TermsRecord")]
pub struct LeaseTerms {
    revocation_bound: RevocationBound,
    idle_after: Duration,
    entry_max_age: Duration,
    cache: CacheMode,
}

impl LeaseTerms {
    /// 15 min: long enough to span a compute's cold start, short enough that an abandoned tenant costs no proofs.
    pub const DEFAULT_IDLE_AFTER: Duration = Duration::from_secs(15 * 60);
    /// 10 min: bounds how long an entry outlives a key-policy edit that forbids its encryption context only.
    pub const DEFAULT_ENTRY_MAX_AGE: Duration = Duration::from_secs(10 * 60);
    const SPAN: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

    /// Terms with this bound and every other term at its default.
    #[must_use]
    pub fn with_bound(revocation_bound: RevocationBound) -> Self {
        Self {
            revocation_bound,
            idle_after: Self::DEFAULT_IDLE_AFTER,
            entry_max_age: Self::DEFAULT_ENTRY_MAX_AGE,
            cache: CacheMode::On,
        }
    }

    /// These terms with another bound.
    #[must_use]
    pub fn bound(self, revocation_bound: RevocationBound) -> Self {
        Self { revocation_bound, ..self }
    }

    /// These terms, released after `idle_after` without use.
    ///
    /// # Errors
    /// [`TermsError::IdleAfterOutOfRange`] unless from 1 s to 24 h.
    pub fn idle_after_of(self, idle_after: Duration) -> Result<Self, TermsError> {
        if !Self::SPAN.contains(&idle_after) {
            return Err(TermsError::IdleAfterOutOfRange);
        }
        Ok(Self { idle_after, ..self })
    }

    /// These terms, with entries no older than `entry_max_age`.
    ///
    /// # Errors
    /// [`TermsError::EntryMaxAgeOutOfRange`] unless from 1 s to 24 h.
    pub fn entry_max_age_of(self, entry_max_age: Duration) -> Result<Self, TermsError> {
        if !Self::SPAN.contains(&entry_max_age) {
            return Err(TermsError::EntryMaxAgeOutOfRange);
        }
        Ok(Self { entry_max_age, ..self })
    }

    /// These terms with the cache on or off.
    #[must_use]
    pub fn cache_mode(self, cache: CacheMode) -> Self {
        Self { cache, ..self }
    }

    /// How long a lease lives after the start of its newest proof.
    #[must_use]
    pub fn revocation_bound(&self) -> RevocationBound {
        self.revocation_bound
    }

    /// How long a lease that nobody uses is kept proving.
    #[must_use]
    pub fn idle_after(&self) -> Duration {
        self.idle_after
    }

    /// The absolute age at which a cached key is unwrapped anew, live lease or not.
    #[must_use]
    pub fn entry_max_age(&self) -> Duration {
        self.entry_max_age
    }

    /// Whether unwrapped keys are kept at all.
    #[must_use]
    pub fn cache(&self) -> CacheMode {
        self.cache
    }
}

impl Default for LeaseTerms {
    fn default() -> Self {
        Self::with_bound(RevocationBound::DEFAULT)
    }
}

/// How terms are written down; reading goes through the checked constructors.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct TermsRecord {
    revocation_bound: RevocationBound,
    idle_after: Duration,
    entry_max_age: Duration,
    cache: CacheMode,
}

impl TryFrom<TermsRecord> for LeaseTerms {
    type Error = TermsError;
    fn try_from(record: TermsRecord) -> Result<Self, TermsError> {
        Ok(Self::with_bound(record.revocation_bound)
            .idle_after_of(record.idle_after)?
            .entry_max_age_of(record.entry_max_age)?
            .cache_mode(record.cache))
    }
}

impl From<LeaseTerms> for TermsRecord {
    fn from(terms: LeaseTerms) -> Self {
        Self {
            revocation_bound: terms.revocation_bound,
            idle_after: terms.idle_after,
            entry_max_age: terms.entry_max_age,
            cache: terms.cache,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_outside_of_15_s_to_1_h_are_refused() {
        for bad in [Duration::ZERO, Duration::from_millis(14_999), Duration::from_secs(3601)] {
            assert_eq!(RevocationBound::try_from(bad), Err(TermsError::BoundOutOfRange));
        }
        assert_eq!(RevocationBound::try_from(Duration::from_secs(15)), Ok(RevocationBound::LEAST));
        assert_eq!(RevocationBound::try_from(Duration::from_secs(3600)), Ok(RevocationBound::MOST));
    }
}
