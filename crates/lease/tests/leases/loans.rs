//! What one caller lent to a proof is that caller's affair: nobody else is refused for it, and nobody waits for it.

use leasehold_envelope::{EncryptionContext, WrappedKey};
use leasehold_lease::LeaseError;
use leasehold_secret::KeyLength;

use crate::bench::{Bench, S, context};
use crate::cloud::{Call, Mood};
use crate::expiry::restarted;

/// What version 2 wrapped for `contexts`. The process knows nothing but that the cloud names version 2, which cannot be
/// wrapped under; by what `mood` says when it was tried.
async fn named(mood: Mood, contexts: &[&EncryptionContext]) -> (Bench, Vec<WrappedKey>) {
    let bench = Bench::versioned().await;
    bench.wrapped().await;
    bench.cloud.rotate("2");
    bench.leases.reprove(&bench.subject()).await.unwrap();
    bench.clock.settle().await;
    let mut wrapped = Vec::new();
    for context in contexts {
        wrapped.push(bench.wrapped_under(context).await);
    }
    let bench = bench.restarted();
    bench.cloud.set_version("2", mood);
    let context = EncryptionContext::empty();
    drop(bench.leases.generate(&bench.subject(), KeyLength::B32, &context).await.unwrap());
    bench.clock.settle().await;
    bench.cloud.set_version("2", Mood::Expired);
    (bench, wrapped)
}

/// Named, and no proof of it is under way, nor one denied.
async fn named_and_idle(contexts: &[&EncryptionContext]) -> (Bench, Vec<WrappedKey>) {
    let (bench, wrapped) = named(Mood::Outage, contexts).await;
    bench.clock.advance(S(60)).await;
    (bench, wrapped)
}

// === Of a version that is denied ===

#[tokio::test]
async fn p10_a_corrupt_wrapped_key_that_came_first_keeps_no_version_from_being_read_within_10_s() {
    let (bench, wrapped) = named(Mood::Expired, &[&EncryptionContext::empty()]).await;
    let forged = bench.forged(&wrapped[0], "2");
    assert!(matches!(bench.unwrap(&forged).await, Err(LeaseError::Denied(_))));
    assert!(matches!(bench.unwrap(&wrapped[0]).await, Err(LeaseError::Denied(_))));
    bench.clock.advance(S(10)).await;
    bench.unwrap(&wrapped[0]).await.unwrap();
}

#[tokio::test]
async fn p10_a_corrupt_wrapped_key_that_is_asked_for_without_an_end_costs_one_retry() {
    for forged_last in [false, true] {
        let (bench, wrapped) = named(Mood::Expired, &[&EncryptionContext::empty()]).await;
        let forged = bench.forged(&wrapped[0], "2");
        let asked = if forged_last { [&wrapped[0], &forged] } else { [&forged, &wrapped[0]] };
        for _ in 0..20 {
            for known in asked {
                let _ = bench.unwrap(known).await;
            }
            bench.clock.advance(S(1)).await;
        }
        bench.unwrap(&wrapped[0]).await.unwrap();
    }
}

#[tokio::test]
async fn p10_a_context_that_is_forbidden_keeps_no_other_from_being_read_within_10_s() {
    let (odd, even) = (context("odd"), context("even"));
    let (bench, wrapped) = named(Mood::Expired, &[&odd, &even]).await;
    bench.cloud.forbid(Some(odd.clone()));
    assert!(bench.unwrap_under(&wrapped[0], &odd).await.is_err());
    assert!(bench.unwrap_under(&wrapped[1], &even).await.is_err());
    bench.clock.advance(S(10)).await;
    bench.unwrap_under(&wrapped[1], &even).await.unwrap();
}

#[tokio::test]
async fn p10_a_context_that_proved_a_version_and_is_forbidden_later_blacks_no_other_out() {
    let (odd, even) = (context("odd"), context("even"));
    let (bench, wrapped) = named_and_idle(&[&odd, &even]).await;
    bench.unwrap_under(&wrapped[0], &odd).await.unwrap();
    bench.cloud.forbid(Some(odd.clone()));
    let _ = bench.leases.reprove(&bench.subject()).await;
    assert!(bench.unwrap_under(&wrapped[1], &even).await.is_err(), "what proved it is denied");
    bench.clock.advance(S(10)).await;
    bench.unwrap_under(&wrapped[1], &even).await.unwrap();
}

// === Of a version that is idle ===

#[tokio::test]
async fn who_joins_a_proof_of_a_known_version_by_a_corrupt_key_is_served_by_their_own() {
    let (bench, wrapped) = named_and_idle(&[&EncryptionContext::empty()]).await;
    let mut held = bench.cloud.hold(Call::Unwrap);
    let forger = bench.unwrapping(&bench.forged(&wrapped[0], "2"));
    held.reached().await;
    let readers: Vec<_> = (0..100).map(|_| bench.unwrapping(&wrapped[0])).collect();
    bench.clock.settle().await;
    held.go_on();
    assert!(matches!(forger.await.unwrap(), Err(LeaseError::Rejected(_))));
    for reader in readers {
        reader.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_corrupt_key_of_a_known_version_is_refused_alone() {
    let (bench, wrapped) = named_and_idle(&[&EncryptionContext::empty()]).await;
    let forged = bench.forged(&wrapped[0], "2");
    let before = bench.cloud.count(Call::Assume);
    for _ in 0..100 {
        assert!(matches!(bench.unwrap(&forged).await, Err(LeaseError::Rejected(_))));
    }
    assert_eq!(bench.cloud.count(Call::Assume), before + 1, "once in 10 s");
    bench.unwrap(&wrapped[0]).await.unwrap();
}

#[tokio::test]
async fn a_forbidden_context_of_a_known_version_is_refused_alone() {
    let (odd, even) = (context("odd"), context("even"));
    let (bench, wrapped) = named_and_idle(&[&odd, &even]).await;
    bench.cloud.forbid(Some(odd.clone()));
    assert!(matches!(bench.unwrap_under(&wrapped[0], &odd).await, Err(LeaseError::RequestDenied(_))));
    bench.unwrap_under(&wrapped[1], &even).await.unwrap();
}

#[tokio::test]
async fn p9_a_flood_of_corrupt_keys_of_a_known_version_costs_16_proofs_and_then_one_every_10_s() {
    let (bench, wrapped) = named_and_idle(&[&EncryptionContext::empty()]).await;
    let before = bench.cloud.count(Call::Assume);
    let mut refused = 0;
    for n in 0..200 {
        match bench.unwrap(&bench.forged_as(&wrapped[0], "2", &format!("forged-{n}"))).await {
            Err(LeaseError::Rejected(_)) => refused += 1,
            Err(LeaseError::Throttled { .. }) => {}
            other => panic!("{:?}", other.err()),
        }
    }
    assert_eq!((bench.cloud.count(Call::Assume) - before, refused), (16, 16));
    bench.clock.advance(S(10)).await;
    bench.unwrap(&wrapped[0]).await.unwrap();
}

// === Of a version that only an envelope names ===

#[tokio::test]
async fn p5_a_proof_opens_what_its_own_caller_lent_whoever_lent_something_since() {
    let (bench, [_, second]) = restarted().await;
    // Both places for strangers are taken.
    let (mut one, mut two) = (bench.cloud.hold(Call::Assume), bench.cloud.hold(Call::Assume));
    let _strangers = ["x", "y"].map(|version| bench.unwrapping(&bench.forged(&second, version)));
    one.reached().await;
    two.reached().await;
    let reader = bench.unwrapping(&second);
    bench.clock.settle().await;
    bench.leases.reprove(&bench.subject()).await.unwrap();
    let forger = bench.unwrapping(&bench.forged(&second, "2"));
    bench.clock.settle().await;
    one.go_on();
    two.go_on();
    reader.await.unwrap().unwrap();
    // By then the version lives, or the proof was the forger's own.
    assert!(matches!(forger.await.unwrap(), Err(LeaseError::Rejected(_))));
}
