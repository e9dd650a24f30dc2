//! P1 and P2: a denial counts from the moment at which the cloud gave it, whatever is found out after it.

use leasehold_lease::{LeaseError, LeaseState};

use crate::bench::{Bench, S};
use crate::cloud::{Call, Mood};

/// In which phase the lease of the version that wraps is when its proof is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Idle,
    Lapsed,
    Denied,
}

const NOT_LIVE: [Before; 3] = [Before::Idle, Before::Lapsed, Before::Denied];

async fn bench(before: Before) -> (Bench, leasehold_envelope::WrappedKey) {
    let bench = Bench::versioned().await;
    let wrapped = bench.wrapped().await;
    match before {
        Before::Idle => bench.clock.advance(S(3600)).await,
        Before::Lapsed => {
            bench.cloud.both(Mood::Outage);
            bench.clock.advance(S(301)).await;
            bench.cloud.both(Mood::Allow);
        }
        Before::Denied => {
            bench.cloud.set_version("1", Mood::Disabled);
            assert!(bench.leases.reprove(&bench.subject()).await.is_err());
            bench.cloud.set_version("1", Mood::Allow);
        }
    }
    assert_eq!(bench.arena.in_use(), 0, "{before:?}");
    (bench, wrapped)
}

#[tokio::test]
async fn p1_a_success_that_began_before_a_denial_does_not_count_while_a_successor_is_looked_for() {
    for before in NOT_LIVE {
        let (bench, wrapped) = bench(before).await;
        let mut early = bench.cloud.hold(Call::Canary);
        let first = bench.reproving();
        early.reached().await;
        bench.cloud.set_version("1", Mood::Disabled);
        let mut look = bench.cloud.hold(Call::Describe);
        let second = bench.reproving();
        look.reached().await;
        early.go_on();
        bench.clock.settle().await;
        assert_ne!(bench.state(), LeaseState::Live, "{before:?}");
        assert_eq!(bench.arena.in_use(), 0, "{before:?}");
        let reader = bench.unwrapping(&wrapped);
        bench.clock.settle().await;
        look.go_on();
        assert!(matches!(second.await.unwrap(), Err(LeaseError::Denied(_))), "{before:?}");
        assert!(first.await.unwrap().is_err(), "{before:?}");
        assert!(matches!(reader.await.unwrap(), Err(LeaseError::Denied(_))), "{before:?}");
        assert_eq!(bench.state(), LeaseState::Denied, "{before:?}");
    }
}

#[tokio::test]
async fn p10_a_success_that_began_after_a_denial_is_not_undone_when_the_denied_proof_ends() {
    for before in NOT_LIVE {
        let (mut bench, wrapped) = bench(before).await;
        bench.cloud.set_version("1", Mood::Disabled);
        let mut look = bench.cloud.hold(Call::Describe);
        let denied = bench.reproving();
        look.reached().await;
        bench.cloud.set_version("1", Mood::Allow);
        bench.leases.reprove(&bench.subject()).await.unwrap();
        assert_eq!(bench.state(), LeaseState::Live, "{before:?}");
        bench.states();
        look.go_on();
        assert!(denied.await.unwrap().is_err(), "{before:?}: it was denied");
        bench.unwrap(&wrapped).await.unwrap();
        assert_eq!((bench.state(), bench.states()), (LeaseState::Live, vec![]), "{before:?}");
    }
}

#[tokio::test]
async fn p9_who_asks_while_a_successor_is_looked_for_shares_what_comes_of_it() {
    let (bench, wrapped) = bench(Before::Idle).await;
    bench.cloud.set_version("1", Mood::Disabled);
    let mut look = bench.cloud.hold(Call::Describe);
    let first = bench.unwrapping(&wrapped);
    look.reached().await;
    let asked = bench.cloud.count(Call::Assume);
    let later: Vec<_> = (0..100).map(|_| bench.unwrapping(&wrapped)).collect();
    bench.clock.settle().await;
    look.go_on();
    for reader in later.into_iter().chain([first]) {
        assert!(matches!(reader.await.unwrap(), Err(LeaseError::Denied(_))));
    }
    assert_eq!(bench.cloud.count(Call::Assume), asked);
}

#[tokio::test]
async fn p1_a_request_that_hears_of_a_disabled_key_outdates_the_proofs_that_began_before() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    let mut slow = bench.cloud.hold(Call::Unwrap);
    bench.cloud.key(Mood::Disabled);
    let request = bench.unwrapping(&wrapped);
    slow.reached().await;
    bench.cloud.key(Mood::Allow);
    // The machine came back from a snapshot: the lease is over, and a proof of the next one is under way.
    bench.clock.restore_snapshot();
    let mut early = bench.cloud.hold(Call::Canary);
    let proof = bench.reproving();
    early.reached().await;
    slow.go_on();
    assert!(request.await.unwrap().is_err());
    early.go_on();
    assert!(proof.await.unwrap().is_err());
    assert_eq!(bench.arena.in_use(), 0);
}

#[tokio::test]
async fn p10_a_first_denial_that_another_versions_overtakes_is_told_and_retried() {
    let bench = Bench::versioned().await;
    bench.cloud.rotate("2");
    bench.cloud.set_version("1", Mood::Disabled);
    let mut bench = bench.restarted();
    let mut look = bench.cloud.hold(Call::Describe);
    let _hold = bench.leases.hold(&bench.subject()).unwrap();
    look.reached().await;
    bench.cloud.trust(Mood::Deny);
    bench.states();
    look.go_on();
    bench.clock.settle().await;
    assert_eq!(bench.state(), LeaseState::Denied, "both versions were denied");
    assert!(bench.states().contains(&LeaseState::Denied), "which is told");
    bench.cloud.trust(Mood::Allow);
    bench.cloud.set_version("1", Mood::Allow);
    bench.clock.advance(S(10)).await;
    assert_eq!(bench.state(), LeaseState::Live);
}
