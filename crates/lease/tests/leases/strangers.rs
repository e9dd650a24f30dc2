//! Versions that only an envelope names: whatever a caller writes there is harmless.

use std::time::Duration;

use leasehold_envelope::{EncryptionContext, Envelope, WrappedKey};
use leasehold_lease::{LeaseError, LeaseState};
use leasehold_secret::PlaintextKey;

use crate::bench::{Bench, S};
use crate::cloud::{Call, Mood};

impl Bench {
    /// An envelope like `genuine`, but of this version and with a ciphertext that no cache knows.
    pub(crate) fn forged(&self, genuine: &WrappedKey, version: &str) -> WrappedKey {
        self.forged_as(genuine, version, &format!("forged-{version}"))
    }

    /// The same with this ciphertext.
    pub(crate) fn forged_as(&self, genuine: &WrappedKey, version: &str, ciphertext: &str) -> WrappedKey {
        let envelope = Envelope::parse(genuine.as_bytes()).unwrap();
        let mut header = envelope.header().clone();
        header.key_version = version.parse().unwrap();
        let body = leasehold_envelope::Body::Direct { ciphertext: ciphertext.to_owned().into() };
        Envelope::new(header, body).unwrap().encode()
    }
}

/// A key under each of the versions 1 to `n`, of which the last one wraps. The process knows them all, and none is in use.
async fn read_all(n: usize) -> (Bench, Vec<WrappedKey>) {
    let bench = Bench::versioned().await;
    let mut all = vec![bench.wrapped().await];
    for version in 2..=n {
        bench.cloud.rotate(&version.to_string());
        bench.leases.reprove(&bench.subject()).await.unwrap();
        bench.clock.settle().await;
        all.push(bench.wrapped().await);
    }
    bench.clock.advance(S(3600)).await;
    assert_eq!(bench.arena.in_use(), 0);
    (bench, all)
}

#[tokio::test]
async fn a_made_up_version_is_told_as_a_wrong_envelope_and_is_no_denial_of_the_tenants() {
    let mut bench = Bench::versioned().await;
    let genuine = bench.wrapped().await;
    let before = bench.leases.view(bench.subject().name());
    bench.states();
    let refused = bench.unwrap(&bench.forged(&genuine, "made-up")).await.err().unwrap();
    assert!(matches!(refused, LeaseError::UnknownVersion(_)), "{refused}");
    assert_eq!(bench.states(), [], "nobody is told");
    let after = bench.leases.view(bench.subject().name());
    assert_eq!((after.state, after.epoch), (LeaseState::Live, before.epoch));
    assert!(after.denial.is_none());
    bench.unwrap(&genuine).await.unwrap();
}

#[tokio::test]
async fn a_made_up_version_is_told_to_nobody_even_if_nothing_else_is_in_use() {
    let bench = Bench::versioned().await;
    let genuine = bench.wrapped().await;
    bench.clock.advance(S(3600)).await;
    let mut bench = bench;
    bench.states();
    assert!(bench.unwrap(&bench.forged(&genuine, "made-up")).await.is_err());
    assert_eq!(bench.states(), []);
    assert_eq!(bench.state(), LeaseState::Idle);
}

#[tokio::test]
async fn a_made_up_version_is_not_asked_for_again_by_itself() {
    for mood in [Mood::Missing, Mood::Deny, Mood::Disabled, Mood::Outage] {
        let bench = Bench::versioned().await;
        let genuine = bench.wrapped().await;
        bench.cloud.missing(mood);
        let _hold = bench.leases.hold(&bench.subject()).unwrap();
        assert!(bench.unwrap(&bench.forged(&genuine, "made-up")).await.is_err());
        let before = bench.cloud.count(Call::Unwrap);
        bench.clock.advance(S(3600)).await;
        assert_eq!(bench.cloud.count(Call::Unwrap), before, "{mood:?}");
    }
}

#[tokio::test]
async fn p9_the_same_made_up_version_costs_one_proof_in_10_s() {
    let bench = Bench::versioned().await;
    let genuine = bench.wrapped().await;
    let forged = bench.forged(&genuine, "made-up");
    let before = bench.cloud.count(Call::Unwrap);
    for _ in 0..100 {
        for _ in 0..5 {
            assert!(matches!(bench.unwrap(&forged).await, Err(LeaseError::UnknownVersion(_))));
        }
        bench.clock.advance(S(1)).await;
    }
    assert_eq!(bench.cloud.count(Call::Unwrap) - before, 10, "in 100 s");
}

#[tokio::test]
async fn p9_a_flood_of_made_up_versions_costs_16_proofs_and_then_one_every_10_s() {
    let bench = Bench::versioned().await;
    let genuine = bench.wrapped().await;
    let _hold = bench.leases.hold(&bench.subject()).unwrap();
    bench.unwrap(&genuine).await.unwrap();
    let before = bench.cloud.count(Call::Unwrap);
    let mut throttled = 0;
    for n in 0..1000 {
        match bench.unwrap(&bench.forged(&genuine, &format!("made-up-{n}"))).await {
            Err(LeaseError::UnknownVersion(_)) => {}
            Err(LeaseError::Throttled { retry_after: Some(pause), .. }) => {
                assert!(pause <= S(10), "{pause:?}");
                throttled += 1;
            }
            other => panic!("{:?}", other.err()),
        }
        bench.clock.advance(Duration::from_millis(100)).await;
        bench.unwrap(&genuine).await.unwrap();
    }
    let proofs = bench.cloud.count(Call::Unwrap) - before;
    assert!((24..=26).contains(&proofs), "{proofs} proofs in 100 s");
    assert_eq!(throttled, 1000 - proofs);
    assert_eq!(bench.state(), LeaseState::Live);
}

#[tokio::test]
async fn p9_made_up_versions_that_are_never_answered_slow_no_version_that_works() {
    let bench = Bench::versioned().await;
    let genuine = bench.wrapped().await;
    bench.cloud.missing(Mood::BlackHole);
    let before = bench.cloud.count(Call::Unwrap);
    let strangers: Vec<_> =
        (0..100).map(|n| bench.unwrapping(&bench.forged(&genuine, &format!("made-up-{n}")))).collect();
    bench.clock.settle().await;
    assert_eq!(bench.cloud.count(Call::Unwrap), before + 2, "two at a time");
    bench.unwrap(&genuine).await.unwrap();
    bench.wrapped().await;
    bench.leases.reprove(&bench.subject()).await.unwrap();
    bench.clock.advance(S(12)).await;
    for stranger in strangers {
        assert!(stranger.is_finished(), "none waits longer than for any proof");
        assert!(stranger.await.unwrap().is_err());
    }
}

#[tokio::test]
async fn p9_made_up_versions_take_no_place_from_one_that_works() {
    let (bench, all) = read_all(3).await;
    let genuine = &all[2];
    bench.wrapped().await;
    bench.cloud.missing(Mood::BlackHole);
    let _strangers: Vec<_> =
        (0..100).map(|n| bench.unwrapping(&bench.forged(genuine, &format!("made-up-{n}")))).collect();
    bench.clock.settle().await;
    for known in &all {
        bench.unwrap(known).await.unwrap();
    }
    bench.cloud.rotate("4");
    bench.leases.reprove(&bench.subject()).await.unwrap();
    bench.clock.settle().await;
    let new = Envelope::parse(bench.wrapped().await.as_bytes()).unwrap().header().key_version.clone();
    assert_eq!(new.as_str(), "4", "nor from one that is to wrap");
}

#[tokio::test]
async fn p9_a_binding_has_no_more_than_16_leases_and_a_rotation_is_adopted_all_the_same() {
    let (bench, all) = read_all(18).await;
    bench.wrapped().await;
    for wrapped in all.iter().rev() {
        bench.unwrap(wrapped).await.unwrap();
        assert!(bench.arena.in_use() <= 16);
    }
    assert_eq!(bench.arena.in_use(), 16);
    bench.cloud.rotate("19");
    bench.leases.reprove(&bench.subject()).await.unwrap();
    bench.clock.settle().await;
    let new = Envelope::parse(bench.wrapped().await.as_bytes()).unwrap().header().key_version.clone();
    assert_eq!(new.as_str(), "19");
}

#[tokio::test]
async fn p5_one_version_more_than_there_are_places_for_takes_that_of_the_least_recently_used() {
    for restart in [false, true] {
        let (bench, all) = read_all(17).await;
        let mut bench = if restart { bench.restarted() } else { bench };
        let _hold = bench.leases.hold(&bench.subject()).unwrap();
        bench.wrapped().await;
        bench.clock.settle().await;
        for wrapped in &all[1..] {
            bench.clock.advance(S(1)).await;
            bench.unwrap(wrapped).await.unwrap();
        }
        assert_eq!(bench.arena.in_use(), 16, "restarted: {restart}");
        bench.clock.advance(S(1)).await;
        bench.unwrap(&all[1]).await.unwrap();
        let epoch = bench.leases.view(bench.subject().name()).epoch;
        bench.states();
        bench.clock.advance(S(1)).await;
        bench.unwrap(&all[0]).await.unwrap();
        assert_eq!(bench.arena.in_use(), 16, "restarted: {restart}");
        assert_eq!(
            bench.states(),
            [LeaseState::Live, LeaseState::Idle, LeaseState::Live],
            "who holds what was given out under the one that ended is told"
        );
        assert!(bench.leases.view(bench.subject().name()).epoch > epoch, "restarted: {restart}");
        let calls = bench.cloud.count(Call::Unwrap);
        bench.unwrap(&all[1]).await.unwrap();
        assert_eq!(bench.cloud.count(Call::Unwrap), calls, "it had just been used, and is still cached");
        bench.unwrap(&all[2]).await.unwrap();
        assert!(bench.cloud.count(Call::Unwrap) > calls, "it was the one that had to go");
    }
}

#[tokio::test]
async fn p9_versions_that_are_read_in_turn_cost_a_proof_a_second() {
    let (bench, all) = read_all(18).await;
    bench.wrapped().await;
    let before = bench.cloud.count(Call::Assume);
    for round in 0..100 {
        for wrapped in &all {
            match bench.unwrap(wrapped).await {
                Ok(_) => {}
                Err(error) => assert!(matches!(error, LeaseError::TooManyVersions), "{round}: {error}"),
            }
        }
        bench.clock.advance(S(1)).await;
    }
    // Renewals of 16 leases are not among them: 100 s are less than 40 % of the bound.
    let proofs = bench.cloud.count(Call::Assume) - before;
    assert!((100..=140).contains(&proofs), "{proofs} proofs in 100 s");
}

#[tokio::test]
async fn p10_15_old_versions_are_back_within_10_s_of_an_outage() {
    for mood in [Mood::Outage, Mood::Throttle] {
        let (bench, all) = read_all(16).await;
        let bench = bench.restarted();
        bench.cloud.both(mood);
        for _ in 0..60 {
            for wrapped in &all[1..] {
                assert!(bench.unwrap(wrapped).await.is_err());
            }
            bench.clock.advance(S(1)).await;
        }
        bench.cloud.both(Mood::Allow);
        bench.clock.advance(S(10)).await;
        for wrapped in &all[1..] {
            bench.unwrap(wrapped).await.unwrap();
        }
    }
}

#[tokio::test]
async fn p5_a_process_that_knows_nothing_unwraps_what_every_version_wrapped() {
    let (bench, all) = read_all(16).await;
    let bench = bench.restarted();
    let readers: Vec<_> = all.iter().map(|wrapped| bench.unwrapping(wrapped)).collect();
    for reader in readers {
        reader.await.unwrap().unwrap();
    }
    assert_eq!(bench.arena.in_use(), 16);
    assert_eq!(bench.state(), LeaseState::Live);
}

#[tokio::test]
async fn p10_a_disabled_version_that_never_worked_here_is_told_as_such_and_comes_back_within_10_s() {
    let bench = Bench::versioned().await;
    bench.cloud.set_version("0", Mood::Disabled);
    let old = bench.forged(&bench.wrapped().await, "0");
    let refused = bench.unwrap(&old).await.err().unwrap();
    assert!(
        matches!(refused, LeaseError::Denied(_)),
        "the key cannot be used, and not the envelope: {refused}"
    );
    bench.cloud.set_version("0", Mood::Allow);
    bench.clock.advance(S(10)).await;
    let opened = bench.unwrap(&old).await.err().unwrap();
    assert!(
        matches!(opened, LeaseError::Rejected(_)),
        "it is live again, and the ciphertext is not of it: {opened}"
    );
}

#[tokio::test]
async fn p2_a_made_up_version_whose_proof_finds_the_principal_gone_ends_what_is_held() {
    let bench = Bench::versioned().await;
    let genuine = bench.wrapped().await;
    bench.unwrap(&genuine).await.unwrap();
    bench.cloud.trust(Mood::Deny);
    assert!(matches!(bench.unwrap(&bench.forged(&genuine, "made-up")).await, Err(LeaseError::Denied(_))));
    assert_eq!((bench.arena.in_use(), bench.state()), (0, LeaseState::Denied));
}

#[tokio::test]
async fn p9_made_up_versions_do_not_probe_a_binding_that_is_denied() {
    let bench = Bench::versioned().await;
    let genuine = bench.wrapped().await;
    bench.cloud.trust(Mood::Deny);
    assert!(bench.leases.reprove(&bench.subject()).await.is_err());
    let before = bench.cloud.count(Call::Assume);
    for n in 0..100 {
        let refused = bench.unwrap(&bench.forged(&genuine, &format!("made-up-{n}"))).await;
        assert!(matches!(refused, Err(LeaseError::Denied(_))));
    }
    assert_eq!(bench.cloud.count(Call::Assume), before);
}

#[tokio::test]
async fn an_envelope_without_a_version_is_foreign_to_a_key_that_has_versions() {
    let bench = Bench::versioned().await;
    let genuine = bench.wrapped().await;
    let refused = bench.unwrap(&bench.forged(&genuine, "")).await;
    assert!(matches!(refused, Err(LeaseError::ForeignEnvelope)));
}

#[tokio::test]
async fn a_version_that_was_made_up_once_is_served_when_the_key_gets_it() {
    let bench = Bench::versioned().await;
    let genuine = bench.wrapped().await;
    assert!(bench.unwrap(&bench.forged(&genuine, "2")).await.is_err());
    bench.cloud.rotate("2");
    bench.leases.reprove(&bench.subject()).await.unwrap();
    bench.clock.settle().await;
    let key = PlaintextKey::generate(&bench.arena, leasehold_secret::KeyLength::B32).unwrap();
    let made = bench.leases.wrap(&bench.subject(), &key, &EncryptionContext::empty()).await.unwrap();
    let new = made.release().unwrap().value;
    assert_eq!(Envelope::parse(new.as_bytes()).unwrap().header().key_version.as_str(), "2");
    bench.unwrap(&new).await.unwrap();
}

#[tokio::test]
async fn p9_who_is_answered_without_a_proof_takes_no_turn_of_those_who_need_one() {
    let (bench, all) = read_all(17).await;
    bench.wrapped().await;
    for wrapped in &all[1..] {
        bench.unwrap(wrapped).await.unwrap();
    }
    assert_eq!(bench.arena.in_use(), 16);
    bench.cloud.set_version("1", Mood::Outage);
    for n in 0..100 {
        let error = bench.unwrap(&all[0]).await.err().unwrap();
        assert!(matches!(error, LeaseError::Unavailable(_)), "{n}: {error}");
    }
    bench.cloud.set_version("1", Mood::Allow);
    bench.clock.advance(S(1)).await;
    bench.unwrap(&all[0]).await.unwrap();
}
