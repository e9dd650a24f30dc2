//! The sentinel: many denials at once usually mean that our own identity broke.

use leasehold_lease::{LeaseError, LeaseState};

use crate::bench::{Bench, S};
use crate::cloud::{Call, Mood};

#[tokio::test]
async fn a_denial_that_the_sentinel_shares_is_masked_and_ends_no_lease_early() {
    let bench = Bench::with_sentinel().await;
    let wrapped = bench.wrapped().await;
    bench.unwrap(&wrapped).await.unwrap();
    bench.cloud.trust(Mood::Deny);
    bench.cloud.sentinel(Mood::Deny);
    assert!(matches!(bench.leases.reprove(&bench.subject()).await, Err(LeaseError::Masked(_))));
    assert_eq!(bench.state(), LeaseState::Live);
    assert!(bench.leases.view(bench.subject().name()).masked, "and the view says so");
    bench.unwrap(&wrapped).await.unwrap();
    bench.clock.advance(S(300)).await;
    assert!(
        matches!(bench.unwrap(&wrapped).await, Err(LeaseError::Masked(_))),
        "P1 holds: the lease runs out"
    );
    assert_eq!(bench.state(), LeaseState::Lapsed);
}

#[tokio::test]
async fn p2_a_denial_that_the_sentinel_does_not_share_is_the_tenants_word() {
    for sentinel in [Mood::Allow, Mood::Outage, Mood::Throttle, Mood::BlackHole] {
        let bench = Bench::with_sentinel().await;
        bench.wrapped().await;
        bench.cloud.trust(Mood::Deny);
        bench.cloud.sentinel(sentinel);
        let proof = bench.reproving();
        bench.clock.advance(S(2)).await;
        assert!(proof.is_finished(), "a sentinel in {sentinel:?} holds the wipe up for 2 s at the most");
        assert!(matches!(proof.await.unwrap(), Err(LeaseError::Denied(_))), "{sentinel:?}");
        assert_eq!(bench.state(), LeaseState::Denied, "{sentinel:?}");
    }
}

#[tokio::test]
async fn p2_a_denial_at_the_key_edge_is_never_masked() {
    let bench = Bench::with_sentinel().await;
    bench.wrapped().await;
    bench.cloud.key(Mood::Deny);
    bench.cloud.sentinel(Mood::Deny);
    assert!(matches!(bench.leases.reprove(&bench.subject()).await, Err(LeaseError::Denied(_))));
    assert_eq!(bench.cloud.sentinel_calls(), 0, "the sentinel is not even asked");
}

#[tokio::test]
async fn nothing_is_served_while_the_verdict_is_awaited() {
    let bench = Bench::with_sentinel().await;
    let wrapped = bench.wrapped().await;
    bench.unwrap(&wrapped).await.unwrap();
    let (subject, context) = (bench.subject(), leasehold_envelope::EncryptionContext::empty());
    let made_before = bench.leases.unwrap(&subject, &wrapped, &context).await.unwrap();
    bench.cloud.trust(Mood::Deny);
    bench.cloud.sentinel(Mood::BlackHole);
    let proof = bench.reproving();
    bench.clock.settle().await;
    assert!(made_before.release().is_err(), "not even what was ready to be given");
    let waiting = bench.unwrapping(&wrapped);
    bench.clock.settle().await;
    assert!(!waiting.is_finished());
    bench.clock.advance(S(2)).await;
    assert!(proof.await.unwrap().is_err());
    assert!(matches!(waiting.await.unwrap(), Err(LeaseError::Denied(_))));
}

#[tokio::test]
async fn after_a_masked_denial_service_goes_on_and_recovers() {
    let bench = Bench::with_sentinel().await;
    let wrapped = bench.wrapped().await;
    bench.cloud.trust(Mood::Deny);
    bench.cloud.sentinel(Mood::Deny);
    assert!(bench.leases.reprove(&bench.subject()).await.is_err());
    bench.cloud.trust(Mood::Allow);
    bench.cloud.sentinel(Mood::Allow);
    bench.clock.advance(S(10)).await;
    assert!(!bench.leases.view(bench.subject().name()).masked);
    assert!(bench.unwrap(&wrapped).await.unwrap().lease_ttl > S(280));
}

#[tokio::test]
async fn each_verdict_comes_from_a_question_asked_after_its_denial() {
    let bench = Bench::with_sentinel().await;
    bench.wrapped().await;
    bench.cloud.trust(Mood::Deny);
    bench.cloud.sentinel(Mood::Deny);
    for asked in 1..=3 {
        assert!(bench.leases.reprove(&bench.subject()).await.is_err());
        assert_eq!(bench.cloud.sentinel_calls(), asked);
    }
    assert_eq!(bench.cloud.count(Call::Assume), 5, "activation, first use, three reproves");
}

#[tokio::test]
async fn a_sentinel_whose_provider_panicked_once_can_be_asked_again() {
    let bench = Bench::with_sentinel().await;
    bench.wrapped().await;
    bench.cloud.trust(Mood::Deny);
    bench.cloud.sentinel(Mood::Panic);
    assert!(matches!(bench.leases.reprove(&bench.subject()).await, Err(LeaseError::Denied(_))));
    bench.cloud.sentinel(Mood::Deny);
    let proof = bench.reproving();
    bench.clock.advance(S(2)).await;
    assert!(matches!(proof.await.unwrap(), Err(LeaseError::Masked(_))));
}

#[tokio::test]
async fn p3_an_outage_after_a_masked_denial_is_told_as_an_outage() {
    let bench = Bench::with_sentinel().await;
    bench.wrapped().await;
    bench.cloud.trust(Mood::Deny);
    bench.cloud.sentinel(Mood::Deny);
    assert!(bench.leases.reprove(&bench.subject()).await.is_err());
    bench.cloud.both(Mood::Outage);
    assert!(bench.leases.reprove(&bench.subject()).await.is_err());
    assert!(!bench.leases.view(bench.subject().name()).masked, "the newest proof was not denied");
    bench.cloud.both(Mood::Allow);
    bench.cloud.key(Mood::Deny);
    assert!(matches!(bench.leases.reprove(&bench.subject()).await, Err(LeaseError::Denied(_))));
    assert!(!bench.leases.view(bench.subject().name()).masked);
}
