//! Who shares which proof and which call.

use leasehold_envelope::EncryptionContext;
use leasehold_lease::{LeaseError, LeaseState};

use crate::bench::{Bench, S};
use crate::cloud::{Call, Mood};

async fn idle_bench() -> (Bench, leasehold_envelope::WrappedKey) {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.clock.advance(S(3600)).await;
    assert_eq!(bench.state(), LeaseState::Idle);
    (bench, wrapped)
}

#[tokio::test]
async fn a_thousand_cold_unwraps_of_one_key_are_one_proof_and_one_call() {
    let (bench, wrapped) = idle_bench().await;
    let before = (bench.cloud.count(Call::Assume), bench.cloud.count(Call::Unwrap));
    let readers: Vec<_> = (0..1_000).map(|_| bench.unwrapping(&wrapped)).collect();
    for reader in readers {
        reader.await.unwrap().unwrap();
    }
    assert_eq!(bench.cloud.count(Call::Assume), before.0 + 1);
    assert_eq!(bench.cloud.count(Call::Unwrap), before.1 + 1);
}

#[tokio::test]
async fn a_thousand_cold_unwraps_that_fail_fail_together_once() {
    let (bench, wrapped) = idle_bench().await;
    let mut held = bench.cloud.hold(Call::Unwrap);
    let before = bench.cloud.count(Call::Unwrap);
    let readers: Vec<_> = (0..1_000).map(|_| bench.unwrapping(&wrapped)).collect();
    held.reached().await;
    bench.clock.settle().await;
    held.go_on();
    bench.cloud.key(Mood::Allow);
    for reader in readers {
        reader.await.unwrap().unwrap();
    }
    assert_eq!(bench.cloud.count(Call::Unwrap), before + 1);

    let fresh = bench.wrapped().await;
    bench.cloud.key(Mood::Outage);
    let mut held = bench.cloud.hold(Call::Unwrap);
    let readers: Vec<_> = (0..1_000).map(|_| bench.unwrapping(&fresh)).collect();
    held.reached().await;
    bench.clock.settle().await;
    held.go_on();
    for reader in readers {
        assert!(matches!(reader.await.unwrap(), Err(LeaseError::Unavailable(_))));
    }
    assert_eq!(bench.cloud.count(Call::Unwrap), before + 2, "one call failed for all of them");
}

#[tokio::test]
async fn a_reprove_never_joins_a_proof_that_began_earlier() {
    let (bench, _) = idle_bench().await;
    let mut early = bench.cloud.hold(Call::Assume);
    let first = bench.reproving();
    early.reached().await;
    let before = bench.cloud.count(Call::Assume);
    bench.leases.reprove(&bench.subject()).await.unwrap();
    assert_eq!(bench.cloud.count(Call::Assume), before + 1, "a proof of its own");
    early.go_on();
    first.await.unwrap().unwrap();
}

#[tokio::test]
async fn p9_a_flood_of_reproves_is_two_proofs_at_a_time_and_each_begins_after_its_asker() {
    let (bench, _) = idle_bench().await;
    let (mut one, mut two) = (bench.cloud.hold(Call::Assume), bench.cloud.hold(Call::Assume));
    let before = bench.cloud.count(Call::Assume);
    let askers: Vec<_> = (0..100).map(|_| bench.reproving()).collect();
    one.reached().await;
    two.reached().await;
    bench.clock.settle().await;
    assert_eq!(bench.cloud.count(Call::Assume), before + 2);
    one.go_on();
    two.go_on();
    for asker in askers {
        asker.await.unwrap().unwrap();
    }
    assert_eq!(
        bench.cloud.count(Call::Assume),
        before + 3,
        "the other 98 shared one that began after they asked"
    );
}

#[tokio::test]
async fn a_session_that_expires_under_a_request_is_assumed_again_once() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.cloud.expire_sessions();
    let before = bench.cloud.count(Call::Assume);
    bench.unwrap(&wrapped).await.unwrap();
    assert_eq!(bench.cloud.count(Call::Assume), before + 1);
}

#[tokio::test]
async fn a_session_that_expires_after_the_tenant_cut_us_off_is_a_denial() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.cloud.expire_sessions();
    bench.cloud.trust(Mood::Deny);
    assert!(matches!(bench.unwrap(&wrapped).await, Err(LeaseError::Denied(_))));
    assert_eq!(bench.state(), LeaseState::Denied);
}

#[tokio::test]
async fn a_request_that_goes_away_takes_no_proof_with_it() {
    let (bench, wrapped) = idle_bench().await;
    let mut held = bench.cloud.hold(Call::Assume);
    let gone = bench.unwrapping(&wrapped);
    held.reached().await;
    let stays = bench.unwrapping(&wrapped);
    bench.clock.settle().await;
    gone.abort();
    held.go_on();
    stays.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_binding_that_changes_during_a_proof_is_proven_anew() {
    let (mut bench, _) = idle_bench().await;
    let mut held = bench.cloud.hold(Call::Canary);
    let (leases, subject) = (bench.leases.clone(), bench.subject());
    let request = tokio::spawn(async move {
        leases
            .generate(&subject, leasehold_secret::KeyLength::B32, &EncryptionContext::empty())
            .await
            .map(|_| ())
    });
    held.reached().await;
    let now = std::time::SystemTime::UNIX_EPOCH;
    bench.change(|tenant| tenant.with_retired(&"main".parse().unwrap(), now).unwrap());
    held.go_on();
    assert!(
        matches!(request.await.unwrap(), Err(LeaseError::Ended(_))),
        "it was about the binding as it was"
    );
    assert_ne!(bench.state(), LeaseState::Live, "and the proof of the old version proves nothing of the new");
}

#[tokio::test]
async fn p2_a_reprove_proves_anew_what_a_first_proof_is_about() {
    let (bench, [_, second]) = crate::expiry::restarted().await;
    let mut early = bench.cloud.hold(Call::Unwrap);
    let reader = bench.unwrapping(&second);
    early.reached().await;
    bench.cloud.set_version("2", Mood::Disabled);
    let _ = bench.leases.reprove(&bench.subject()).await;
    early.go_on();
    assert!(matches!(reader.await.unwrap(), Err(LeaseError::Denied(_))), "the tenant told us before");
    bench.clock.settle().await;
    assert_eq!(bench.cloud.count(Call::Unwrap), 2, "by a proof that began before that, and one after");
}

#[tokio::test]
async fn p9_what_came_of_an_outdated_proof_is_no_answer_while_a_newer_one_is_under_way() {
    let (bench, [_, second]) = crate::expiry::restarted().await;
    let (mut early, mut late) = (bench.cloud.hold(Call::Unwrap), bench.cloud.hold(Call::Unwrap));
    let first = bench.unwrapping(&second);
    early.reached().await;
    bench.leases.reprove(&bench.subject()).await.unwrap();
    let other = bench.unwrapping(&second);
    late.reached().await;
    early.go_on();
    bench.clock.settle().await;
    late.go_on();
    first.await.unwrap().unwrap();
    other.await.unwrap().unwrap();
}
