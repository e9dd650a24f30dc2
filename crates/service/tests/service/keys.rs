//! Key operations over the life of bindings and tenants.

use leasehold_envelope::{EncryptionContext, Envelope};
use leasehold_lease::{LeaseError, LeaseState};
use leasehold_service::{ChangeOptions, Foreign, ServiceError, TenantChange};
use leasehold_tenant::{BindingState, RevocationBound};

use crate::world::{LENGTH, World, context, name, root, seconds, tenant};

fn binding_of(wrapped: &leasehold_envelope::WrappedKey) -> String {
    Envelope::parse(wrapped.as_bytes()).unwrap().header().binding.to_string()
}

#[tokio::test]
async fn a_key_comes_back_as_it_was_wrapped() {
    let world = World::with_acme().await;
    let wrapped = world.wrap("acme", &[7; 32]).await;
    assert_eq!(world.unwrap("acme", &wrapped).await.unwrap(), [7; 32]);
    let served = world.service.generate_data_key(&root(), &tenant("acme"), LENGTH, &context()).await.unwrap();
    let made = served.release().await.unwrap();
    assert!(made.lease_ttl <= RevocationBound::DEFAULT.get() && !made.lease_ttl.is_zero());
    assert_eq!(world.unwrap("acme", &made.value.wrapped).await.unwrap(), made.value.key.expose());
    let unseen = world
        .service
        .generate_data_key_without_plaintext(&root(), &tenant("acme"), LENGTH, &context())
        .await
        .unwrap();
    let unseen = unseen.release().await.unwrap().value;
    assert_eq!(world.unwrap("acme", &unseen).await.unwrap().len(), LENGTH.bytes());
}

#[tokio::test]
async fn wrong_contexts_and_malformed_envelopes_never_reach_the_cloud() {
    let world = World::with_acme().await;
    let wrapped = world.wrap("acme", &[7; 32]).await;
    let calls = world.cloud.calls("");
    let (service, acme) = (&world.service, tenant("acme"));
    let empty = EncryptionContext::empty();
    let wrong = service.unwrap_key(&root(), &acme, &wrapped, &empty).await.unwrap_err();
    assert!(matches!(wrong, ServiceError::WrongContext), "{wrong:?}");
    for cut in 1..wrapped.as_bytes().len() {
        let truncated = wrapped.as_bytes()[..cut].to_vec().try_into().unwrap();
        let error = service.unwrap_key(&root(), &acme, &truncated, &context()).await.unwrap_err();
        // The last bytes are the cloud's; only the cloud can tell that some are missing.
        assert!(matches!(error, ServiceError::MalformedEnvelope(_)), "{cut}: {error:?}");
    }
    assert_eq!(world.cloud.calls(""), calls);
}

#[tokio::test]
async fn a_retiring_binding_unwraps_but_does_not_wrap_and_a_retired_one_does_neither() {
    let world = World::with_acme().await;
    let old = world.wrap("acme", &[7; 32]).await;
    world.activate("acme", "next").await;
    assert_eq!(binding_of(&world.wrap("acme", &[8; 32]).await), "next");
    assert_eq!(world.unwrap("acme", &old).await.unwrap(), [7; 32], "RETIRING unwraps");
    world.retire("acme", "main").await;
    let error = world.unwrap("acme", &old).await.unwrap_err();
    let retired = matches!(&error, ServiceError::BindingNotUsable { state: BindingState::Retired, binding } if binding.as_str() == "main");
    assert!(retired && error.to_string().contains("RETIRED"), "{error:?}");
    assert_ne!(world.lease("acme", "main"), LeaseState::Live, "what was held is wiped");
    world.retire("acme", "next").await;
    let wrapped = world.service.wrap_key(&root(), &tenant("acme"), world.key(&[9; 32]), &context()).await;
    assert!(matches!(wrapped, Err(ServiceError::NoActiveBinding)), "{wrapped:?}");
}

#[tokio::test]
async fn p1_suspending_wipes_before_it_returns() {
    let world = World::with_acme().await;
    let wrapped = world.wrap("acme", &[7; 32]).await;
    world.unwrap("acme", &wrapped).await.unwrap();
    world.unwrap("acme", &wrapped).await.unwrap();
    assert_eq!(world.cloud.calls("unwrap"), 1, "the second came from the cache");
    let waiting = world.service.unwrap_key(&root(), &tenant("acme"), &wrapped, &context()).await.unwrap();
    world.suspend("acme").await;
    assert_eq!(world.lease("acme", "main"), LeaseState::Suspended);
    assert!(waiting.release().await.is_err(), "an answer that was ready is not given");
    let calls = world.cloud.calls("");
    assert!(matches!(world.unwrap("acme", &wrapped).await, Err(ServiceError::TenantSuspended)));
    world.clock.advance(seconds(3600)).await;
    assert_eq!(world.cloud.calls(""), calls, "proofs have stopped");
    world.resume("acme").await;
    assert_eq!(world.unwrap("acme", &wrapped).await.unwrap(), [7; 32]);
    assert_eq!(world.cloud.calls("unwrap"), 2, "nothing that was cached survived");
}

#[tokio::test]
async fn p1_deleting_wipes_before_it_returns_and_p5_undeleting_brings_everything_back() {
    let world = World::with_acme().await;
    let wrapped = world.wrap("acme", &[7; 32]).await;
    let none = ChangeOptions::default();
    world.service.delete_tenant(&root(), &tenant("acme"), &none).await.unwrap();
    assert_ne!(
        world.lease("acme", "main"),
        LeaseState::Live,
        "what was held is wiped, and the lease may be forgotten"
    );
    assert!(matches!(world.unwrap("acme", &wrapped).await, Err(ServiceError::TenantDeleted)));
    world.service.undelete_tenant(&root(), &tenant("acme"), &none).await.unwrap();
    assert_eq!(world.unwrap("acme", &wrapped).await.unwrap(), [7; 32]);
}

#[tokio::test]
async fn p1_lowering_a_bound_applies_to_live_leases_at_once() {
    let world = World::with_acme().await;
    world.wrap("acme", &[7; 32]).await;
    world.clock.advance(seconds(100)).await;
    let before = world.leases.view(&name("acme", "main"));
    assert_eq!(before.state, LeaseState::Live, "300 s are not over, and no proof was due yet");
    let strict = [TenantChange::RevocationBound(RevocationBound::STRICT)];
    let none = ChangeOptions::default();
    world.service.update_tenant(&root(), &tenant("acme"), &strict, &none).await.unwrap();
    let after = world.leases.view(&name("acme", "main"));
    assert_ne!(after.epoch, before.epoch, "but 60 s are, and if it lives again it has been proven again");
}

#[tokio::test]
async fn a_request_that_a_rotation_overtakes_is_served_under_the_new_record() {
    let world = World::with_acme().await;
    let old = world.wrap("acme", &[7; 32]).await;
    world.create_binding("acme", "next").await;
    world.clock.settle().await;
    // The request is in the middle of its unwrap when its binding changes from ACTIVE to RETIRING.
    world.cloud.pause();
    let (service, wrapped) = (world.service.clone(), old.clone());
    let waiting = tokio::spawn(async move {
        let served = service.unwrap_key(&root(), &tenant("acme"), &wrapped, &context()).await?;
        Ok::<_, ServiceError>(served.release().await?.value.expose().to_vec())
    });
    world.clock.settle().await;
    world
        .registry
        .change_elsewhere("acme", true, |t| {
            let id = "next".parse().unwrap();
            let (version, now) = (t.binding(&id).unwrap().version, t.updated);
            let canary = t.active_binding().unwrap().canary.clone().unwrap();
            t.with_activated(&id, version, canary, now).unwrap()
        })
        .await;
    world.clock.settle().await;
    world.cloud.resume();
    assert_eq!(waiting.await.unwrap().unwrap(), [7; 32]);
}

#[tokio::test]
async fn p2_a_denial_is_told_as_one_and_p10_service_resumes_by_itself() {
    let world = World::with_acme().await;
    let wrapped = world.wrap("acme", &[7; 32]).await;
    world.cloud.deny_trust(true);
    world.service.reprove_tenant(&root(), &tenant("acme")).await.unwrap();
    let error = world.unwrap("acme", &wrapped).await.unwrap_err();
    assert!(matches!(error, ServiceError::Lease(LeaseError::Denied(_))), "{error:?}");
    world.cloud.deny_trust(false);
    world.clock.advance(seconds(10)).await;
    assert_eq!(world.unwrap("acme", &wrapped).await.unwrap(), [7; 32]);
}

#[tokio::test]
async fn an_envelope_of_a_binding_that_is_not_kept_is_foreign() {
    let before = World::with_acme().await;
    before.activate("acme", "next").await;
    let wrapped = before.wrap("acme", &[7; 32]).await;
    // As after the loss of a registry, with a copy from before that binding.
    let world = World::with_acme().await;
    let error = world.unwrap("acme", &wrapped).await.unwrap_err();
    assert!(matches!(error, ServiceError::ForeignEnvelope(Foreign::Binding)), "{error:?}");
}
