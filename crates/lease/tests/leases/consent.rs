//! P1: plaintext is served only under a live lease, and a lease counts from the start of its newest complete proof.

use std::time::Duration;

use leasehold_envelope::EncryptionContext;
use leasehold_lease::{LeaseError, LeaseState};
use leasehold_secret::{KeyLength, PlaintextKey};

use crate::bench::{Bench, S};
use crate::cloud::{Call, Mood};

#[tokio::test]
async fn p1_a_lease_counts_from_the_start_of_its_proof() {
    let bench = Bench::new().await;
    let mut held = bench.cloud.hold(Call::Canary);
    let leases = bench.leases.clone();
    let subject = bench.subject();
    let first = tokio::spawn(async move {
        leases
            .generate(&subject, KeyLength::B32, &EncryptionContext::empty())
            .await?
            .release()
            .map(|made| made.lease_ttl)
    });
    held.reached().await;
    bench.clock.advance(S(4)).await;
    held.go_on();
    assert_eq!(
        first.await.unwrap().unwrap(),
        S(300 - 4),
        "the 4 s that the proof took are the tenant's, not ours"
    );
}

#[tokio::test]
async fn p1_use_does_not_lengthen_a_lease() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.unwrap(&wrapped).await.unwrap();
    bench.cloud.both(Mood::Outage);
    for second in 1..300 {
        bench.clock.advance(S(1)).await;
        let ttl = bench.unwrap(&wrapped).await.unwrap().lease_ttl;
        assert_eq!(ttl, S(300 - second), "what is left after {second} s of use");
    }
    bench.clock.advance(S(1)).await;
    assert!(matches!(bench.unwrap(&wrapped).await, Err(LeaseError::Lapsed(_))));
}

#[tokio::test]
async fn p1_each_proof_is_a_fresh_assume_and_an_unwrap_with_that_very_session() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    for _ in 0..20 {
        bench.clock.advance(S(60)).await;
        bench.unwrap(&wrapped).await.unwrap();
    }
    let sessions = bench.cloud.canary_sessions();
    assert!(sessions.len() >= 8, "20 min at a bound of 5 min: {sessions:?}");
    assert!(sessions.windows(2).all(|pair| pair[0] < pair[1]), "no session proves twice: {sessions:?}");
    assert_eq!(bench.cloud.count(Call::Assume), sessions.len(), "one assume for each");
}

#[tokio::test]
async fn p1_a_trust_edit_ends_the_lease_although_sessions_live_on() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.unwrap(&wrapped).await.unwrap();
    bench.cloud.trust(Mood::Deny);
    for _ in 0..300 {
        bench.clock.advance(S(1)).await;
        // In constant use, and the key edge would still say yes to the session that we have.
        let _ = bench.unwrap(&wrapped).await;
    }
    assert_eq!(bench.state(), LeaseState::Denied);
    assert!(matches!(bench.unwrap(&wrapped).await, Err(LeaseError::Denied(_))));
}

#[tokio::test]
async fn p1_a_timer_wipes_and_not_the_next_request() {
    let mut bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.unwrap(&wrapped).await.unwrap();
    assert_eq!(bench.arena.in_use(), 1, "the lease key, and nothing else, is in locked memory");
    bench.states();
    bench.cloud.both(Mood::Outage);
    bench.clock.advance(S(300)).await;
    assert_eq!(bench.states(), [LeaseState::Lapsed], "told at the bound, with no request to trigger it");
    assert_eq!(bench.arena.in_use(), 0, "and the lease key is gone");
}

#[tokio::test]
async fn p1_what_is_loaded_across_a_wipe_is_served_to_nobody() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    let mut held = bench.cloud.hold(Call::Unwrap);
    let reader = bench.unwrapping(&wrapped);
    held.reached().await;
    bench.cloud.trust(Mood::Deny);
    assert!(bench.leases.reprove(&bench.subject()).await.is_err());
    held.go_on();
    assert!(
        matches!(reader.await.unwrap(), Err(LeaseError::Denied(_))),
        "the cloud's answer came after the wipe"
    );

    bench.cloud.trust(Mood::Allow);
    bench.leases.reprove(&bench.subject()).await.unwrap();
    let before = bench.cloud.count(Call::Unwrap);
    bench.unwrap(&wrapped).await.unwrap();
    assert_eq!(
        bench.cloud.count(Call::Unwrap),
        before + 1,
        "nor did it stay in the cache for the next lease"
    );
}

#[tokio::test]
async fn p1_an_answer_made_under_a_lease_is_not_given_after_it() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    let answer = bench.leases.unwrap(&bench.subject(), &wrapped, &EncryptionContext::empty()).await.unwrap();
    bench.cloud.trust(Mood::Deny);
    assert!(bench.leases.reprove(&bench.subject()).await.is_err());
    bench.cloud.trust(Mood::Allow);
    bench.leases.reprove(&bench.subject()).await.unwrap();
    assert_eq!(bench.state(), LeaseState::Live);
    assert!(
        matches!(answer.release(), Err(LeaseError::LeaseOver)),
        "live again, but not the lease it was made under"
    );
}

#[tokio::test]
async fn p1_nothing_is_done_without_a_live_lease() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.cloud.trust(Mood::Deny);
    assert!(bench.leases.reprove(&bench.subject()).await.is_err());
    let calls = |call| bench.cloud.count(call);
    let before = (calls(Call::Generate), calls(Call::Wrap), calls(Call::Unwrap));
    let (subject, context) = (bench.subject(), EncryptionContext::empty());
    let key = PlaintextKey::generate(&bench.arena, KeyLength::B16).unwrap();
    assert!(bench.leases.generate(&subject, KeyLength::B32, &context).await.is_err());
    assert!(bench.leases.generate_without_plaintext(&subject, KeyLength::B32, &context).await.is_err());
    assert!(bench.leases.wrap(&subject, &key, &context).await.is_err());
    assert!(bench.unwrap(&wrapped).await.is_err());
    assert_eq!(
        (calls(Call::Generate), calls(Call::Wrap), calls(Call::Unwrap)),
        before,
        "the key was not even asked"
    );
}

#[tokio::test]
async fn p1_a_proof_slower_than_the_bound_gives_no_lease() {
    let mut bench = Bench::new().await;
    bench.bound(15);
    let wrapped = bench.wrapped().await;
    bench.clock.advance(S(5)).await;
    let mut held = bench.cloud.hold(Call::Assume);
    let reproof = bench.reproving();
    held.reached().await;
    // The proof's own deadline is 10 s, within the bound; a stopped process is what makes a proof this slow.
    bench.clock.suspend_for(S(16));
    held.go_on();
    assert!(reproof.await.unwrap().is_err());
    assert!(bench.unwrap(&wrapped).await.is_err());
}

#[tokio::test]
async fn p1_the_ttl_given_to_an_engine_ends_with_the_lease() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.clock.advance(Duration::from_millis(1_500)).await;
    let ttl = bench.unwrap(&wrapped).await.unwrap().lease_ttl;
    assert_eq!(ttl, bench.leases.view(bench.subject().name()).ttl);
    assert_eq!(ttl, Duration::from_millis(298_500));
}

#[tokio::test]
async fn p1_what_was_made_from_another_answer_is_given_only_while_both_leases_last() {
    let (old, new) = (Bench::new().await, Bench::new().await);
    let wrapped = old.wrapped().await;
    let context = EncryptionContext::empty();
    let unwrapped = old.leases.unwrap(&old.subject(), &wrapped, &context).await.unwrap();
    let rewrapped = new.leases.wrap(&new.subject(), unwrapped.peek().ok().unwrap(), &context).await.unwrap();
    let answer = rewrapped.also_under(unwrapped);
    old.cloud.trust(Mood::Deny);
    assert!(old.leases.reprove(&old.subject()).await.is_err());
    assert!(
        matches!(answer.release(), Err(LeaseError::Denied(_))),
        "the old lease is over, the new one is live"
    );
}
