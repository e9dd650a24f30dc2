//! The cloud says nothing, or nothing that is about us: that is no denial, and no licence either.

use std::time::Duration;

use leasehold_api::v1::{ErrorReason, LeaseState, WatchMode};
use leasehold_client::ClientError;
use leasehold_clock::TimeSource;
use leasehold_cloudsim::faults::FaultEffect;
use tonic::Code;

use crate::cloud::{Cloud, on_every_cloud};
use crate::world::{BOUND, World, eventually, soon};

/// Leaves time for what a request takes.
const ALMOST: Duration = Duration::from_millis(13_500);

/// A fault, and which of the reasons that are no denial callers may be told.
async fn outage(cloud: Cloud, effect: FaultEffect, reasons: &[ErrorReason]) {
    let world = World::start(cloud, &["acme"]).await;
    let mut watcher = world.watch("acme", WatchMode::Hold).await;
    let (key, wrapped) = world.generate("acme", "main").await;
    let proven = world.clock.now();
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    watcher.until(LeaseState::Live).await;

    world.inject(world.estate.about("acme"), effect);
    world.clock.jump_to(proven + ALMOST);
    let served = world.unwrap("acme", &wrapped, "main").await;
    assert!(served.unwrap().value.matches(&key), "served until the bound");
    assert!(world.clock.now() < proven + BOUND, "this machine is too slow for the test to mean anything");

    world.clock.jump_to(proven + BOUND);
    assert!(watcher.until(LeaseState::Lapsed).await.status.denial.is_none());
    let refusal = {
        let asked = world.unwrap("acme", &wrapped, "main");
        let mut asked = std::pin::pin!(asked);
        // What waits for a cloud that is silent waits for its deadlines, in the server's time.
        let answered = soon(async {
            loop {
                tokio::select! {
                    biased;
                    answer = &mut asked => return answer,
                    () = pause() => world.clock.jump(Duration::from_secs(1)),
                }
            }
        });
        match answered.await {
            Err(ClientError::Refused(refusal)) => refusal,
            other => panic!("served or broken: {:?}", other.err()),
        }
    };
    assert!(refusal.reason().is_some_and(|reason| reasons.contains(&reason)), "{refusal}");
    assert!(!refusal.is_denial() && refusal.is_passing() && refusal.retry_after().is_some());
    assert_ne!(watcher.renew().await.state, LeaseState::Denied);

    world.cloud.control().clear_faults();
    let proofs = world.assumes();
    // A cloud that throttles may have asked us to stay away for a minute, by an answer that was under way until now too.
    let again = eventually(async || {
        world.clock.jump(Duration::from_secs(10));
        world.unwrap("acme", &wrapped, "main").await.ok()
    });
    let again = again.await;
    assert!(again.value.matches(&key) && world.assumes() > proofs);
    watcher.until(LeaseState::Live).await;
}

/// A moment of real time.
async fn pause() {
    let real = leasehold_clock::SystemClock::start();
    real.sleep(Duration::from_millis(100)).await;
}

const DOWN: &[ErrorReason] = &[ErrorReason::LeaseLapsed, ErrorReason::CloudUnavailable];

async fn p3_errors_of_the_cloud_are_an_outage(cloud: Cloud) {
    let (code, message) = ("InternalFailure".to_owned(), String::new());
    outage(cloud, FaultEffect::Error { status: 500, code, message }, DOWN).await;
}

async fn p3_resets_are_an_outage(cloud: Cloud) {
    outage(cloud, FaultEffect::Reset, DOWN).await;
}

async fn p3_silence_is_an_outage(cloud: Cloud) {
    outage(cloud, FaultEffect::Drop, DOWN).await;
}

async fn p3_garbled_answers_are_an_outage(cloud: Cloud) {
    outage(cloud, FaultEffect::Corrupt, DOWN).await;
}

async fn p3_throttling_is_an_outage(cloud: Cloud) {
    outage(cloud, FaultEffect::Throttle, &[ErrorReason::LeaseLapsed, ErrorReason::Throttled]).await;
}

async fn p3_a_cold_start_into_an_outage_is_unavailable_and_never_denied(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    let (_, wrapped) = world.generate("acme", "main").await;
    world.make_cold("acme").await;
    let (code, message) = ("ServiceUnavailable".to_owned(), String::new());
    world.inject(world.estate.about("acme"), FaultEffect::Error { status: 503, code, message });
    let Err(ClientError::Refused(refusal)) = world.unwrap("acme", &wrapped, "main").await else {
        panic!("served in an outage")
    };
    assert_eq!(refusal.code(), Code::Unavailable);
    assert_eq!(refusal.reason(), Some(ErrorReason::CloudUnavailable));
}

on_every_cloud!(
    p3_errors_of_the_cloud_are_an_outage,
    p3_resets_are_an_outage,
    p3_silence_is_an_outage,
    p3_garbled_answers_are_an_outage,
    p3_throttling_is_an_outage,
    p3_a_cold_start_into_an_outage_is_unavailable_and_never_denied,
);
