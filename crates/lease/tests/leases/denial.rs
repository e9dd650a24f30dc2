//! P2 and P10: a denial wipes at once; when the tenant lets us in again, service resumes by itself.

use leasehold_lease::{LeaseError, LeaseState};

use crate::bench::{Bench, S, context};
use crate::cloud::{Call, Mood};

#[tokio::test]
async fn p2_a_denied_proof_wipes_at_once() {
    for (edge, mood) in [("trust", Mood::Deny), ("key", Mood::Deny), ("key", Mood::Disabled)] {
        let mut bench = Bench::new().await;
        let wrapped = bench.wrapped().await;
        bench.unwrap(&wrapped).await.unwrap();
        bench.states();
        match edge {
            "trust" => bench.cloud.trust(mood),
            _ => bench.cloud.key(mood),
        }
        assert!(
            matches!(bench.leases.reprove(&bench.subject()).await, Err(LeaseError::Denied(_))),
            "{edge} {mood:?}"
        );
        assert_eq!(bench.states(), [LeaseState::Denied], "{edge} {mood:?}");
        assert_eq!(bench.arena.in_use(), 0, "{edge} {mood:?}: the lease key is gone");
    }
}

#[tokio::test]
async fn p2_a_key_that_nobody_can_use_is_a_denial_whoever_hears_it() {
    let bench = Bench::new().await;
    let (known, unknown) = (bench.wrapped().await, bench.wrapped().await);
    bench.unwrap(&known).await.unwrap();
    bench.cloud.key(Mood::Disabled);
    assert!(matches!(bench.unwrap(&unknown).await, Err(LeaseError::Denied(_))));
    assert!(matches!(bench.unwrap(&known).await, Err(LeaseError::Denied(_))), "what was cached is gone too");
}

#[tokio::test]
async fn one_denied_context_is_refused_alone_and_its_entries_are_dropped() {
    let bench = Bench::new().await;
    let (odd, even) = (context("odd"), context("even"));
    let (odd_key, even_key) = (bench.wrapped_under(&odd).await, bench.wrapped_under(&even).await);
    let odd_other = bench.wrapped_under(&odd).await;
    bench.unwrap_under(&odd_key, &odd).await.unwrap();
    bench.unwrap_under(&even_key, &even).await.unwrap();
    bench.cloud.forbid(Some(odd.clone()));
    let proofs = bench.cloud.count(Call::Canary);

    assert!(matches!(bench.unwrap_under(&odd_other, &odd).await, Err(LeaseError::RequestDenied(_))));
    bench.clock.settle().await;
    assert_eq!(bench.cloud.count(Call::Canary), proofs + 1, "a proof was made, and the canary was fine");
    assert_eq!(bench.state(), LeaseState::Live);
    assert!(
        matches!(bench.unwrap_under(&odd_key, &odd).await, Err(LeaseError::RequestDenied(_))),
        "its entry is dropped"
    );
    bench.unwrap_under(&even_key, &even).await.unwrap();
    assert_eq!(bench.cloud.count(Call::Unwrap), 4, "the other context is still served from the cache");
}

#[tokio::test]
async fn a_load_that_began_before_a_context_was_denied_is_not_served_after_it() {
    let bench = Bench::new().await;
    let odd = context("odd");
    let (first, second) = (bench.wrapped_under(&odd).await, bench.wrapped_under(&odd).await);
    let mut held = bench.cloud.hold(Call::Unwrap);
    let (leases, subject, wrapped, under) =
        (bench.leases.clone(), bench.subject(), first.clone(), odd.clone());
    let slow = tokio::spawn(async move { leases.unwrap(&subject, &wrapped, &under).await.is_ok() });
    held.reached().await;
    bench.cloud.forbid(Some(odd.clone()));
    assert!(bench.unwrap_under(&second, &odd).await.is_err());
    held.go_on();
    assert!(slow.await.unwrap(), "the cloud allowed this one call");
    assert!(
        matches!(bench.unwrap_under(&first, &odd).await, Err(LeaseError::RequestDenied(_))),
        "but not the next"
    );
}

#[tokio::test]
async fn p9_denied_requests_start_no_more_than_one_proof_every_5_s() {
    let bench = Bench::new().await;
    let odd = context("odd");
    let wrapped = bench.wrapped_under(&odd).await;
    bench.cloud.forbid(Some(odd.clone()));
    let before = bench.cloud.count(Call::Canary);
    for _ in 0..200 {
        assert!(bench.unwrap_under(&wrapped, &odd).await.is_err());
        bench.clock.advance(S(1) / 10).await;
    }
    let proofs = bench.cloud.count(Call::Canary) - before;
    assert!((4..=5).contains(&proofs), "{proofs} proofs in 20 s of denied requests");
}

#[tokio::test]
async fn p2_a_denied_request_leads_to_the_wipe_when_the_canary_is_denied_too() {
    let bench = Bench::new().await;
    let (known, unknown) = (bench.wrapped().await, bench.wrapped().await);
    bench.unwrap(&known).await.unwrap();
    bench.cloud.key(Mood::Deny);
    assert!(matches!(bench.unwrap(&unknown).await, Err(LeaseError::RequestDenied(_))));
    bench.clock.settle().await;
    assert_eq!(bench.state(), LeaseState::Denied, "without a tick of the clock");
    assert!(matches!(bench.unwrap(&known).await, Err(LeaseError::Denied(_))));
}

#[tokio::test]
async fn p2_a_second_cut_just_after_a_harmless_denial_is_still_noticed() {
    let bench = Bench::new().await;
    let odd = context("odd");
    let wrapped = bench.wrapped_under(&odd).await;
    bench.cloud.forbid(Some(odd.clone()));
    assert!(bench.unwrap_under(&wrapped, &odd).await.is_err());
    bench.clock.advance(S(1)).await;
    assert_eq!(bench.state(), LeaseState::Live);
    bench.cloud.key(Mood::Deny);
    assert!(bench.unwrap_under(&wrapped, &odd).await.is_err());
    bench.clock.advance(S(5)).await;
    assert_eq!(bench.state(), LeaseState::Denied, "the rate limit puts the proof off, and does not drop it");
}

#[tokio::test]
async fn p2_a_success_that_began_before_the_denial_does_not_count() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    let mut early = bench.cloud.hold(Call::Canary);
    let first = bench.reproving();
    early.reached().await;
    bench.cloud.trust(Mood::Deny);
    assert!(matches!(bench.leases.reprove(&bench.subject()).await, Err(LeaseError::Denied(_))));
    early.go_on();
    assert!(first.await.unwrap().is_err());
    assert_eq!(bench.state(), LeaseState::Denied);
    assert!(matches!(bench.unwrap(&wrapped).await, Err(LeaseError::Denied(_))));
}

#[tokio::test]
async fn p2_a_request_that_succeeds_with_the_old_session_lifts_no_denial() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    let mut held = bench.cloud.hold(Call::Unwrap);
    let request = bench.unwrapping(&wrapped);
    held.reached().await;
    bench.cloud.trust(Mood::Deny);
    assert!(bench.leases.reprove(&bench.subject()).await.is_err());
    held.go_on();
    assert!(
        request.await.unwrap().is_err(),
        "the cloud said yes to the old session, after it had said no to us"
    );
    assert_eq!(bench.state(), LeaseState::Denied);
    assert!(bench.unwrap(&wrapped).await.is_err());
}

#[tokio::test]
async fn p10_service_resumes_by_itself_within_10_s_of_being_let_in_again() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.cloud.trust(Mood::Deny);
    assert!(bench.leases.reprove(&bench.subject()).await.is_err());
    for _ in 0..29 {
        bench.clock.advance(S(10)).await;
        assert_eq!(bench.state(), LeaseState::Denied);
    }
    bench.cloud.trust(Mood::Allow);
    bench.clock.advance(S(10)).await;
    assert_eq!(bench.state(), LeaseState::Live, "after 290 s of denial, with nobody acting");
    bench.unwrap(&wrapped).await.unwrap();
}

#[tokio::test]
async fn p10_retries_back_off_to_5_min_and_end_when_nobody_asks() {
    let bench = Bench::new().await;
    bench.wrapped().await;
    bench.cloud.trust(Mood::Deny);
    assert!(bench.leases.reprove(&bench.subject()).await.is_err());
    bench.clock.advance(S(300)).await;
    let eager = bench.cloud.count(Call::Assume);
    assert!((30..=42).contains(&eager), "about every 10 s for 5 min: {eager}");
    bench.clock.advance(S(599)).await;
    let later = bench.cloud.count(Call::Assume) - eager;
    assert!((8..=20).contains(&later), "then ever less often: {later}");
    bench.clock.advance(S(3600)).await;
    let idle = bench.cloud.count(Call::Assume);
    assert_eq!(bench.state(), LeaseState::Idle, "15 min after the last request nobody is in demand of it");
    bench.clock.advance(S(3600)).await;
    assert_eq!(bench.cloud.count(Call::Assume), idle);
}

#[tokio::test]
async fn p9_requests_never_probe_a_denied_binding() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.cloud.trust(Mood::Deny);
    assert!(bench.leases.reprove(&bench.subject()).await.is_err());
    let before = bench.cloud.count(Call::Assume);
    for _ in 0..1_000 {
        assert!(matches!(bench.unwrap(&wrapped).await, Err(LeaseError::Denied(_))));
    }
    bench.clock.settle().await;
    assert_eq!(bench.cloud.count(Call::Assume), before);
}

#[tokio::test]
async fn nobody_joins_a_load_that_began_before_their_context_was_denied() {
    let bench = Bench::new().await;
    let odd = context("odd");
    let (first, second) = (bench.wrapped_under(&odd).await, bench.wrapped_under(&odd).await);
    let ask = || {
        let (leases, subject, wrapped, under) =
            (bench.leases.clone(), bench.subject(), first.clone(), odd.clone());
        tokio::spawn(async move { leases.unwrap(&subject, &wrapped, &under).await.map(|_| ()) })
    };
    let mut held = bench.cloud.hold(Call::Unwrap);
    let early = ask();
    held.reached().await;
    bench.cloud.forbid(Some(odd.clone()));
    assert!(bench.unwrap_under(&second, &odd).await.is_err());
    let late = ask();
    bench.clock.settle().await;
    held.go_on();
    early.await.unwrap().unwrap();
    assert!(matches!(late.await.unwrap(), Err(LeaseError::RequestDenied(_))), "it asked after the denial");
}
