//! Azure: a key that is past its expiry wraps nothing more, and goes on unwrapping.

use leasehold_api::v1::{ErrorReason, LeaseState, WatchMode};
use leasehold_client::KeyLength;
use leasehold_cloudsim::azure::edits::Edit;
use leasehold_cloudsim::azure::ids::KeyUrl;
use tonic::Code;

use crate::cloud::Cloud;
use crate::world::{
    BINDING, World, activate, context, create_binding, create_tenant, eventually, id, refused,
};

fn key(world: &World) -> KeyUrl {
    world.estate.tenants().get("acme").unwrap().key.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrap_after_the_keys_expiry_fails_alone_and_no_holder_is_told_to_wipe() {
    let world = World::start(Cloud::Azure, &["acme"]).await;
    let mut holder = world.watch("acme", WatchMode::Hold).await;
    let (warm, warm_wrapped) = world.generate("acme", "warm").await;
    let (cold, cold_wrapped) = world.generate("acme", "cold").await;
    world.unwrap("acme", &warm_wrapped, "warm").await.unwrap();
    let epoch = holder.until(LeaseState::Live).await.status.epoch;

    world.cloud.control().azure().edit(Edit::KeyExpired { key: key(&world) }).unwrap();
    for _ in 0..3 {
        let made = world.client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await;
        let refusal = refused(made, Code::FailedPrecondition, ErrorReason::RequestDenied);
        assert_eq!((&*refusal.metadata()["cloud_code"], &*refusal.metadata()["edge"]), ("KeyExpired", "key"));
        assert!(refusal.to_string().contains("make a new version"), "{refusal}");
    }
    assert!(world.unwrap("acme", &warm_wrapped, "warm").await.unwrap().value.matches(&warm), "cached");
    assert!(world.unwrap("acme", &cold_wrapped, "cold").await.unwrap().value.matches(&cold), "and not");
    let held = &holder.renew().await.status;
    assert_eq!((held.state(), held.epoch), (LeaseState::Live, epoch), "the same life of the lease");

    let azure = world.cloud.control().azure();
    azure.rotate_key(&key(&world)).unwrap();
    world.reprove("acme").await.unwrap();
    let made = eventually(async || {
        world.client.generate_data_key(&id("acme"), KeyLength::B32, &context("new")).await.ok()
    });
    let made = made.await.value;
    assert!(world.unwrap("acme", &made.wrapped, "new").await.unwrap().value.matches(&made.key));
    assert!(world.unwrap("acme", &cold_wrapped, "cold").await.unwrap().value.matches(&cold));
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_a_replica_that_never_saw_an_expired_version_unwraps_what_it_wrapped() {
    let world = World::start(Cloud::Azure, &["acme"]).await;
    let (old, wrapped) = world.generate("acme", "main").await;
    let azure = world.cloud.control().azure();
    azure.rotate_key(&key(&world)).unwrap();

    let (replica, client) = world.replica().await;
    create_tenant(&client, "acme").await;
    create_binding(&client, "acme", BINDING, world.estate.binding("acme")).await.unwrap();
    activate(&client, "acme", BINDING).await.unwrap();
    azure.edit(Edit::KeyExpired { key: key(&world) }).unwrap();
    let again = client.unwrap_key(&id("acme"), &wrapped, &context("main")).await.unwrap();
    assert!(again.value.matches(&old), "it is proven by an unwrap, for nothing can be wrapped any more");
    replica.drain().await;
}
