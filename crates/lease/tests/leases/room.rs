//! What is missing or broken on our own side passes.

use leasehold_lease::{LeaseError, LeaseState};
use leasehold_secret::{KeyLength, PlaintextKey};

use crate::bench::{Bench, S};
use crate::cloud::{Call, Mood};

/// Takes all of the locked memory that is left.
fn fill(bench: &Bench) -> Vec<PlaintextKey> {
    std::iter::from_fn(|| PlaintextKey::generate(&bench.arena, KeyLength::B32).ok()).collect()
}

#[tokio::test]
async fn p9_a_full_arena_refuses_and_recovers() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.unwrap(&wrapped).await.unwrap();
    let full = fill(&bench);
    assert!(
        matches!(bench.unwrap(&wrapped).await, Err(LeaseError::ArenaFull)),
        "cached, but nowhere to open it"
    );
    assert_eq!(bench.state(), LeaseState::Live, "which says nothing of the tenant");
    drop(full);
    bench.unwrap(&wrapped).await.unwrap();
}

#[tokio::test]
async fn p9_a_proof_that_finds_no_room_leaves_no_mark() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.clock.advance(S(3600)).await;
    let full = fill(&bench);
    assert!(bench.unwrap(&wrapped).await.is_err());
    assert_eq!(bench.state(), LeaseState::Idle, "and never DENIED");
    drop(full);
    bench.clock.advance(S(1)).await;
    bench.unwrap(&wrapped).await.unwrap();
}

#[tokio::test]
async fn p9_a_provider_that_panics_fails_its_waiters_together_and_the_lease_recovers() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.clock.advance(S(3600)).await;
    bench.cloud.trust(Mood::Panic);
    let before = bench.cloud.count(Call::Assume);
    let waiters: Vec<_> = (0..100).map(|_| bench.unwrapping(&wrapped)).collect();
    for waiter in waiters {
        assert!(matches!(waiter.await.unwrap(), Err(LeaseError::Internal(_))));
    }
    assert_eq!(bench.cloud.count(Call::Assume), before + 1);
    bench.cloud.trust(Mood::Allow);
    bench.clock.advance(S(1)).await;
    bench.unwrap(&wrapped).await.unwrap();
    bench.cloud.trust(Mood::Panic);
    bench.clock.advance(S(200)).await;
    assert_eq!(bench.state(), LeaseState::Live, "a renewal that panics ends no lease early");
    bench.cloud.trust(Mood::Allow);
    bench.clock.advance(S(10)).await;
    assert!(bench.unwrap(&wrapped).await.unwrap().lease_ttl > S(280), "and is made up for");
}
