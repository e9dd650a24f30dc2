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
use crate::schedule::{RETRY_DENIED, retry_unanswered_after};
use crate::tokens::Tokens;

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
    proofs: Tokens,
    /// When proofs come back that were spent without an answer.
    given_back: Vec<Moment>,
    /// How many there were of these since the last answer.
    unanswered: u32,
    /// At most as many as proofs of strangers may begin while the answers stand.
    refused: Vec<Refused>,
    /// The newest denial of the principal, which answers for strangers too.
    barred: Option<(Moment, Arc<ProviderError>)>,
}

/// What was found out about a version, or about one wrapped key that names it.
#[derive(Debug)]
struct Refused {
    version: KeyVersion,
    only: Option<Fingerprint>,
    until: Moment,
    error: LeaseError,
}

impl Strangers {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            proofs: Tokens::new(BURST, REFILL, now),
            given_back: Vec::new(),
            unanswered: 0,
            refused: Vec::new(),
            barred: None,
        }
    }

    /// Lets a proof of `version` begin, or says why not.
    pub(crate) fn admit(&mut self, version: &KeyVersion, now: Moment) -> Result<(), LeaseError> {
        self.forget(now);
        if let Some((_, error)) = &self.barred {
            return Err(LeaseError::Denied(Arc::clone(error)));
        }
        self.recall(version, None)?;
        self.proofs.take(now).map_err(over_budget)
    }

    /// Lets a proof of a version begin that is no stranger, by what a caller lends. It is spent only if that is refused.
    pub(crate) fn admit_loan(&mut self, now: Moment) -> Result<(), LeaseError> {
        self.forget(now);
        self.proofs.any(now).map_err(over_budget)
    }

    /// What a caller lent to the proof of a version that is no stranger was refused.
    pub(crate) fn spend_on_loan(&mut self, now: Moment) {
        // Of the few that were let in together some may find nothing left.
        let _ = self.proofs.take(now);
    }

    /// What is remembered of `version`, or of one wrapped key that names it.
    pub(crate) fn recall(&self, version: &KeyVersion, only: Option<Fingerprint>) -> Result<(), LeaseError> {
        let mut refused = self.refused.iter();
        let known = refused.find(|refused| refused.version == *version && refused.only == only);
        known.map_or(Ok(()), |refused| Err(refused.error.clone()))
    }

    /// Remembers what came of the proof of a stranger, which opened what a caller lent. Some answers are about that alone:
    /// others may have true ones. What is no answer was spent for nothing: it comes back after a pause, so that neither a
    /// cloud that is down is asked without an end, nor whoever has data of old versions waits for long once it is back.
    pub(crate) fn failed(
        &mut self,
        version: &KeyVersion,
        lent: Option<Fingerprint>,
        error: &LeaseError,
        now: Moment,
    ) {
        self.forget(now);
        match error {
            LeaseError::Rejected(_) | LeaseError::RequestDenied(_) => {
                self.unanswered = 0;
                self.refuse(version, lent, error, now + STANDS_FOR);
            }
            LeaseError::UnknownVersion(_) | LeaseError::Denied(_) => {
                self.unanswered = 0;
                self.refuse(version, None, error, now + STANDS_FOR);
            }
            // Something happened to the lease meanwhile, which says nothing of the cloud.
            LeaseError::LeaseOver | LeaseError::Ended(_) => self.proofs.give_back(1),
            _ => {
                self.unanswered = self.unanswered.saturating_add(1);
                let seed = u64::from(self.unanswered);
                let until = now + retry_unanswered_after(self.unanswered, error.retry_after(), seed);
                self.given_back.push(until);
                self.refuse(version, None, error, until);
            }
        }
    }

    fn refuse(&mut self, version: &KeyVersion, only: Option<Fingerprint>, error: &LeaseError, until: Moment) {
        self.refused.retain(|refused| refused.version != *version || refused.only != only);
        self.refused.push(Refused { version: version.clone(), only, until, error: error.clone() });
    }

    /// The cloud denied us the principal.
    pub(crate) fn bar(&mut self, error: Arc<ProviderError>, now: Moment) {
        self.barred = Some((now, error));
    }

    /// The cloud let us become the principal.
    pub(crate) fn unbar(&mut self) {
        self.barred = None;
        self.unanswered = 0;
    }

    /// Whether a new one would behave otherwise.
    pub(crate) fn remembers(&mut self, now: Moment) -> bool {
        self.forget(now);
        !self.proofs.is_full(now) || self.barred.is_some() || !self.refused.is_empty()
    }

    fn forget(&mut self, now: Moment) {
        self.refused.retain(|refused| now < refused.until);
        self.barred = self.barred.take().filter(|(at, _)| now.since(*at) < STANDS_FOR);
        let waiting = self.given_back.len();
        self.given_back.retain(|at| now < *at);
        let back = waiting - self.given_back.len();
        self.proofs.give_back(u32::try_from(back).unwrap_or(u32::MAX));
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

    fn missing() -> LeaseError {
        refusal(Arc::new(ProviderError::new(Fault::KeyUnusable(KeyState::NotFound), "")))
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
    fn p10_proofs_that_got_no_answer_are_all_back_within_10_s_and_not_before() {
        let mut strangers = Strangers::new(at(0));
        let down = LeaseError::Unavailable(Arc::new(ProviderError::new(Fault::Unavailable, "")));
        for round in 0..10 {
            let now = 11 * round;
            for n in 0..16 {
                strangers.admit(&version(n), at(now)).unwrap();
            }
            for n in 0..16 {
                strangers.failed(&version(n), None, &down, at(now));
                assert!(matches!(strangers.admit(&version(n), at(now)), Err(LeaseError::Unavailable(_))));
            }
            let wait = if round == 0 { 0 } else { 7 };
            assert_eq!(admitted(&mut strangers, now + wait), 0, "a cloud that is down is not asked at will");
        }
        assert_eq!(admitted(&mut strangers, 110), 16);
    }

    #[test]
    fn a_version_is_not_asked_for_sooner_than_its_cloud_wants() {
        let mut strangers = Strangers::new(at(0));
        let pause = Duration::from_secs(60);
        let fault = Fault::Throttled { by: Throttler::Cloud, retry_after: Some(pause) };
        let source = Arc::new(ProviderError::new(fault, ""));
        let throttled = LeaseError::Throttled { retry_after: Some(pause), source };
        strangers.admit(&version(1), at(0)).unwrap();
        strangers.failed(&version(1), None, &throttled, at(0));
        assert!(strangers.admit(&version(1), at(59)).is_err());
        strangers.admit(&version(1), at(60)).unwrap();
    }

    #[test]
    fn what_is_wrong_with_one_wrapped_key_is_told_of_no_other() {
        let mut strangers = Strangers::new(at(0));
        let (bad, good) = (Fingerprint::of(b"bad"), Fingerprint::of(b"good"));
        let rejected = LeaseError::Rejected(Arc::new(ProviderError::new(Fault::Rejected, "")));
        strangers.admit(&version(1), at(0)).unwrap();
        strangers.failed(&version(1), Some(bad), &rejected, at(0));
        assert!(strangers.recall(&version(1), Some(bad)).is_err());
        strangers.recall(&version(1), Some(good)).unwrap();
        strangers.admit(&version(1), at(0)).unwrap();
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
        strangers.failed(&version(1), None, &missing(), at(0));
        assert!(matches!(strangers.admit(&version(1), at(9)), Err(LeaseError::UnknownVersion(_))));
        assert_eq!(admitted(&mut strangers, 9), 15, "nor is it spent");
        strangers.admit(&version(1), at(10)).unwrap();
        let gone = Arc::new(ProviderError::new(Fault::Denied { edge: Edge::Trust { hop: 0 } }, ""));
        strangers.bar(gone, at(10));
        assert!(matches!(strangers.admit(&version(2), at(19)), Err(LeaseError::Denied(_))));
        strangers.admit(&version(2), at(20)).unwrap();
    }
}
