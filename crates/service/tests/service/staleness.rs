//! What is known of tenants while the registry changes, is silent, or does not answer.

use leasehold_audit::Outcome;
use leasehold_lease::LeaseState;
use leasehold_service::{ServiceError, WatchMode};
use leasehold_tenant::Tenant;

use crate::watch::{main_is, message, next, told, watching};
use crate::world::{World, context, root, seconds, tenant};

fn suspend(tenant: Tenant) -> Tenant {
    let at = tenant.updated;
    tenant.suspended(at).unwrap()
}

#[tokio::test]
async fn a_known_tenants_keys_need_no_registry() {
    let world = World::with_acme().await;
    let wrapped = world.wrap("acme", &[7; 32]).await;
    let reads = world.registry.calls();
    for _ in 0..10 {
        world.unwrap("acme", &wrapped).await.unwrap();
    }
    assert_eq!(world.registry.calls(), reads);
}

#[tokio::test]
async fn p1_what_another_replica_changes_applies_at_once() {
    let world = World::with_acme().await;
    let wrapped = world.wrap("acme", &[7; 32]).await;
    world.unwrap("acme", &wrapped).await.unwrap();
    world.registry.change_elsewhere("acme", true, suspend).await;
    world.clock.settle().await;
    assert_eq!(world.lease("acme", "main"), LeaseState::Suspended, "without any request");
    assert!(matches!(world.unwrap("acme", &wrapped).await, Err(ServiceError::TenantSuspended)));
}

#[tokio::test]
async fn a_change_whose_announcement_got_lost_applies_within_a_minute() {
    let world = World::with_acme().await;
    let wrapped = world.wrap("acme", &[7; 32]).await;
    world.registry.change_elsewhere("acme", false, suspend).await;
    assert!(world.unwrap("acme", &wrapped).await.is_ok(), "nobody has told us");
    world.clock.advance(seconds(60)).await;
    assert!(matches!(world.unwrap("acme", &wrapped).await, Err(ServiceError::TenantSuspended)));
    assert_eq!(world.lease("acme", "main"), LeaseState::Suspended);
}

#[tokio::test]
async fn without_the_registry_known_tenants_are_served_for_15_minutes_and_no_longer() {
    let world = World::with_acme().await;
    let wrapped = world.wrap("acme", &[7; 32]).await;
    world.registry.go_down(true);
    for _ in 0..14 {
        world.clock.advance(seconds(60)).await;
        assert_eq!(world.unwrap("acme", &wrapped).await.unwrap(), [7; 32]);
    }
    assert!(matches!(world.unwrap("absent", &wrapped).await, Err(ServiceError::RegistryUnavailable)));
    world.clock.advance(seconds(61)).await;
    assert!(matches!(world.unwrap("acme", &wrapped).await, Err(ServiceError::RegistryUnavailable)));
    world.registry.go_down(false);
    assert_eq!(world.unwrap("acme", &wrapped).await.unwrap(), [7; 32]);
}

#[tokio::test]
async fn a_change_that_could_not_be_read_is_followed_once_the_registry_is_back() {
    let world = World::with_acme().await;
    world.wrap("acme", &[7; 32]).await;
    world.registry.go_down(true);
    world.registry.change_elsewhere("acme", true, suspend).await;
    world.clock.advance(seconds(30)).await;
    assert_eq!(world.lease("acme", "main"), LeaseState::Live);
    world.registry.go_down(false);
    world.clock.advance(seconds(1)).await;
    assert_eq!(world.lease("acme", "main"), LeaseState::Suspended, "within a second, without any request");
}

#[tokio::test]
async fn p9_a_registry_that_hangs_is_waited_for_2_s() {
    let world = World::with_acme().await;
    world.registry.hang();
    let service = world.service.clone();
    let reading = tokio::spawn(async move { service.get_tenant(&root(), &tenant("acme")).await });
    world.clock.advance(seconds(1)).await;
    assert!(!reading.is_finished());
    world.clock.advance(seconds(1)).await;
    let result = reading.await.unwrap();
    assert!(matches!(result, Err(ServiceError::RegistryUnavailable)), "{result:?}");
}

#[tokio::test]
async fn p1_a_slow_read_does_not_bring_back_what_was_suspended_meanwhile() {
    let world = World::with_acme().await;
    let wrapped = world.wrap("acme", &[7; 32]).await;
    world.unwrap("acme", &wrapped).await.unwrap();
    world.clock.advance(seconds(60)).await;
    // This request reads the record as it was, and is slow to take it in.
    world.registry.slow_down_next_read();
    let (service, late) = (world.service.clone(), wrapped.clone());
    let slow = tokio::spawn(async move {
        service.unwrap_key(&root(), &tenant("acme"), &late, &context()).await?.release().await.map(drop)
    });
    world.clock.settle().await;
    world.registry.change_elsewhere("acme", true, suspend).await;
    world.clock.settle().await;
    assert_eq!(world.lease("acme", "main"), LeaseState::Suspended);
    world.registry.let_slow_read_go_on();
    let result = slow.await.unwrap();
    assert!(matches!(result, Err(ServiceError::TenantSuspended)), "{result:?}");
    assert_eq!(world.lease("acme", "main"), LeaseState::Suspended);
    assert!(matches!(world.unwrap("acme", &wrapped).await, Err(ServiceError::TenantSuspended)));
}

#[tokio::test]
async fn an_older_record_never_replaces_a_newer_one() {
    let world = World::with_acme().await;
    let wrapped = world.wrap("acme", &[7; 32]).await;
    world.registry.slow_down_next_read();
    let service = world.service.clone();
    let slow = tokio::spawn(async move { service.get_tenant(&root(), &tenant("acme")).await });
    world.clock.settle().await;
    // Nobody announces the change; a request of somebody else's finds it.
    world.registry.change_elsewhere("acme", false, suspend).await;
    world.service.get_tenant(&root(), &tenant("acme")).await.unwrap();
    world.registry.let_slow_read_go_on();
    assert!(!slow.await.unwrap().unwrap().is_served(), "the slow one is told what is known by then");
    let result = world.unwrap("acme", &wrapped).await;
    assert!(matches!(result, Err(ServiceError::TenantSuspended)), "{result:?}");
}

#[tokio::test]
async fn a_record_that_was_read_before_a_change_was_announced_is_read_again() {
    let world = World::with(|s| s.tenants_held = 1);
    world.create_tenant("acme").await;
    world.activate("acme", "main").await;
    let wrapped = world.wrap("acme", &[7; 32]).await;
    world.create_tenant("other").await;
    world.clock.settle().await;
    assert_eq!(world.service.get_tenant(&root(), &tenant("other")).await.unwrap().id, tenant("other"));
    // Nothing is held of acme now. Its record is read, and changes before it is taken in; the follower cannot read it.
    world.registry.slow_down_next_read();
    let (service, early) = (world.service.clone(), wrapped.clone());
    let slow = tokio::spawn(async move {
        service.unwrap_key(&root(), &tenant("acme"), &early, &context()).await?.release().await.map(drop)
    });
    world.clock.settle().await;
    world.registry.go_down(true);
    world.registry.change_elsewhere("acme", true, suspend).await;
    world.clock.settle().await;
    world.registry.let_slow_read_go_on();
    slow.await.unwrap().unwrap();
    world.registry.go_down(false);
    let result = world.unwrap("acme", &wrapped).await;
    assert!(matches!(result, Err(ServiceError::TenantSuspended)), "{result:?}");
}

#[tokio::test]
async fn p9_the_number_of_tenants_held_is_bounded_and_others_are_read_again() {
    let world = World::with(|s| s.tenants_held = 2);
    for id in ["a", "b", "c", "d"] {
        world.create_tenant(id).await;
        world.activate(id, "main").await;
    }
    world.clock.settle().await;
    let reads = world.registry.calls();
    for id in ["a", "b", "c", "d"] {
        world.wrap(id, &[7; 32]).await;
    }
    assert!(world.registry.calls() >= reads + 2, "two at least were not held");
}

#[tokio::test]
async fn p1_hold_ends_with_the_refusals_when_the_registry_is_down_past_its_staleness() {
    let world = World::with_acme().await;
    let wrapped = world.wrap("acme", &[7; 32]).await;
    let mut watch = watching(&world, WatchMode::Hold).await;
    told(&world, &mut watch).await;
    world.registry.go_down(true);
    for minute in 1..15 {
        world.clock.advance(seconds(60)).await;
        assert!(next(&world, &mut watch).await.is_none(), "{minute}: it is held on");
        world.unwrap("acme", &wrapped).await.unwrap();
    }
    world.clock.advance(seconds(61)).await;
    assert!(matches!(world.unwrap("acme", &wrapped).await, Err(ServiceError::RegistryUnavailable)));
    let skip = world.audit.records().len();
    let error = watch.changed().await.unwrap_err();
    assert!(matches!(error, ServiceError::RegistryUnavailable), "{error:?}");
    let [record] = &world.audit.records()[skip..] else { panic!("one record") };
    assert_eq!((record.outcome, &record.tenant), (Outcome::Failed, &Some(tenant("acme"))));
    // The transport still has the watch; what it held is let go all the same.
    world.clock.advance(seconds(15 * 60)).await;
    assert_eq!(world.lease("acme", "main"), LeaseState::Idle);
    let proofs = world.cloud.calls("assume");
    world.clock.advance(seconds(3600)).await;
    assert_eq!(world.cloud.calls("assume"), proofs, "and nothing is proven any more");
    assert!(matches!(watch.receive(message(2, &[])).await, Err(ServiceError::RegistryUnavailable)));
}

#[tokio::test]
async fn a_watch_outlives_the_record_of_a_tenant_that_it_forgot() {
    let world = World::with_acme().await;
    let mut watch = watching(&world, WatchMode::Observe).await;
    told(&world, &mut watch).await;
    world.registry.slow_down_next_read();
    world.clock.advance(seconds(15 * 60 + 1)).await;
    assert!(next(&world, &mut watch).await.is_none(), "the record is being read");
    watch.receive(message(2, &[("acme", WatchMode::Forget)])).await.unwrap();
    world.clock.advance(seconds(3)).await;
    assert!(next(&world, &mut watch).await.is_none(), "nobody asks any more what became of it");
}

#[tokio::test]
async fn p1_no_ttl_is_renewed_by_a_record_that_is_too_old() {
    for mode in [WatchMode::Observe, WatchMode::Hold] {
        let world = World::with_acme().await;
        world.wrap("acme", &[7; 32]).await;
        let mut watch = watching(&world, mode).await;
        world.registry.go_down(true);
        world.clock.advance(seconds(15 * 60)).await;
        assert!(watch.receive(message(2, &[])).await.is_ok());
        world.clock.advance(seconds(1)).await;
        let error = watch.receive(message(3, &[])).await.unwrap_err();
        assert!(matches!(error, ServiceError::RegistryUnavailable), "{mode:?}: {error:?}");
    }
}

#[tokio::test]
async fn p1_a_watch_follows_a_change_whose_announcement_got_lost_within_a_minute() {
    let world = World::with_acme().await;
    let mut watch = watching(&world, WatchMode::Hold).await;
    told(&world, &mut watch).await;
    world.registry.change_elsewhere("acme", false, suspend).await;
    world.clock.advance(seconds(60)).await;
    assert!(told(&world, &mut watch).await.contains(&main_is(LeaseState::Suspended)));
    assert_eq!(world.lease("acme", "main"), LeaseState::Suspended);
}
