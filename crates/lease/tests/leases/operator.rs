//! What the operator and the registry change takes effect on live leases at once.

use std::time::SystemTime;

use leasehold_lease::{EndReason, LeaseError, LeaseState};

use crate::bench::{Bench, S};
use crate::cloud::{Call, Mood};

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

#[tokio::test]
async fn p1_lowering_a_bound_applies_to_the_live_lease_at_once() {
    let mut bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.unwrap(&wrapped).await.unwrap();
    bench.cloud.both(Mood::Outage);
    bench.clock.advance(S(100)).await;
    bench.unwrap(&wrapped).await.unwrap();
    bench.bound(60);
    assert_eq!(bench.state(), LeaseState::Lapsed, "100 s old, and the bound is 60 s now");
    assert_eq!(bench.arena.in_use(), 0);
}

#[tokio::test]
async fn a_lowered_bound_brings_the_next_proof_forward() {
    let mut bench = Bench::new().await;
    bench.wrapped().await;
    let before = bench.cloud.count(Call::Assume);
    bench.bound(20);
    bench.clock.advance(S(10)).await;
    assert_eq!(bench.cloud.count(Call::Assume), before + 1);
    bench.clock.advance(S(20)).await;
    assert_eq!(bench.state(), LeaseState::Live);
}

#[tokio::test]
async fn suspending_wipes_before_it_returns_and_stops_proofs() {
    let mut bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    let _hold = bench.leases.hold(&bench.subject()).unwrap();
    bench.unwrap(&wrapped).await.unwrap();
    bench.states();
    let before_suspension = bench.subject();
    bench.change(|tenant| tenant.suspended(NOW).unwrap());
    assert_eq!(bench.arena.in_use(), 0);
    assert_eq!(bench.states(), [LeaseState::Suspended], "watchers are told");
    let asked = bench.cloud.count(Call::Assume);
    bench.clock.advance(S(3600)).await;
    let late = bench
        .leases
        .unwrap(&before_suspension, &wrapped, &leasehold_envelope::EncryptionContext::empty())
        .await;
    assert!(late.is_err(), "a request that began before the suspension is turned away");
    assert!(bench.leases.reprove(&before_suspension).await.is_err());
    assert_eq!(bench.cloud.count(Call::Assume), asked);
    bench.change(|tenant| tenant.resumed(NOW).unwrap());
    bench.clock.advance(S(1)).await;
    assert_eq!(bench.state(), LeaseState::Live, "the engine still holds, so it is proven at once");
    bench.unwrap(&wrapped).await.unwrap();
}

#[tokio::test]
async fn a_suspension_is_not_undone_by_an_old_snapshot_of_an_idle_tenant() {
    let mut bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.clock.advance(S(3600)).await;
    let old = bench.subject();
    bench.change(|tenant| tenant.suspended(NOW).unwrap());
    let asked = bench.cloud.count(Call::Assume);
    let late = bench.leases.unwrap(&old, &wrapped, &leasehold_envelope::EncryptionContext::empty()).await;
    assert!(matches!(late, Err(LeaseError::Ended(EndReason::Changed))));
    assert_eq!(bench.cloud.count(Call::Assume), asked);
}

#[tokio::test]
async fn a_proof_in_flight_does_not_undo_a_suspension() {
    let mut bench = Bench::new().await;
    bench.wrapped().await;
    let mut held = bench.cloud.hold(Call::Canary);
    let proof = bench.reproving();
    held.reached().await;
    bench.change(|tenant| tenant.suspended(NOW).unwrap());
    held.go_on();
    assert!(proof.await.unwrap().is_err());
    assert_eq!(bench.state(), LeaseState::Suspended);
    assert_eq!(bench.arena.in_use(), 0);
}

#[tokio::test]
async fn a_changed_binding_is_wiped_and_proven_anew() {
    let mut bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.unwrap(&wrapped).await.unwrap();
    let asked = bench.cloud.count(Call::Assume);
    bench.change(|tenant| tenant.with_retired(&"main".parse().unwrap(), NOW).unwrap());
    assert_eq!(bench.arena.in_use(), 0);
    bench.unwrap(&wrapped).await.unwrap();
    assert_eq!(bench.cloud.count(Call::Assume), asked + 1);
}

#[tokio::test]
async fn a_retired_binding_serves_nothing_more() {
    let mut bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.states();
    for _ in 0..2 {
        bench.change(|tenant| tenant.with_retired(&"main".parse().unwrap(), NOW).unwrap());
    }
    assert_eq!(bench.states(), [LeaseState::Idle, LeaseState::Suspended], "and that is told");
    assert_eq!(bench.arena.in_use(), 0);
    bench.clock.settle().await;
    assert_eq!(bench.state(), LeaseState::Idle, "and then forgotten");
    assert!(bench.unwrap(&wrapped).await.is_err());
}

#[tokio::test]
async fn p9_leases_of_a_deleted_tenant_are_forgotten_when_nobody_holds_them_any_more() {
    let mut bench = Bench::versioned().await;
    let wrapped = bench.wrapped().await;
    let hold = bench.leases.hold(&bench.subject()).unwrap();
    bench.change(|tenant| tenant.deleted(NOW).unwrap());
    assert_eq!((bench.arena.in_use(), bench.state()), (0, LeaseState::Suspended));
    bench.clock.advance(S(3600)).await;
    assert_eq!(bench.state(), LeaseState::Suspended, "somebody still holds, and is to see it");
    drop(hold);
    assert_eq!(bench.state(), LeaseState::Idle);
    assert!(bench.unwrap(&wrapped).await.is_err());
    bench.change(|tenant| tenant.undeleted(NOW).unwrap());
    let _hold = bench.leases.hold(&bench.subject()).unwrap();
    bench.clock.settle().await;
    assert_eq!(bench.state(), LeaseState::Live);
    bench.unwrap(&wrapped).await.unwrap();
}

#[tokio::test]
async fn p9_a_lease_that_is_over_is_forgotten_although_a_proof_was_under_way() {
    let mut bench = Bench::versioned().await;
    bench.wrapped().await;
    let mut held = bench.cloud.hold(Call::Canary);
    let proof = bench.reproving();
    held.reached().await;
    bench.change(|tenant| tenant.deleted(NOW).unwrap());
    assert_eq!(bench.state(), LeaseState::Suspended);
    held.go_on();
    assert!(proof.await.unwrap().is_err());
    bench.clock.settle().await;
    assert_eq!((bench.arena.in_use(), bench.state()), (0, LeaseState::Idle));
}

#[tokio::test]
async fn nothing_is_proven_any_more_once_everything_was_ended_for_good() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.leases.end_all();
    assert!(matches!(bench.unwrap(&wrapped).await, Err(LeaseError::Ended(EndReason::ShuttingDown))));
    assert_eq!(bench.arena.in_use(), 0);
}

#[tokio::test]
async fn a_reprove_that_waits_its_turn_does_not_undo_a_suspension() {
    let mut bench = Bench::new().await;
    bench.wrapped().await;
    let (mut one, mut two) = (bench.cloud.hold(Call::Canary), bench.cloud.hold(Call::Canary));
    let mut askers = vec![bench.reproving(), bench.reproving()];
    one.reached().await;
    two.reached().await;
    askers.push(bench.reproving());
    bench.clock.settle().await;
    let asked = bench.cloud.count(Call::Assume);
    bench.change(|tenant| tenant.suspended(NOW).unwrap());
    one.go_on();
    two.go_on();
    for asker in askers {
        assert!(asker.await.unwrap().is_err());
    }
    bench.clock.settle().await;
    assert_eq!(bench.state(), LeaseState::Suspended);
    assert_eq!(bench.cloud.count(Call::Assume), asked, "no proof begins after the suspension");
    assert_eq!(bench.arena.in_use(), 0);
}
