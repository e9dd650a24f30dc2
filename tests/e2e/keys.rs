//! Making, wrapping, unwrapping and rewrapping keys.

use leasehold_api::v1::{self, ErrorReason};
use leasehold_client::{EncryptionContext, KeyLength, PlaintextKey};
use tonic::Code;

use crate::cloud::{Cloud, on_every_cloud};
use crate::world::{BOUND, World, activate, context, create_binding, id, refused};

async fn keys_of_every_length_come_back_as_they_were(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    let (client, acme) = (&world.client, id("acme"));
    for length in KeyLength::ALL {
        let made = client.generate_data_key(&acme, length, &context("main")).await.unwrap().value;
        let again = world.unwrap("acme", &made.wrapped, "main").await.unwrap().value;
        assert!(again.matches(&made.key) && again.len() == length, "generated: {length:?}");

        let own = PlaintextKey::generate(client.arena(), length).unwrap();
        let copy = PlaintextKey::take(client.arena(), &mut own.expose().to_vec()).unwrap();
        let wrapped = client.wrap_key(&acme, copy, &context("main")).await.unwrap().value;
        let again = world.unwrap("acme", &wrapped, "main").await.unwrap().value;
        assert!(again.matches(&own), "the caller's own: {length:?}");

        let unseen = client.generate_data_key_without_plaintext(&acme, length, &context("main")).await;
        let again = world.unwrap("acme", &unseen.unwrap().wrapped, "main").await.unwrap().value;
        assert_eq!(again.len(), length, "never seen");
    }
}

async fn a_cold_unwrap_is_one_call_to_the_cloud_and_a_cached_one_none(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    let mut made = Vec::new();
    for branch in ["a", "b", "c", "d", "e"] {
        made.push((branch, world.generate("acme", branch).await));
    }
    world.forget_calls();
    for (branch, (key, wrapped)) in &made {
        assert!(world.unwrap("acme", wrapped, branch).await.unwrap().value.matches(key));
    }
    assert_eq!(world.key_unwraps(), made.len());
    assert_eq!(world.assumes(), 0, "the lease was live");
    world.forget_calls();
    for (branch, (key, wrapped)) in &made {
        assert!(world.unwrap("acme", wrapped, branch).await.unwrap().value.matches(key));
    }
    assert_eq!(world.count(Default::default()), 0);
}

async fn without_a_cache_every_unwrap_is_a_call(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    let terms = v1::LeaseTerms { cache: v1::CacheMode::Off.into(), ..Default::default() };
    world.set_terms("acme", terms, "lease_terms.cache").await;
    let (key, wrapped) = world.generate("acme", "main").await;
    world.forget_calls();
    for _ in 0..3 {
        assert!(world.unwrap("acme", &wrapped, "main").await.unwrap().value.matches(&key));
    }
    assert_eq!(world.key_unwraps(), 3);
}

async fn p1_a_key_may_be_held_for_no_longer_than_the_bound_after_the_proof(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    world.forget_calls();
    let before = leasehold_clock::TimeSource::now(&world.clock);
    let made = world.client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await.unwrap();
    assert_eq!(world.assumes(), 1, "nothing is generated without a proof");
    assert!(made.expires > before, "there is a lease");
    // The proof began after `before`; and the client counts from when it sent the request.
    assert!(made.expires <= leasehold_clock::TimeSource::now(&world.clock) + BOUND);
    let wrapped = made.value.wrapped;
    let again = world.unwrap("acme", &wrapped, "main").await.unwrap();
    assert!(again.expires.since(made.expires) < std::time::Duration::from_secs(1), "use lengthens nothing");
}

async fn a_rewrap_moves_a_key_to_the_binding_that_wraps_now(cloud: Cloud) {
    let world = World::start(cloud, &["acme", "acme-next"]).await;
    let (key, old) = world.generate("acme", "main").await;

    // Another key and role, bound by the same tenant.
    let next = world.estate.binding("acme-next");
    let created = create_binding(&world.client, "acme", "next", next).await.unwrap();
    world.estate.let_in("acme-next", &created.external_id);
    activate(&world.client, "acme", "next").await.unwrap();

    assert!(world.unwrap("acme", &old, "main").await.unwrap().value.matches(&key), "RETIRING unwraps");
    let moved = world.client.rewrap_key(&id("acme"), &old, &context("main"), Some(&context("dev"))).await;
    let moved = moved.unwrap();
    assert_eq!(moved.binding.to_string(), "tenants/acme/bindings/next");
    let retire = v1::RetireBindingRequest { name: "tenants/acme/bindings/main".into(), ..Default::default() };
    world.tenants(retire, |mut t, q| async move { t.retire_binding(q).await }).await.unwrap();

    let again = world.unwrap("acme", &moved.wrapped, "dev").await.unwrap();
    assert!(again.value.matches(&key) && again.binding == moved.binding);
    let retired = world.unwrap("acme", &old, "main").await;
    refused(retired, Code::FailedPrecondition, ErrorReason::BindingNotUsable);
}

async fn p6_a_wrong_or_missing_context_unwraps_nothing_even_from_the_cache(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    let (_, wrapped) = world.generate("acme", "main").await;
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    world.forget_calls();
    let more = EncryptionContext::try_from_iter([("branch", "main"), ("x", "y")]).unwrap();
    for wrong in [context("dev"), EncryptionContext::empty(), more] {
        let unwrapped = world.client.unwrap_key(&id("acme"), &wrapped, &wrong).await;
        let refusal = refused(unwrapped, Code::InvalidArgument, ErrorReason::WrongContext);
        assert!(refusal.message().contains("context"), "{refusal}");
    }
    assert_eq!(world.count(Default::default()), 0, "the envelope alone says so");
}

on_every_cloud!(
    keys_of_every_length_come_back_as_they_were,
    a_cold_unwrap_is_one_call_to_the_cloud_and_a_cached_one_none,
    without_a_cache_every_unwrap_is_a_call,
    p1_a_key_may_be_held_for_no_longer_than_the_bound_after_the_proof,
    a_rewrap_moves_a_key_to_the_binding_that_wraps_now,
    p6_a_wrong_or_missing_context_unwraps_nothing_even_from_the_cache,
);
