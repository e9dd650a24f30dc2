//! The process is told to end while there is work.

use std::time::Duration;

use leasehold_api::v1::{ErrorReason, LeaseState, WatchMode};
use leasehold_client::{ClientError, KeyLength};
use leasehold_clock::TimeSource;
use leasehold_cloudsim::faults::{FaultEffect, FaultSpec};
use leasehold_cloudsim::log::CallQuery;
use tokio::net::UnixStream;
use tonic::Code;

use crate::cloud::{Cloud, on_every_cloud};
use crate::served::{DRAIN, Process};
use crate::watcher::Watcher;
use crate::world::{client_of, context, id, soon};

/// For the process itself to end on a busy machine.
const LITTLE: Duration = Duration::from_secs(5);

async fn assert_ends_in_time(process: &mut Process, mut watcher: Watcher) {
    watcher.until(LeaseState::Live).await;
    let told = process.clock.now();
    process.signal("TERM");
    let Some(ClientError::Refused(refusal)) = watcher.end().await else { panic!("the stream just ended") };
    assert_eq!((refusal.code(), refusal.reason()), (Code::Unavailable, Some(ErrorReason::ShuttingDown)));
    let status = process.ended().await;
    assert!(status.success(), "{status}: {}", process.log());
    assert!(process.clock.now().since(told) < DRAIN + LITTLE);
    assert!(!process.directory.path().join("leasehold.sock").exists(), "its socket goes with it");
}

async fn p9_a_process_that_is_told_to_end_tells_its_watchers_and_ends(cloud: Cloud) {
    let mut process = Process::start(cloud).await;
    let watcher = Watcher::open(&process.client, &id("acme"), WatchMode::Hold).await;
    process.client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await.unwrap();
    assert_ends_in_time(&mut process, watcher).await;
}

async fn p9_nobody_keeps_a_process_from_ending(cloud: Cloud) {
    let mut process = Process::start(cloud).await;
    let watcher = Watcher::open(&process.client, &id("acme"), WatchMode::Hold).await;
    let client = client_of(&process.endpoint, &process.clock);
    client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await.unwrap();
    // Whoever connects and says nothing; whoever waits for a cloud that says nothing.
    let _mute = UnixStream::connect(process.directory.path().join("leasehold.sock")).await.unwrap();
    let control = process.cloud.control();
    let about = process.estate.about("acme");
    control.inject(FaultSpec { matching: about.clone(), effect: FaultEffect::Drop, count: None });
    control.clear_calls();
    let waiting = tokio::spawn(async move {
        client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await.map(|_| ())
    });
    soon(control.wait_for_calls(&CallQuery { matching: about, ..CallQuery::default() }, 1)).await;
    assert_ends_in_time(&mut process, watcher).await;
    match soon(waiting).await.unwrap() {
        Err(ClientError::Refused(refusal)) => {
            assert!(refusal.is_passing() && !refusal.is_denial(), "{refusal}");
        }
        other => panic!("{other:?}"),
    }
}

on_every_cloud!(
    p9_a_process_that_is_told_to_end_tells_its_watchers_and_ends,
    p9_nobody_keeps_a_process_from_ending,
);
