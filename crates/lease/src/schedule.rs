//! When to prove next, as pure functions of bound, age and a jitter seed.

use std::time::Duration;

use leasehold_tenant::RevocationBound;

/// A lease is proven again at this share of its bound at the latest. Half leaves the other half for retries.
const RENEW_AT_MOST: f64 = 0.5;

/// And at this share at the earliest: a spread of a tenth of the bound keeps leases that began together from proving
/// together for ever.
const RENEW_AT_LEAST: f64 = 0.4;

/// A session is replaced at this share of its life at the latest, so that requests never find it expired while the cloud
/// answers. 0.8 × 900 s leaves 3 min for retries.
const SESSION_SHARE: f64 = 0.8;

/// A session that is over when it is made, as when our wall clock is far ahead of the cloud's, must not make proofs follow
/// one another without a pause.
const RENEW_PAUSE_LEAST: Duration = Duration::from_secs(1);

/// How often a denied binding is asked again while it is in demand, for the first [`EAGER_FOR`].
pub(crate) const RETRY_DENIED: Duration = Duration::from_secs(10);

/// How long [`RETRY_DENIED`] applies before retries back off.
const EAGER_FOR: Duration = Duration::from_secs(5 * 60);

/// The longest pause between two retries of a denied binding.
const RETRY_DENIED_MOST: Duration = Duration::from_secs(5 * 60);

/// The first pause after a proof that got no answer; doubles up to [`RETRY_UNANSWERED_MOST`].
const RETRY_UNANSWERED: Duration = Duration::from_secs(1);

/// Within the shortest bound of 15 s, and so at least one retry falls into the second half of every lease.
pub(crate) const RETRY_UNANSWERED_MOST: Duration = Duration::from_secs(10);

/// How long after the start of a proof the next one is due: 40–50 % of the bound, and within the life of the session if
/// that is longer than a moment.
pub(crate) fn renew_after(bound: RevocationBound, session_life: Duration, seed: u64) -> Duration {
    let share = RENEW_AT_LEAST + (RENEW_AT_MOST - RENEW_AT_LEAST) * unit(seed);
    bound.get().mul_f64(share).min(session_life.mul_f64(SESSION_SHARE).max(RENEW_PAUSE_LEAST))
}

/// How many proofs a lease that is used without a pause takes in 30 days: one at 45 % of the bound, the middle of its spread.
#[must_use]
pub fn proofs_per_month(bound: RevocationBound) -> u64 {
    const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
    let between = bound.get().mul_f64(f64::midpoint(RENEW_AT_LEAST, RENEW_AT_MOST));
    u64::try_from(MONTH.as_millis() / between.as_millis()).unwrap_or(u64::MAX)
}

/// How long a proof that somebody wants now may wait for others that are more urgent. Events come in floods, and each is
/// wanted now: before the renewals of the next seconds they must not go. Five of them leave a renewal at the shortest
/// bound the time for a proof, and are seconds all the same.
pub(crate) const WANTED_WITHIN: Duration = Duration::from_secs(5);

/// How long to wait before a binding is asked again that has been denied for `denied_for`.
///
/// 10 s during the first 5 min; from then on a tenth of the time denied so far, which backs off smoothly from 30 s to
/// 5 min. Jitter only shortens the pause, so that the promise (P10) holds for every seed.
pub(crate) fn retry_denied_after(denied_for: Duration, seed: u64) -> Duration {
    let pause = if denied_for < EAGER_FOR { RETRY_DENIED } else { (denied_for / 10).min(RETRY_DENIED_MOST) };
    shortened(pause, seed)
}

/// How long to wait after the `failures`-th proof in a row that got no answer (1 is the first).
pub(crate) fn retry_unanswered_after(failures: u32, retry_after: Option<Duration>, seed: u64) -> Duration {
    let doubled = RETRY_UNANSWERED.saturating_mul(1 << failures.saturating_sub(1).min(10));
    let pause = doubled.min(RETRY_UNANSWERED_MOST);
    // A cloud that says when to come back is not asked sooner, within reason: its word alone must not stop recovery.
    retry_after.map_or_else(|| shortened(pause, seed), |asked| asked.min(RETRY_DENIED_MOST).max(pause))
}

/// `pause` less up to a fifth of it.
fn shortened(pause: Duration, seed: u64) -> Duration {
    pause.mul_f64(1.0 - 0.2 * unit(seed))
}

/// Maps a seed to the range 0 to 1, neighbouring seeds to far-apart values (the finaliser of SplitMix64, Steele et al.,
/// <https://doi.org/10.1145/2714064.2660195>).
fn unit(seed: u64) -> f64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    #[expect(clippy::cast_precision_loss, reason = "53 bits are kept, which is what an f64 holds")]
    let kept = ((z ^ (z >> 31)) >> 11) as f64;
    #[expect(clippy::cast_precision_loss, reason = "a power of two is exact")]
    let range = (1u64 << 53) as f64;
    kept / range
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    proptest! {
        #[test]
        fn a_renewal_leaves_half_of_the_bound_for_retries(bound in 15u64..=3600, session in 2u64..=43_200, seed: u64) {
            let bound = RevocationBound::try_from(s(bound)).unwrap();
            let due = renew_after(bound, s(session), seed);
            prop_assert!(due <= bound.get().mul_f64(0.5));
            prop_assert!(due <= s(session).mul_f64(0.8));
            prop_assert!(due >= bound.get().mul_f64(0.4).min(s(session).mul_f64(0.8)));
        }

        #[test]
        fn p10_a_denied_binding_is_asked_every_10_s_for_5_min_and_then_at_most_every_5_min(denied in 0u64..100_000, seed: u64) {
            let pause = retry_denied_after(s(denied), seed);
            let most = if denied < 300 { s(10) } else { s(300) };
            prop_assert!(pause <= most);
            prop_assert!(pause >= s(8));
        }

        #[test]
        fn a_cloud_that_names_a_time_is_not_asked_sooner(failures in 1u32..100, asked in 0u64..100, seed: u64) {
            prop_assert!(retry_unanswered_after(failures, Some(s(asked)), seed) >= s(asked));
            prop_assert!(retry_unanswered_after(failures, None, seed) <= s(10));
        }
    }

    #[test]
    fn p10_no_answer_puts_the_next_proof_off_for_longer_than_5_min() {
        assert_eq!(retry_unanswered_after(1, Some(s(86_400)), 0), s(300));
    }

    #[test]
    fn p9_sessions_that_are_over_when_made_do_not_make_proofs_spin() {
        assert_eq!(renew_after(RevocationBound::DEFAULT, Duration::ZERO, 0), s(1));
    }

    #[test]
    fn seeds_spread_renewals() {
        let bound = RevocationBound::DEFAULT;
        let mut due: Vec<_> = (0..100).map(|seed| renew_after(bound, s(900), seed)).collect();
        due.sort();
        assert!(due[90] - due[10] > s(15), "80 % of renewals spread over half of the window");
    }
}
