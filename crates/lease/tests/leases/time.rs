//! Time that passes while nothing runs, idle leases, renewal.

use std::time::Duration;

use leasehold_lease::{LeaseState, Settings};

use crate::bench::{Bench, S};
use crate::cloud::{Call, Mood};

#[tokio::test]
async fn p1_a_process_that_was_stopped_past_the_bound_serves_only_what_it_proves_afresh() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.unwrap(&wrapped).await.unwrap();
    bench.cloud.trust(Mood::Deny);
    bench.clock.suspend_for(S(301));
    // The very first thing that runs is a request; no timer had its turn yet.
    assert!(bench.unwrap(&wrapped).await.is_err());
    assert_eq!(bench.arena.in_use(), 0);
}

#[tokio::test]
async fn p1_a_restored_snapshot_ends_every_lease() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.unwrap(&wrapped).await.unwrap();
    bench.cloud.trust(Mood::Deny);
    bench.clock.restore_snapshot();
    assert!(bench.unwrap(&wrapped).await.is_err());
}

#[tokio::test]
async fn p4_a_restored_snapshot_wipes_what_nobody_asks_for_within_a_second() {
    let bench = Bench::new().await;
    bench.wrapped().await;
    assert_eq!(bench.arena.in_use(), 1);
    bench.clock.restore_snapshot();
    bench.clock.advance(S(1)).await;
    assert_eq!(bench.arena.in_use(), 0);
}

#[tokio::test]
async fn a_lease_in_use_is_renewed_in_the_first_half_of_its_bound() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    for _ in 0..600 {
        bench.clock.advance(S(1)).await;
        let ttl = bench.unwrap(&wrapped).await.unwrap().lease_ttl;
        assert!(ttl >= S(150), "{ttl:?} left");
    }
}

#[tokio::test]
async fn a_long_bound_does_not_outlast_its_sessions() {
    let mut bench = Bench::new().await;
    bench.bound(3600);
    let wrapped = bench.wrapped().await;
    let first = bench.cloud.count(Call::Assume);
    bench.unwrap(&wrapped).await.unwrap();
    bench.clock.advance(S(721)).await;
    assert_eq!(bench.cloud.count(Call::Assume), first + 1, "a session of 900 s is replaced within 720 s");
}

#[tokio::test]
async fn a_lease_that_nobody_uses_is_released_and_asks_no_more() {
    let mut bench = Bench::new().await;
    bench.wrapped().await;
    bench.states();
    // Looking is not using.
    for _ in 0..15 {
        bench.clock.advance(S(60)).await;
        assert_ne!(bench.state(), LeaseState::Denied);
    }
    assert_eq!(bench.states(), [LeaseState::Idle]);
    assert_eq!(bench.arena.in_use(), 0);
    let asked = bench.cloud.count(Call::Assume);
    bench.clock.advance(S(3600)).await;
    assert_eq!(bench.cloud.count(Call::Assume), asked);
}

#[tokio::test]
async fn an_engine_that_holds_keeps_its_lease_proving_and_one_that_let_go_does_not() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    let hold = bench.leases.hold(&bench.subject()).unwrap();
    bench.clock.advance(S(3600)).await;
    assert_eq!(bench.state(), LeaseState::Live);
    let renewed = bench.cloud.count(Call::Assume);
    assert!(renewed > 20, "{renewed} proofs in an hour");
    drop(hold);
    bench.clock.advance(S(900)).await;
    assert_eq!(bench.state(), LeaseState::Idle);
    bench.unwrap(&wrapped).await.unwrap();
}

#[tokio::test]
async fn holding_proves_without_a_request_and_outlives_an_outage() {
    let bench = Bench::new().await;
    bench.cloud.both(Mood::Outage);
    let _hold = bench.leases.hold(&bench.subject()).unwrap();
    bench.clock.advance(S(60)).await;
    assert_ne!(bench.state(), LeaseState::Live);
    bench.cloud.both(Mood::Allow);
    bench.clock.advance(S(10)).await;
    assert_eq!(bench.state(), LeaseState::Live);
}

#[tokio::test]
async fn a_sealing_key_is_replaced_daily_and_no_request_notices() {
    let mut settings = Settings::default();
    settings.sealing_key_max_age = S(3600);
    let bench = Bench::with(settings, |p| p).await;
    let wrapped = bench.wrapped().await;
    let mut cold = 0;
    for _ in 0..120 {
        bench.clock.advance(S(60)).await;
        let before = bench.cloud.count(Call::Unwrap);
        bench.unwrap(&wrapped).await.unwrap();
        cold += bench.cloud.count(Call::Unwrap) - before;
    }
    // 2 h: entries live for 10 min, and once an hour the key under them changes.
    assert!((12..=16).contains(&cold), "{cold} cold unwraps");
    assert_eq!(bench.arena.in_use(), 1, "the old keys are gone");
    assert_eq!(bench.state(), LeaseState::Live);
}

#[tokio::test]
async fn proofs_of_many_leases_do_not_come_in_step() {
    let first = Bench::new().await;
    first.wrapped().await;
    let mut due = Vec::new();
    let _hold = first.leases.hold(&first.subject()).unwrap();
    let mut last = first.cloud.count(Call::Assume);
    for tenth in 0..18_000u32 {
        first.clock.advance(Duration::from_millis(100)).await;
        let now = first.cloud.count(Call::Assume);
        if now > last {
            due.push(tenth);
            last = now;
        }
    }
    let gaps: std::collections::HashSet<_> = due.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.len() > 10, "each pause is jittered anew: {gaps:?}");
}

#[tokio::test]
async fn watchers_learn_of_a_lease_that_ended_even_if_the_next_begins_in_the_same_moment() {
    let mut bench = Bench::new().await;
    bench.bound(15);
    bench.wrapped().await;
    // Before its renewal is due, and such that a proof within its deadline of 10 s can outlast it.
    bench.clock.advance(Duration::from_millis(5_500)).await;
    let mut held = bench.cloud.hold(Call::Canary);
    let proof = bench.reproving();
    held.reached().await;
    bench.states();
    // The proof lands past the bound of the old lease and within its own, before any timer has its turn.
    held.go_on();
    bench.clock.suspend_for(Duration::from_millis(9_800));
    proof.await.unwrap().unwrap();
    assert_eq!(bench.states(), [LeaseState::Lapsed, LeaseState::Live]);
}

#[tokio::test]
async fn watchers_learn_of_a_lease_that_a_restored_snapshot_ended_under_a_request() {
    let mut bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.states();
    bench.clock.restore_snapshot();
    bench.unwrap(&wrapped).await.unwrap();
    assert_eq!(bench.states(), [LeaseState::Idle, LeaseState::Proving, LeaseState::Live]);
}

#[tokio::test]
async fn p1_whoever_only_observes_keeps_no_lease_alive() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    let context = leasehold_envelope::EncryptionContext::empty();
    let answer = bench.leases.unwrap(&bench.subject(), &wrapped, &context).await.unwrap();
    let mut watcher = bench.leases.events();
    // Up to a second before the 15 min that an unused lease is kept for.
    for _ in 0..899 {
        bench.clock.advance(S(1)).await;
        assert!(answer.peek().is_ok());
        assert_eq!(bench.state(), LeaseState::Live);
        bench.leases.tenant_changed(&bench.tenant);
        let _ = watcher.try_recv();
    }
    bench.clock.advance(S(1)).await;
    drop(answer);
    assert_eq!(bench.state(), LeaseState::Idle, "looked at every second, and used by nobody");
    assert_eq!(bench.arena.in_use(), 0);
}
