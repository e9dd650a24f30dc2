//! The tenant says no, by each of the levers that every cloud gives them.

use std::time::Duration;

use leasehold_api::v1::{self, ErrorReason, LeaseState, WatchMode};
use leasehold_client::{ClientError, KeyLength, PlaintextKey};
use leasehold_clock::TimeSource;
use tonic::Code;

use crate::cloud::{Cloud, Lever, on_every_cloud};
use crate::world::{BOUND, World, context, id, refused};

/// Half of the bound: the latest that a lease in use is proven anew.
const HALF: Duration = Duration::from_millis(7500);

async fn p1_a_trust_edit_is_refused_within_the_bound(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    let mut watcher = world.watch("acme", WatchMode::Hold).await;
    let (key, wrapped) = world.generate("acme", "main").await;
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    watcher.until(LeaseState::Live).await;

    world.pull(Lever::Trust, "acme");
    let edited = world.clock.now();
    assert!(world.unwrap("acme", &wrapped, "main").await.unwrap().value.matches(&key), "not noticed yet");
    world.clock.jump(HALF);
    let told = watcher.until(LeaseState::Denied).await;
    assert!(world.clock.now().since(edited) <= BOUND);
    let denial = told.status.denial.clone().unwrap();
    assert_eq!((denial.reason(), &*denial.edge), (ErrorReason::BindingDenied, "trust"));
    assert!(!denial.cloud_code.is_empty());

    world.forget_calls();
    let cached = world.unwrap("acme", &wrapped, "main").await;
    refused(cached, Code::FailedPrecondition, ErrorReason::BindingDenied);
    let made = world.client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await;
    refused(made, Code::FailedPrecondition, ErrorReason::BindingDenied);
    let own = PlaintextKey::generate(world.client.arena(), KeyLength::B32).unwrap();
    let wrap = world.client.wrap_key(&id("acme"), own, &context("main")).await;
    refused(wrap, Code::FailedPrecondition, ErrorReason::BindingDenied);
    let rewrap = world.client.rewrap_key(&id("acme"), &wrapped, &context("main"), None).await;
    refused(rewrap, Code::FailedPrecondition, ErrorReason::BindingDenied);
    assert_eq!(world.count(Default::default()), 0, "nothing was asked with the session that is still valid");
}

async fn p1_without_anybody_noticing_earlier_the_lease_ends_at_its_bound(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    let (_, wrapped) = world.generate("acme", "main").await;
    let proven = world.clock.now();
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    world.pull(Lever::Trust, "acme");
    // Everything in between is skipped, as by a process that was stopped.
    world.clock.jump_to(proven + BOUND);
    world.forget_calls();
    let Err(ClientError::Refused(late)) = world.unwrap("acme", &wrapped, "main").await else {
        panic!("served beyond the bound")
    };
    // Which of the two depends on whether the proof that is tried anew has ended yet.
    assert!(matches!(late.reason(), Some(ErrorReason::LeaseLapsed | ErrorReason::BindingDenied)), "{late}");
    world.calls(world.estate.cloud().assumes(), 1).await;
    assert_eq!(world.count(world.estate.cloud().unwraps()), 0);
}

async fn p2_a_key_policy_edit_wipes_everything_as_soon_as_a_proof_meets_it(cloud: Cloud) {
    let world = World::start(cloud, &["acme", "globex"]).await;
    let mut watcher = world.watch("acme", WatchMode::Hold).await;
    let (_, wrapped) = world.generate("acme", "main").await;
    let (other, wrapped_other) = world.generate("globex", "main").await;
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    world.unwrap("globex", &wrapped_other, "main").await.unwrap();
    watcher.until(LeaseState::Live).await;

    world.pull(Lever::KeyUse, "acme");
    let leases = world.reprove("acme").await;
    // No time was made to pass: a proof that begins now is enough.
    let told = watcher.until(LeaseState::Denied).await.status.denial.clone().unwrap();
    assert_eq!(&*told.edge, "key");
    assert!(!told.cloud_code.is_empty());
    drop(leases);
    let cached = world.unwrap("acme", &wrapped, "main").await;
    let refusal = refused(cached, Code::FailedPrecondition, ErrorReason::BindingDenied);
    assert_eq!(refusal.metadata()["edge"], "key");

    world.forget_calls();
    let served = world.unwrap("globex", &wrapped_other, "main").await.unwrap();
    assert!(served.value.matches(&other) && world.count(Default::default()) == 0, "globex keeps its own");
}

async fn p2_a_denied_request_has_the_whole_binding_proven_at_once(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    let mut watcher = world.watch("acme", WatchMode::Observe).await;
    let (_, wrapped) = world.generate("acme", "main").await;
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    watcher.until(LeaseState::Live).await;
    world.pull(Lever::KeyUse, "acme");
    let made = world.client.generate_data_key(&id("acme"), KeyLength::B32, &context("other")).await;
    refused(made, Code::FailedPrecondition, ErrorReason::RequestDenied);
    watcher.until(LeaseState::Denied).await;
    let cached = world.unwrap("acme", &wrapped, "main").await;
    refused(cached, Code::FailedPrecondition, ErrorReason::BindingDenied);
}

async fn p2_a_key_that_nobody_can_use_any_more_is_a_denial(cloud: Cloud) {
    for lever in [Lever::DisableKey, Lever::DeleteKey] {
        let world = World::start(cloud, &["acme"]).await;
        let mut watcher = world.watch("acme", WatchMode::Observe).await;
        let (_, cold) = world.generate("acme", "cold").await;
        let (_, warm) = world.generate("acme", "warm").await;
        world.unwrap("acme", &warm, "warm").await.unwrap();
        watcher.until(LeaseState::Live).await;
        world.pull(lever, "acme");
        let unwrapped = world.unwrap("acme", &cold, "cold").await;
        refused(unwrapped, Code::FailedPrecondition, ErrorReason::KeyUnusable);
        let told = watcher.until(LeaseState::Denied).await.status.denial.clone().unwrap();
        assert_eq!(told.reason(), ErrorReason::KeyUnusable);
        let cached = world.unwrap("acme", &warm, "warm").await;
        refused(cached, Code::FailedPrecondition, ErrorReason::KeyUnusable);
    }
}

async fn only_who_holds_keeps_a_lease_proving(cloud: Cloud) {
    let world = World::start(cloud, &["acme", "globex"]).await;
    let idle_after = Some(prost_types::Duration { seconds: 5, nanos: 0 });
    for tenant in ["acme", "globex"] {
        let terms = v1::LeaseTerms { idle_after, ..Default::default() };
        world.set_terms(tenant, terms, "lease_terms.idle_after").await;
    }
    let mut holder = world.watch("acme", WatchMode::Hold).await;
    let mut observer = world.watch("globex", WatchMode::Observe).await;
    for (tenant, watcher) in [("acme", &mut holder), ("globex", &mut observer)] {
        world.generate(tenant, "main").await;
        watcher.until(LeaseState::Live).await;
    }
    let proofs = world.assumes();
    // Nobody asks for anything.
    world.clock.jump(HALF);
    observer.until(LeaseState::Idle).await;
    world.calls(world.estate.cloud().assumes(), proofs + 1).await;
    assert_eq!(holder.renew().await.state, LeaseState::Live);
}

async fn a_suspended_tenant_is_wiped_and_its_watchers_told_at_once(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    let mut watcher = world.watch("acme", WatchMode::Hold).await;
    let (key, wrapped) = world.generate("acme", "main").await;
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    watcher.until(LeaseState::Live).await;
    let name = "tenants/acme".to_owned();
    let suspend = v1::SuspendTenantRequest { name: name.clone(), ..Default::default() };
    world.tenants(suspend, |mut t, q| async move { t.suspend_tenant(q).await }).await.unwrap();
    watcher.until(LeaseState::Suspended).await;
    let asked = world.unwrap("acme", &wrapped, "main").await;
    refused(asked, Code::FailedPrecondition, ErrorReason::TenantSuspended);
    let resume = v1::ResumeTenantRequest { name, ..Default::default() };
    world.tenants(resume, |mut t, q| async move { t.resume_tenant(q).await }).await.unwrap();
    assert!(world.unwrap("acme", &wrapped, "main").await.unwrap().value.matches(&key));
    watcher.until(LeaseState::Live).await;
}

async fn p4_connections_that_carried_what_was_wiped_are_closed(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    let carrier = crate::world::client_of(&world.running.endpoints()[0], &world.clock);
    let mut watcher = crate::watcher::Watcher::open(&carrier, &id("acme"), WatchMode::Hold).await;
    carrier.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await.unwrap();
    watcher.until(LeaseState::Live).await;
    world.pull(Lever::KeyUse, "acme");
    let _ = world.reprove("acme").await;
    watcher.until(LeaseState::Denied).await;
    // The stream is on the connection that carried the key: it is told why it ends, and then the connection is closed.
    world.clock.jump(Duration::from_secs(3));
    let end = watcher.end().await;
    let Some(leasehold_client::ClientError::Refused(refusal)) = &end else { panic!("{end:?}") };
    assert_eq!((refusal.code(), refusal.reason()), (Code::Unavailable, Some(ErrorReason::ConnectionClosing)));
    assert!(carrier.leases().await.is_ok(), "and another one is welcome");
}

async fn p1_a_lower_bound_applies_to_live_leases_at_once(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    let bound = |seconds| v1::LeaseTerms {
        revocation_bound: Some(prost_types::Duration { seconds, nanos: 0 }),
        ..Default::default()
    };
    world.set_terms("acme", bound(60), "lease_terms.revocation_bound").await;
    let (_, wrapped) = world.generate("acme", "main").await;
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    world.pull(Lever::Trust, "acme");
    // The next proof is due 24 s after the first at the earliest.
    world.clock.jump(Duration::from_secs(20));
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    world.set_terms("acme", bound(15), "lease_terms.revocation_bound").await;
    let Err(ClientError::Refused(refusal)) = world.unwrap("acme", &wrapped, "main").await else {
        panic!("served beyond the bound")
    };
    let over = matches!(refusal.reason(), Some(ErrorReason::LeaseLapsed | ErrorReason::BindingDenied));
    assert!(over, "{refusal}");
}

on_every_cloud!(
    p1_a_trust_edit_is_refused_within_the_bound,
    p1_without_anybody_noticing_earlier_the_lease_ends_at_its_bound,
    p2_a_key_policy_edit_wipes_everything_as_soon_as_a_proof_meets_it,
    p2_a_denied_request_has_the_whole_binding_proven_at_once,
    p2_a_key_that_nobody_can_use_any_more_is_a_denial,
    only_who_holds_keeps_a_lease_proving,
    a_suspended_tenant_is_wiped_and_its_watchers_told_at_once,
    p4_connections_that_carried_what_was_wiped_are_closed,
    p1_a_lower_bound_applies_to_live_leases_at_once,
);
