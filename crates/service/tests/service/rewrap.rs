//! Rewraps: two bindings, two leases, and a plaintext that never leaves.

use leasehold_audit::Outcome;
use leasehold_envelope::{EncryptionContext, Envelope, WrappedKey};
use leasehold_lease::LeaseState;
use leasehold_service::{Served, ServiceError};

use crate::world::{World, context, root, seconds, tenant};

fn binding_of(wrapped: &WrappedKey) -> String {
    Envelope::parse(wrapped.as_bytes()).unwrap().header().binding.to_string()
}

/// A key under `main`, which is RETIRING, and warm in its cache; `next` is ACTIVE.
async fn rotated(world: &World) -> WrappedKey {
    let old = world.wrap("acme", &[7; 32]).await;
    world.activate("acme", "next").await;
    world.unwrap("acme", &old).await.unwrap();
    world.wrap("acme", &[8; 32]).await;
    old
}

async fn rewrap(world: &World, old: &WrappedKey) -> Result<Served<WrappedKey>, ServiceError> {
    world.service.rewrap_key(&root(), &tenant("acme"), old, &context(), None).await
}

/// Has the cloud deny `main` alone, and then let it in again: its lease ends and another begins.
async fn blink(world: &World) {
    world.cloud.deny_trust_to("main");
    world.service.reprove_tenant(&root(), &tenant("acme")).await.unwrap();
    assert_eq!(world.lease("acme", "main"), LeaseState::Denied);
    world.cloud.trust_everybody();
    world.clock.advance(seconds(10)).await;
    assert_eq!(world.lease("acme", "main"), LeaseState::Live);
}

#[tokio::test]
async fn a_rewrap_moves_a_key_to_the_active_binding_and_a_new_context() {
    let world = World::with_acme().await;
    let old = world.wrap("acme", &[7; 32]).await;
    world.activate("acme", "next").await;
    let moved = EncryptionContext::try_from_iter([("branch", "moved")]).unwrap();
    let (service, acme) = (&world.service, tenant("acme"));
    let served = service.rewrap_key(&root(), &acme, &old, &context(), Some(&moved)).await.unwrap();
    assert_eq!(served.binding().binding().as_str(), "next");
    let new = served.release().await.unwrap().value;
    assert_eq!(binding_of(&new), "next");
    let opened = service.unwrap_key(&root(), &acme, &new, &moved).await.unwrap().release().await.unwrap();
    assert_eq!(opened.value.expose(), [7; 32]);
    assert!(matches!(world.unwrap("acme", &new).await, Err(ServiceError::WrongContext)));
    let same = service.rewrap_key(&root(), &acme, &old, &context(), None).await.unwrap();
    assert_eq!(world.unwrap("acme", &same.release().await.unwrap().value).await.unwrap(), [7; 32]);
}

#[tokio::test]
async fn p1_a_rewrap_needs_the_leases_of_both_bindings_to_the_end() {
    let world = World::with_acme().await;
    let old = world.wrap("acme", &[7; 32]).await;
    world.activate("acme", "next").await;
    let served = rewrap(&world, &old).await.unwrap();
    world.retire("acme", "main").await;
    assert_eq!(world.lease("acme", "next"), LeaseState::Live, "the new binding's lease is not the matter");
    let error = served.release().await.map(drop).unwrap_err();
    assert_eq!(error.reason(), "LEASE_ENDED", "{error:?}");
}

#[tokio::test]
async fn p1_a_rewrap_is_refused_when_the_old_bindings_lease_ended_though_another_has_begun() {
    let world = World::with_acme().await;
    let old = rotated(&world).await;
    let served = rewrap(&world, &old).await.unwrap();
    let skip = world.audit.records().len();
    blink(&world).await;
    assert_eq!(world.lease("acme", "next"), LeaseState::Live, "the new binding's lease is not the matter");
    let error = served.release().await.map(drop).unwrap_err();
    assert_eq!(error.reason(), "LEASE_ENDED", "{error:?}");
    let mut ended = world.outcomes(skip).into_iter().filter(|(operation, ..)| operation == "RewrapKey");
    assert_eq!(ended.next_back().unwrap().1, Outcome::Withheld);
}

#[tokio::test]
async fn p1_a_rewrap_is_refused_when_the_old_bindings_lease_ends_between_unwrap_and_wrap() {
    let world = World::with_acme().await;
    let old = rotated(&world).await;
    // The unwrap is answered from the cache; the wrap has to wait.
    world.cloud.pause();
    let (service, wrapped) = (world.service.clone(), old.clone());
    let rewrapping = tokio::spawn(async move {
        let served = service.rewrap_key(&root(), &tenant("acme"), &wrapped, &context(), None).await?;
        served.release().await.map(drop)
    });
    world.clock.settle().await;
    world.cloud.deny_trust_to("main");
    let service = world.service.clone();
    let reproving = tokio::spawn(async move { service.reprove_tenant(&root(), &tenant("acme")).await });
    world.clock.settle().await;
    assert_eq!(world.lease("acme", "main"), LeaseState::Denied);
    world.cloud.resume();
    let error = rewrapping.await.unwrap().unwrap_err();
    assert_eq!(error.reason(), "BINDING_DENIED", "{error:?}");
    reproving.await.unwrap().unwrap();
}

#[tokio::test]
async fn p1_a_rewrap_is_refused_while_the_old_bindings_lease_is_paused_for_the_sentinel() {
    let world = World::with_silent_sentinel();
    world.settle_acme().await;
    let old = rotated(&world).await;
    let served = rewrap(&world, &old).await.unwrap();
    world.cloud.deny_trust_to("main");
    let service = world.service.clone();
    let reproving = tokio::spawn(async move { service.reprove_tenant(&root(), &tenant("acme")).await });
    world.clock.settle().await;
    assert!(!reproving.is_finished(), "whose fault the denial is has not been told yet");
    assert_eq!(world.lease("acme", "main"), LeaseState::Live);
    let error = served.release().await.map(drop).unwrap_err();
    assert_eq!(error.reason(), "LEASE_ENDED", "{error:?}");
}
