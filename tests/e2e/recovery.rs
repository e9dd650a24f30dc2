//! The tenant lets us in again, and nobody else has to do anything.

use std::time::Duration;

use leasehold_api::v1::{LeaseState, WatchMode};
use leasehold_clock::TimeSource;

use crate::cloud::{Cloud, Lever, edge, on_every_cloud};
use crate::world::{World, eventually};

/// How often a denied binding is asked again while it is in demand.
const RETRY_DENIED: Duration = Duration::from_secs(10);

async fn p10_service_resumes_by_itself_whichever_lever_was_pulled(cloud: Cloud) {
    for lever in Lever::ALL {
        let world = World::start(cloud, &["acme"]).await;
        let mut watcher = world.watch("acme", WatchMode::Hold).await;
        let (key, wrapped) = world.generate("acme", "main").await;
        watcher.until(LeaseState::Live).await;
        world.pull(lever, "acme");
        let _ = world.reprove("acme").await;
        let told = watcher.until(LeaseState::Denied).await.status.denial.clone().unwrap();
        assert_eq!(told.edge, edge(lever), "{lever:?}");

        world.restore("acme");
        let restored = world.clock.now();
        world.clock.jump(RETRY_DENIED);
        watcher.until(LeaseState::Live).await;
        // What passed beyond the jump is the time that the proof took.
        assert!(world.clock.now().since(restored) < RETRY_DENIED + Duration::from_secs(5), "{lever:?}");
        assert!(world.unwrap("acme", &wrapped, "main").await.unwrap().value.matches(&key), "{lever:?}");
    }
}

async fn p10_requests_alone_are_demand_enough(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    let (key, wrapped) = world.generate("acme", "main").await;
    world.pull(Lever::Trust, "acme");
    let _ = world.reprove("acme").await;
    assert!(world.unwrap("acme", &wrapped, "main").await.is_err());
    world.restore("acme");
    world.clock.jump(RETRY_DENIED);
    let served = eventually(async || world.unwrap("acme", &wrapped, "main").await.ok()).await;
    assert!(served.value.matches(&key));
}

async fn requests_to_a_denied_binding_do_not_probe_the_cloud(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    let (_, wrapped) = world.generate("acme", "main").await;
    world.pull(Lever::Trust, "acme");
    let _ = world.reprove("acme").await;
    world.forget_calls();
    for _ in 0..50 {
        assert!(world.unwrap("acme", &wrapped, "main").await.is_err());
    }
    assert_eq!(world.count(Default::default()), 0);
}

on_every_cloud!(
    p10_service_resumes_by_itself_whichever_lever_was_pulled,
    p10_requests_alone_are_demand_enough,
    requests_to_a_denied_binding_do_not_probe_the_cloud,
);
