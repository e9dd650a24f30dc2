//! Nothing is lost: any replica unwraps what any other wrapped, with nothing but the tenant's own key.

use leasehold_api::v1::{self, ErrorReason};
use leasehold_client::{EncryptionContext, KeyLength};
use tonic::Code;

use crate::cloud::{Cloud, on_every_cloud};
use crate::world::{BINDING, World, activate, context, create_binding, create_tenant, id, refused};

async fn p5_another_replica_unwraps_with_an_empty_cache_and_a_lost_registry(cloud: Cloud) {
    let world = World::with(cloud, &["acme"], |_| {}).await;
    let issued = world.hand_over("acme").await;
    world.estate.let_in("acme", &issued);
    world.activate("acme").await.unwrap();
    let mut made = Vec::new();
    for length in KeyLength::ALL {
        let context = EncryptionContext::try_from_iter([("branch", "main"), ("timeline", "7")]).unwrap();
        let key = world.client.generate_data_key(&id("acme"), length, &context).await.unwrap().value;
        made.push((key, context));
    }
    let bare = world.client.generate_data_key(&id("acme"), KeyLength::B32, &EncryptionContext::empty()).await;
    made.push((bare.unwrap().value, EncryptionContext::empty()));

    let (running, client) = world.replica().await;
    world.running.drain().await;
    create_tenant(&client, "acme").await;
    let again = create_binding(&client, "acme", BINDING, world.estate.binding("acme")).await;
    assert_eq!(again.unwrap().external_id, issued, "so what the tenant wrote down still fits");
    activate(&client, "acme", BINDING).await.unwrap();
    for (key, context) in &made {
        let unwrapped = client.unwrap_key(&id("acme"), &key.wrapped, context).await.unwrap();
        assert!(unwrapped.value.matches(&key.key));
    }
    running.drain().await;
}

async fn p5_a_deleted_tenant_can_be_taken_back_with_all_that_it_wrapped(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    let (key, wrapped) = world.generate("acme", "main").await;
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    let name = "tenants/acme".to_owned();
    let delete = v1::DeleteTenantRequest { name: name.clone(), ..Default::default() };
    world.tenants(delete, |mut t, q| async move { t.delete_tenant(q).await }).await.unwrap();
    let gone = world.unwrap("acme", &wrapped, "main").await;
    refused(gone, Code::FailedPrecondition, ErrorReason::TenantDeleted);
    let undelete = v1::UndeleteTenantRequest { name, ..Default::default() };
    world.tenants(undelete, |mut t, q| async move { t.undelete_tenant(q).await }).await.unwrap();
    assert!(world.unwrap("acme", &wrapped, "main").await.unwrap().value.matches(&key));
}

async fn p5_a_key_that_the_tenant_rotated_still_unwraps_what_it_wrapped_before(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    let (key, wrapped) = world.generate("acme", "main").await;
    world.estate.tenants().rotate_key("acme").unwrap();
    world.make_cold("acme").await;
    let unwrapped = world.client.unwrap_key(&id("acme"), &wrapped, &context("main")).await.unwrap();
    assert!(unwrapped.value.matches(&key));
}

on_every_cloud!(
    p5_another_replica_unwraps_with_an_empty_cache_and_a_lost_registry,
    p5_a_deleted_tenant_can_be_taken_back_with_all_that_it_wrapped,
    p5_a_key_that_the_tenant_rotated_still_unwraps_what_it_wrapped_before,
);
