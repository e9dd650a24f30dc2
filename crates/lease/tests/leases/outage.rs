//! P3: an outage is not a denial. It neither ends a lease early nor lengthens it.

use leasehold_lease::{LeaseError, LeaseState};

use crate::bench::{Bench, S};
use crate::cloud::{Call, Mood};

#[tokio::test]
async fn p3_no_kind_of_silence_ends_a_lease_early_or_lengthens_it() {
    for mood in [Mood::Outage, Mood::Throttle, Mood::BlackHole] {
        let bench = Bench::new().await;
        let wrapped = bench.wrapped().await;
        bench.unwrap(&wrapped).await.unwrap();
        bench.cloud.both(mood);
        bench.clock.advance(S(299)).await;
        bench.unwrap(&wrapped).await.unwrap_or_else(|e| panic!("{mood:?} ended the lease early: {e}"));
        bench.clock.advance(S(1)).await;
        assert!(matches!(bench.unwrap(&wrapped).await, Err(LeaseError::Lapsed(_))), "{mood:?}");
        assert_eq!(bench.state(), LeaseState::Lapsed, "{mood:?}: never DENIED");
    }
}

#[tokio::test]
async fn p3_a_lapsed_lease_goes_on_proving_and_comes_back_by_itself() {
    let mut bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.states();
    bench.cloud.both(Mood::Outage);
    bench.clock.advance(S(400)).await;
    assert_eq!(bench.state(), LeaseState::Lapsed);
    bench.cloud.both(Mood::Allow);
    bench.clock.advance(S(10)).await;
    assert_eq!(bench.states(), [LeaseState::Lapsed, LeaseState::Live]);
    bench.unwrap(&wrapped).await.unwrap();
}

#[tokio::test]
async fn p3_requests_to_a_lapsed_lease_fail_at_once() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.cloud.both(Mood::BlackHole);
    bench.clock.advance(S(301)).await;
    let before = bench.now();
    assert!(matches!(bench.unwrap(&wrapped).await, Err(LeaseError::Lapsed(_))));
    assert_eq!(bench.now(), before, "no waiting for a cloud that has not answered for the whole bound");
}

#[tokio::test]
async fn p9_a_first_proof_that_gets_no_answer_fails_its_waiters_together_within_the_deadline() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.clock.advance(S(3600)).await;
    assert_eq!(bench.state(), LeaseState::Idle);
    bench.cloud.trust(Mood::BlackHole);
    let before = bench.cloud.count(Call::Assume);
    let waiters: Vec<_> = (0..100).map(|_| bench.unwrapping(&wrapped)).collect();
    bench.clock.advance(S(10)).await;
    for waiter in waiters {
        assert!(waiter.is_finished(), "within the 10 s of one proof, not one after another");
        assert!(matches!(waiter.await.unwrap(), Err(LeaseError::Unavailable(_))));
    }
    assert_eq!(bench.cloud.count(Call::Assume), before + 1);
    assert_eq!(bench.state(), LeaseState::Idle, "a failed first proof leaves no mark on the lease");
    bench.cloud.trust(Mood::Allow);
    bench.clock.advance(S(1)).await;
    bench.unwrap(&wrapped).await.unwrap();
}

#[tokio::test]
async fn p9_first_proofs_that_get_no_answer_are_repeated_ever_less_often_whoever_asks() {
    for mood in [Mood::Outage, Mood::Throttle] {
        let bench = Bench::new().await;
        let wrapped = bench.wrapped().await;
        bench.clock.advance(S(3600)).await;
        bench.cloud.trust(mood);
        let before = bench.cloud.count(Call::Assume);
        for _ in 0..1_000 {
            assert!(bench.unwrap(&wrapped).await.is_err());
            bench.clock.advance(S(1) / 10).await;
        }
        let proofs = bench.cloud.count(Call::Assume) - before;
        assert!((11..=16).contains(&proofs), "{mood:?}: {proofs} proofs in 100 s of requests");
        bench.cloud.trust(Mood::Allow);
        bench.clock.advance(S(10)).await;
        bench.unwrap(&wrapped).await.unwrap();
    }
}

#[tokio::test]
async fn a_cloud_that_names_a_time_is_not_asked_for_a_first_proof_sooner() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.clock.advance(S(3600)).await;
    bench.cloud.trust(Mood::ThrottleFor(60));
    let before = bench.cloud.count(Call::Assume);
    for _ in 0..60 {
        assert!(matches!(bench.unwrap(&wrapped).await, Err(LeaseError::Throttled { .. })));
        bench.clock.advance(S(1)).await;
    }
    assert_eq!(bench.cloud.count(Call::Assume), before + 1);
    bench.cloud.trust(Mood::Allow);
    bench.unwrap(&wrapped).await.unwrap();
}

#[tokio::test]
async fn who_wants_it_proven_anew_need_not_wait_for_the_answer_of_a_failed_first_proof_to_fade() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.clock.advance(S(3600)).await;
    bench.cloud.trust(Mood::ThrottleFor(60));
    assert!(bench.unwrap(&wrapped).await.is_err());
    bench.cloud.trust(Mood::Allow);
    bench.leases.reprove(&bench.subject()).await.unwrap();
    bench.unwrap(&wrapped).await.unwrap();
}

#[tokio::test]
async fn p3_a_denial_that_follows_an_outage_is_a_denial() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.cloud.both(Mood::Outage);
    bench.clock.advance(S(200)).await;
    bench.cloud.key(Mood::Allow);
    bench.cloud.trust(Mood::Deny);
    bench.clock.advance(S(10)).await;
    assert_eq!(bench.state(), LeaseState::Denied);
    assert!(matches!(bench.unwrap(&wrapped).await, Err(LeaseError::Denied(_))));
}

#[tokio::test]
async fn p10_a_hold_outlives_an_outage_that_the_process_is_suspended_in() {
    let bench = Bench::new().await;
    bench.cloud.both(Mood::Outage);
    let _hold = bench.leases.hold(&bench.subject()).unwrap();
    bench.clock.settle().await;
    bench.clock.suspend_for(S(30));
    bench.cloud.both(Mood::Allow);
    bench.clock.advance(S(10)).await;
    assert_eq!(bench.state(), LeaseState::Live);
}
