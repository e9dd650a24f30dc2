//! Some clouds go on unwrapping with a version of a key that is past its expiry, and refuse wraps alone.

use leasehold_envelope::{EncryptionContext, Envelope, WrappedKey};
use leasehold_lease::{LeaseError, LeaseState};
use leasehold_secret::KeyLength;

use crate::bench::{Bench, S, context};
use crate::cloud::{Call, Mood};

fn version_of(wrapped: &WrappedKey) -> String {
    Envelope::parse(wrapped.as_bytes()).unwrap().header().key_version.to_string()
}

async fn generate(bench: &Bench) -> Result<String, LeaseError> {
    let made = bench.leases.generate(&bench.subject(), KeyLength::B32, &EncryptionContext::empty()).await?;
    made.release().map(|made| version_of(&made.value.wrapped))
}

/// A key under version 1, which activation saw, and one under 2; 3 wraps, and the process knows nothing.
pub(crate) async fn restarted() -> (Bench, [WrappedKey; 2]) {
    let bench = Bench::versioned().await;
    let first = bench.wrapped().await;
    let mut second = None;
    for version in ["2", "3"] {
        bench.cloud.rotate(version);
        bench.leases.reprove(&bench.subject()).await.unwrap();
        bench.clock.settle().await;
        second.get_or_insert(bench.wrapped().await);
    }
    let second = second.unwrap();
    assert_eq!(version_of(&second), "2");
    (bench.restarted(), [first, second])
}

// === What is only read ===

#[tokio::test]
async fn p5_what_an_expired_version_wrapped_unwraps_after_a_restart() {
    let (bench, all) = restarted().await;
    for version in ["1", "2"] {
        bench.cloud.set_version(version, Mood::Expired);
    }
    for known in &all {
        bench.unwrap(known).await.unwrap();
    }
    bench.clock.settle().await;
    assert_eq!(bench.arena.in_use(), 3, "those, and the one that wraps");
}

#[tokio::test]
async fn p1_a_version_that_is_read_is_proven_by_a_fresh_assume_and_an_unwrap_and_nothing_more() {
    let (bench, [_, second]) = restarted().await;
    let calls = [Call::Assume, Call::Unwrap, Call::Canary, Call::Wrap, Call::Describe];
    let before = calls.map(|call| bench.cloud.count(call));
    bench.unwrap(&second).await.unwrap();
    let after = calls.map(|call| bench.cloud.count(call));
    let asked: Vec<_> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    assert_eq!(asked, [1, 2, 0, 0, 0], "one unwrap proves, and one is the request's");
    bench.clock.advance(S(160)).await;
    assert_eq!(bench.cloud.count(Call::Assume), after[0] + 1, "a renewal");
    assert_eq!(bench.cloud.count(Call::Unwrap), after[1] + 1, "opens the same again");
    bench.cloud.set_version("2", Mood::Disabled);
    bench.clock.advance(S(160)).await;
    assert!(
        matches!(bench.unwrap(&second).await, Err(LeaseError::Denied(_))),
        "and is denied like any other"
    );
    assert_eq!(bench.arena.in_use(), 0);
}

#[tokio::test]
async fn p10_an_expired_version_that_was_disabled_comes_back_by_itself() {
    let (bench, [_, second]) = restarted().await;
    bench.cloud.set_version("2", Mood::Expired);
    bench.unwrap(&second).await.unwrap();
    bench.cloud.set_version("2", Mood::Disabled);
    assert!(bench.leases.reprove(&bench.subject()).await.is_ok(), "the version that wraps is fine");
    assert!(matches!(bench.unwrap(&second).await, Err(LeaseError::Denied(_))));
    bench.cloud.set_version("2", Mood::Expired);
    bench.clock.advance(S(10)).await;
    bench.unwrap(&second).await.unwrap();
}

#[tokio::test]
async fn p5_an_expired_version_is_read_again_after_nobody_used_it() {
    let bench = Bench::versioned().await;
    bench.wrapped().await;
    bench.cloud.rotate("2");
    bench.leases.reprove(&bench.subject()).await.unwrap();
    bench.clock.settle().await;
    let wrapped = bench.wrapped().await;
    bench.cloud.set_version("2", Mood::Expired);
    bench.clock.advance(S(3600)).await;
    assert_eq!(bench.arena.in_use(), 0);
    let mut bench = bench;
    bench.states();
    let _hold = bench.leases.hold(&bench.subject()).unwrap();
    bench.clock.settle().await;
    assert_eq!(bench.state(), LeaseState::Live, "it is the one that wraps, and what proved it is kept");
    bench.unwrap(&wrapped).await.unwrap();
    assert!(!bench.states().contains(&LeaseState::Denied));
}

#[tokio::test]
async fn p6_a_wrapped_key_that_is_no_good_is_refused_alone() {
    let (bench, [_, second]) = restarted().await;
    let forged = bench.forged(&second, "2");
    let before = bench.cloud.count(Call::Assume);
    for _ in 0..100 {
        assert!(matches!(bench.unwrap(&forged).await, Err(LeaseError::Rejected(_))));
    }
    assert_eq!(bench.cloud.count(Call::Assume), before + 1, "once in 10 s");
    bench.unwrap(&second).await.unwrap();
}

#[tokio::test]
async fn who_joins_a_proof_by_a_wrapped_key_that_is_no_good_is_served_by_their_own() {
    let (bench, [_, second]) = restarted().await;
    let mut held = bench.cloud.hold(Call::Unwrap);
    let forger = bench.unwrapping(&bench.forged(&second, "2"));
    held.reached().await;
    let readers: Vec<_> = (0..100).map(|_| bench.unwrapping(&second)).collect();
    bench.clock.settle().await;
    held.go_on();
    assert!(matches!(forger.await.unwrap(), Err(LeaseError::Rejected(_))));
    for reader in readers {
        reader.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn p1_a_version_that_was_only_read_wraps_only_after_a_wrap_and_an_unwrap_under_it() {
    let bench = Bench::versioned().await;
    bench.wrapped().await;
    bench.cloud.rotate("2");
    bench.leases.reprove(&bench.subject()).await.unwrap();
    bench.clock.settle().await;
    let second = bench.wrapped().await;
    let bench = bench.restarted();
    bench.unwrap(&second).await.unwrap();
    let wrapped = bench.cloud.count(Call::Wrap);
    let mut canary = bench.cloud.hold(Call::Wrap);
    bench.leases.reprove(&bench.subject()).await.unwrap();
    canary.reached().await;
    assert_eq!(generate(&bench).await.unwrap(), "1", "that it is live says nothing about wraps");
    canary.go_on();
    bench.clock.settle().await;
    assert_eq!(generate(&bench).await.unwrap(), "2");
    assert_eq!(bench.cloud.count(Call::Wrap), wrapped + 1);
}

#[tokio::test]
async fn p10_a_version_that_is_named_and_cannot_be_wrapped_under_is_read_within_10_s() {
    let bench = Bench::versioned().await;
    bench.wrapped().await;
    bench.cloud.rotate("2");
    bench.leases.reprove(&bench.subject()).await.unwrap();
    bench.clock.settle().await;
    let second = bench.wrapped().await;
    let bench = bench.restarted();
    bench.cloud.set_version("2", Mood::Expired);
    assert_eq!(generate(&bench).await.unwrap(), "1");
    bench.clock.settle().await;
    let _ = bench.unwrap(&second).await;
    bench.clock.advance(S(10)).await;
    bench.unwrap(&second).await.unwrap();
    assert_eq!(generate(&bench).await.unwrap(), "1");
}

#[tokio::test]
async fn p2_a_lent_key_that_may_not_be_unwrapped_has_every_other_version_proven_at_once() {
    let (bench, [first, second]) = restarted().await;
    bench.unwrap(&first).await.unwrap();
    bench.cloud.key(Mood::Deny);
    assert!(matches!(bench.unwrap(&second).await, Err(LeaseError::RequestDenied(_))));
    bench.clock.settle().await;
    assert_eq!((bench.arena.in_use(), bench.state()), (0, LeaseState::Denied), "without a tick of the clock");
}

#[tokio::test]
async fn a_lent_key_of_a_forbidden_context_blacks_nobody_out() {
    let bench = Bench::versioned().await;
    let kept = bench.wrapped().await;
    bench.cloud.rotate("2");
    bench.leases.reprove(&bench.subject()).await.unwrap();
    bench.clock.settle().await;
    let (odd, even) = (context("odd"), context("even"));
    let (odd_key, even_key) = (bench.wrapped_under(&odd).await, bench.wrapped_under(&even).await);
    let mut bench = bench.restarted();
    bench.unwrap(&kept).await.unwrap();
    bench.states();
    bench.cloud.forbid(Some(odd.clone()));
    assert!(matches!(bench.unwrap_under(&odd_key, &odd).await, Err(LeaseError::RequestDenied(_))));
    bench.unwrap_under(&even_key, &even).await.unwrap();
    bench.unwrap(&kept).await.unwrap();
    assert!(!bench.states().contains(&LeaseState::Denied));
}

// === What wraps ===

#[tokio::test]
async fn a_wrap_that_comes_too_late_for_its_version_fails_alone_and_says_what_to_do() {
    let mut bench = Bench::versioned().await;
    let wrapped = bench.wrapped().await;
    bench.unwrap(&wrapped).await.unwrap();
    let _hold = bench.leases.hold(&bench.subject()).unwrap();
    bench.cloud.describe(Mood::Expired);
    bench.cloud.set_version("1", Mood::Expired);
    bench.states();
    let unwraps = bench.cloud.count(Call::Unwrap);
    for _ in 0..50 {
        let refused = generate(&bench).await.unwrap_err();
        assert!(matches!(refused, LeaseError::OutOfDate(_)), "{refused}");
        assert!(refused.to_string().contains("make a new version"), "{refused}");
        bench.unwrap(&wrapped).await.unwrap();
    }
    bench.clock.settle().await;
    assert_eq!((bench.states(), bench.state()), (vec![], LeaseState::Live), "no holder is told to wipe");
    assert_eq!(bench.cloud.count(Call::Unwrap), unwraps, "and nothing that was cached is gone");
}

#[tokio::test]
async fn p9_wraps_that_come_too_late_start_one_proof_and_one_look_every_5_s() {
    let bench = Bench::versioned().await;
    bench.wrapped().await;
    bench.cloud.describe(Mood::Expired);
    bench.cloud.set_version("1", Mood::Expired);
    let before = (bench.cloud.count(Call::Canary), bench.cloud.count(Call::Describe));
    for _ in 0..200 {
        assert!(matches!(generate(&bench).await, Err(LeaseError::OutOfDate(_))));
        bench.clock.advance(S(1) / 10).await;
    }
    let proofs = bench.cloud.count(Call::Canary) - before.0;
    let looks = bench.cloud.count(Call::Describe) - before.1;
    assert!((4..=5).contains(&proofs) && (4..=5).contains(&looks), "{proofs} and {looks} in 20 s");
}

#[tokio::test]
async fn a_wrap_that_comes_too_late_finds_the_newer_version_at_once() {
    let mut bench = Bench::versioned().await;
    let old = bench.wrapped().await;
    bench.unwrap(&old).await.unwrap();
    bench.cloud.rotate("2");
    bench.cloud.set_version("1", Mood::Expired);
    bench.states();
    assert_eq!(generate(&bench).await.unwrap(), "2", "nobody acted, and no time passed");
    bench.unwrap(&old).await.unwrap();
    assert!(!bench.states().contains(&LeaseState::Denied));
}

#[tokio::test]
async fn all_wraps_that_come_too_late_together_find_the_newer_version() {
    let bench = Bench::versioned().await;
    bench.wrapped().await;
    bench.cloud.rotate("2");
    bench.cloud.set_version("1", Mood::Expired);
    let before = bench.cloud.count(Call::Describe);
    let wrapping: Vec<_> = (0..100)
        .map(|_| {
            let (leases, subject) = (bench.leases.clone(), bench.subject());
            tokio::spawn(async move {
                let made = leases.generate(&subject, KeyLength::B32, &EncryptionContext::empty()).await?;
                made.release().map(|made| version_of(&made.value.wrapped))
            })
        })
        .collect();
    for request in wrapping {
        assert_eq!(request.await.unwrap().unwrap(), "2");
    }
    assert_eq!(bench.cloud.count(Call::Describe), before + 1);
}

#[tokio::test]
async fn a_wrap_that_goes_away_takes_no_look_for_a_newer_version_with_it() {
    let bench = Bench::versioned().await;
    bench.wrapped().await;
    bench.cloud.rotate("2");
    bench.cloud.set_version("1", Mood::Expired);
    let mut look = bench.cloud.hold(Call::Describe);
    let (leases, subject) = (bench.leases.clone(), bench.subject());
    let gone = tokio::spawn(async move {
        leases.generate(&subject, KeyLength::B32, &EncryptionContext::empty()).await.map(|_| ())
    });
    look.reached().await;
    gone.abort();
    look.go_on();
    bench.clock.settle().await;
    assert_eq!(generate(&bench).await.unwrap(), "2");
}

#[tokio::test]
async fn p2_a_wrap_that_comes_too_late_has_the_lease_proven_all_the_same() {
    let bench = Bench::versioned().await;
    let wrapped = bench.wrapped().await;
    bench.unwrap(&wrapped).await.unwrap();
    bench.cloud.set_version("1", Mood::Expired);
    bench.cloud.trust(Mood::Deny);
    assert!(generate(&bench).await.is_err());
    bench.clock.settle().await;
    assert_eq!((bench.state(), bench.arena.in_use()), (LeaseState::Denied, 0));
}
