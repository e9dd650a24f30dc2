//! Versions of a key that only a caller's envelope names, and that never worked here.
//!
//! A caller can write any version into an envelope, and the cloud's answer to one that does not exist looks like a denial.
//! So a stranger is proven for its caller alone: it is not retried, nobody is told of it, and each binding has few proofs
//! to spend on strangers. One that proves live is a stranger no more.

use std::sync::Arc;
use std::time::Duration;

use leasehold_clock::Moment;
use leasehold_envelope::KeyVersion;
use leasehold_provider::{Edge, Fault, KeyState, ProviderError, Throttler};

use crate::LeaseError;
use crate::lent::Fingerprint;
use crate::schedule::RETRY_DENIED;

/// Most proofs of strangers at once after a quiet time. As many as a binding may have leases: a store that reads data of
/// every one of them right after a restart is not held up.
const BURST: u32 = 16;

/// How long until one more may be spent. 6 a minute of 2 to 3 calls each are what a flood of made-up versions costs the
/// tenant; a tenth of a proof per second of the 300 that a provider's bindings share.
const REFILL: Duration = Duration::from_secs(10);

/// How long an answer about a stranger stands: as long as a denied binding waits until it is asked again.
const STANDS_FOR: Duration = RETRY_DENIED;

/// Most proofs of one binding's strangers under way at the same time. A tenant has 8 places for calls of proofs: the others
/// are for the versions that work.
pub(crate) const AT_ONCE: usize = 2;

/// What one binding may still spend on strangers, and what was found out about them.
#[derive(Debug)]
pub(crate) struct Strangers {
    spent: u32,
    since: Moment,
    /// At most as many as proofs of strangers may begin in [`STANDS_FOR`].
    refused: Vec<Refused>,
    /// The newest denial of the principal, which answers for strangers too.
    barred: Option<(Moment, Arc<ProviderError>)>,
}

/// What was found out about a version, or about one wrapped key that names it.
#[derive(Debug)]
struct Refused {
    version: KeyVersion,
    only: Option<Fingerprint>,
    at: Moment,
    error: LeaseError,
}

impl Strangers {
    pub(crate) fn new(now: Moment) -> Self {
        Self { spent: 0, since: now, refused: Vec::new(), barred: None }
    }

    /// Lets a proof of `version` begin, or says why not.
    pub(crate) fn admit(&mut self, version: &KeyVersion, now: Moment) -> Result<(), LeaseError> {
        self.forget(now);
        if let Some((_, error)) = &self.barred {
            return Err(LeaseError::Denied(Arc::clone(error)));
        }
        self.recall(version, None)?;
        if self.spent >= BURST {
            return Err(over_budget(REFILL.saturating_sub(now.since(self.since))));
        }
        if self.spent == 0 {
            self.since = now;
        }
        self.spent += 1;
        Ok(())
    }

    /// What is remembered of `version`, or of one wrapped key that names it.
    pub(crate) fn recall(&self, version: &KeyVersion, only: Option<Fingerprint>) -> Result<(), LeaseError> {
        let mut refused = self.refused.iter();
        let known = refused.find(|refused| refused.version == *version && refused.only == only);
        known.map_or(Ok(()), |refused| Err(refused.error.clone()))
    }

    /// Remembers what came of the proof of a stranger, which opened what a caller lent. Some answers are about that alone:
    /// others may have true ones.
    pub(crate) fn refuse(
        &mut self,
        version: &KeyVersion,
        lent: Option<Fingerprint>,
        error: LeaseError,
        now: Moment,
    ) {
        self.forget(now);
        let about_lent = matches!(error, LeaseError::Rejected(_) | LeaseError::RequestDenied(_));
        let only = lent.filter(|_| about_lent);
        self.refused.retain(|refused| refused.version != *version || refused.only != only);
        self.refused.push(Refused { version: version.clone(), only, at: now, error });
    }

    /// The cloud denied us the principal.
    pub(crate) fn bar(&mut self, error: Arc<ProviderError>, now: Moment) {
        self.barred = Some((now, error));
    }

    /// The cloud let us become the principal.
    pub(crate) fn unbar(&mut self) {
        self.barred = None;
    }

    /// Whether a new one would behave otherwise.
    pub(crate) fn remembers(&mut self, now: Moment) -> bool {
        self.forget(now);
        self.spent > 0 || self.barred.is_some() || !self.refused.is_empty()
    }

    pub(crate) fn forget(&mut self, now: Moment) {
        let stands = |at: Moment| now.since(at) < STANDS_FOR;
        self.refused.retain(|refused| stands(refused.at));
        self.barred = self.barred.take().filter(|(at, _)| stands(*at));
        let back = u32::try_from(now.since(self.since).as_nanos() / REFILL.as_nanos()).unwrap_or(u32::MAX);
        self.spent = self.spent.saturating_sub(back);
        self.since = self.since + REFILL.saturating_mul(back);
    }
}

/// What the caller is told whose envelope names a stranger that the cloud refuses.
pub(crate) fn refusal(error: Arc<ProviderError>) -> LeaseError {
    match error.fault() {
        Fault::KeyUnusable(KeyState::NotFound) => LeaseError::UnknownVersion(error),
        Fault::Denied { edge: Edge::Key } => LeaseError::RequestDenied(error),
        _ => LeaseError::Denied(error),
    }
}

fn over_budget(pause: Duration) -> LeaseError {
    let retry_after = Some(pause);
    let fault = Fault::Throttled { by: Throttler::OwnBudget, retry_after };
    let source =
        Arc::new(ProviderError::new(fault, "too many versions of the key that never worked are asked for"));
    LeaseError::Throttled { retry_after, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    fn version(n: u64) -> KeyVersion {
        format!("v{n}").parse().unwrap()
    }

    fn admitted(strangers: &mut Strangers, seconds: u64) -> u64 {
        let admit = |n: &u64| strangers.admit(&version(1000 * seconds + *n), at(seconds)).is_ok();
        (0..100).filter(admit).count().try_into().unwrap()
    }

    #[test]
    fn p9_proofs_of_strangers_come_back_one_every_10_s_and_no_more_than_the_burst() {
        let mut strangers = Strangers::new(at(0));
        let got = [0, 9, 10, 19, 20, 45, 10_000].map(|seconds| admitted(&mut strangers, seconds));
        assert_eq!(got, [16, 0, 1, 0, 1, 2, 16]);
    }

    #[test]
    fn one_who_is_turned_away_is_told_when_to_come_back() {
        let mut strangers = Strangers::new(at(0));
        admitted(&mut strangers, 0);
        let refused = strangers.admit(&version(1), at(4)).unwrap_err();
        let LeaseError::Throttled { retry_after, .. } = refused else { panic!("{refused}") };
        assert_eq!(retry_after, Some(Duration::from_secs(6)));
    }

    #[test]
    fn p10_an_answer_about_a_stranger_stands_for_10_s_and_costs_nothing() {
        let mut strangers = Strangers::new(at(0));
        strangers.admit(&version(1), at(0)).unwrap();
        strangers.refuse(&version(1), None, LeaseError::WrongContext, at(0));
        assert!(matches!(strangers.admit(&version(1), at(9)), Err(LeaseError::WrongContext)));
        assert_eq!(strangers.spent, 1);
        strangers.admit(&version(1), at(10)).unwrap();
        let gone = Arc::new(ProviderError::new(Fault::Denied { edge: Edge::Trust { hop: 0 } }, ""));
        strangers.bar(gone, at(10));
        assert!(matches!(strangers.admit(&version(2), at(19)), Err(LeaseError::Denied(_))));
        strangers.admit(&version(2), at(20)).unwrap();
    }
}
