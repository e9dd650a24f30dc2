//! The tenant lets us in again, and nobody else has to do anything.

use std::time::Duration;

use leasehold_api::v1::{LeaseState, WatchMode};
use leasehold_clock::TimeSource;
use leasehold_cloudsim::aws::KeyState;
use leasehold_cloudsim::aws::edits::{Edit, EditId};

use crate::cloud::{canaries, of};
use crate::world::{World, eventually};

/// How often a denied binding is asked again while it is in demand.
const RETRY_DENIED: Duration = Duration::from_secs(10);

/// Denies by `edit`, undoes it, and expects service to resume within the time promised.
async fn resumes(edit: impl Fn(&World) -> EditId) {
    let world = World::start(&["acme"]).await;
    let mut watcher = world.watch("acme", WatchMode::Hold).await;
    let (key, wrapped) = world.generate("acme", "main").await;
    watcher.until(LeaseState::Live).await;
    let edit = edit(&world);
    let _ = world.reprove("acme").await;
    watcher.until(LeaseState::Denied).await;

    world.undo(edit);
    let restored = world.clock.now();
    world.clock.jump(RETRY_DENIED);
    watcher.until(LeaseState::Live).await;
    // What passed beyond the jump is the time that the proof took.
    assert!(world.clock.now().since(restored) < RETRY_DENIED + Duration::from_secs(5));
    assert!(world.unwrap("acme", &wrapped, "main").await.unwrap().value.matches(&key));
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_service_resumes_by_itself_after_a_trust_policy_is_restored() {
    resumes(|world| world.revoke_trust("acme")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_service_resumes_by_itself_after_a_key_policy_is_restored() {
    resumes(|world| world.deny_key("acme", None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_service_resumes_by_itself_after_a_key_is_enabled_again() {
    resumes(|world| {
        let key = world.tenant("acme").key.clone();
        world.edit(Edit::KeyState { key, state: KeyState::Disabled })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_requests_alone_are_demand_enough() {
    let world = World::start(&["acme"]).await;
    let (key, wrapped) = world.generate("acme", "main").await;
    let edit = world.revoke_trust("acme");
    let _ = world.reprove("acme").await;
    assert!(world.unwrap("acme", &wrapped, "main").await.is_err());
    world.undo(edit);
    world.clock.jump(RETRY_DENIED);
    let served = eventually(async || world.unwrap("acme", &wrapped, "main").await.ok()).await;
    assert!(served.value.matches(&key));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_a_denied_binding_do_not_probe_the_cloud() {
    let world = World::start(&["acme"]).await;
    let (_, wrapped) = world.generate("acme", "main").await;
    world.revoke_trust("acme");
    let _ = world.reprove("acme").await;
    world.forget_calls();
    for _ in 0..50 {
        assert!(world.unwrap("acme", &wrapped, "main").await.is_err());
    }
    assert_eq!(world.count(of("AssumeRole")) + world.count(canaries()), 0);
}
