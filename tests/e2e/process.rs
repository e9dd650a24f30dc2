//! The real binary as a process: stopped, told to end, and looked into.

use std::time::Duration;

use leasehold_api::v1::{ErrorReason, LeaseState, WatchMode};
use leasehold_client::{ClientError, KeyLength, PlaintextKey, Refusal};
use leasehold_clock::TimeSource;
use tonic::Code;

use crate::cloud::{Cloud, on_every_cloud};
use crate::served::{DRAIN, Process, serve};
use crate::watcher::Watcher;
use crate::world::{BOUND, PATIENCE, client_of, context, eventually, id};

async fn p1_a_process_that_was_stopped_past_the_bound_serves_nothing_from_before(cloud: Cloud) {
    let process = Process::start(cloud).await;
    let client = &process.client;
    let made = client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await.unwrap().value;
    client.unwrap_key(&id("acme"), &made.wrapped, &context("main")).await.unwrap();
    let used = process.clock.now();

    process.signal("STOP");
    process.revoke_trust();
    // Requests that arrive while it is stopped are the first that it answers.
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let (client, wrapped) = (client.clone(), made.wrapped.clone());
            tokio::spawn(async move { client.unwrap_key(&id("acme"), &wrapped, &context("main")).await })
        })
        .collect();
    // Time itself is what is tested here, so it has to pass.
    process.clock.sleep_until(used + BOUND).await;
    assert!(waiting.iter().all(|task| !task.is_finished()));
    process.signal("CONT");
    for task in waiting {
        match task.await.unwrap() {
            Err(ClientError::Refused(refusal)) => assert!(is_refusal(&refusal), "{refusal}"),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("served from before"),
        }
    }
    let denied = eventually(async || {
        let asked = client.unwrap_key(&id("acme"), &made.wrapped, &context("main")).await;
        let Err(ClientError::Refused(refusal)) = asked else { panic!("served from before") };
        (refusal.reason() == Some(ErrorReason::BindingDenied)).then_some(refusal)
    });
    denied.await;
}

async fn p1_a_process_that_was_stopped_past_the_bound_proves_before_it_serves(cloud: Cloud) {
    let process = Process::start(cloud).await;
    let client = &process.client;
    let made = client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await.unwrap().value;
    client.unwrap_key(&id("acme"), &made.wrapped, &context("main")).await.unwrap();
    let used = process.clock.now();
    process.signal("STOP");
    process.clock.sleep_until(used + BOUND).await;
    let before = process.cloud.control().count_calls(&assumes(&process));
    process.signal("CONT");
    let again =
        eventually(async || match client.unwrap_key(&id("acme"), &made.wrapped, &context("main")).await {
            Ok(served) => Some(served),
            Err(ClientError::Refused(refusal)) if is_refusal(&refusal) => None,
            Err(other) => panic!("{other}"),
        })
        .await;
    assert!(again.value.matches(&made.key));
    assert!(process.cloud.control().count_calls(&assumes(&process)) > before, "freshly proven");
}

/// The lease is over, or the tenant said no.
fn is_refusal(refusal: &Refusal) -> bool {
    matches!(refusal.reason(), Some(ErrorReason::BindingDenied | ErrorReason::LeaseLapsed))
}

fn assumes(process: &Process) -> leasehold_cloudsim::log::CallQuery {
    leasehold_cloudsim::log::CallQuery { matching: process.estate.cloud().assumes(), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_told_to_end_drains_within_its_deadline() {
    let mut process = Process::start(Cloud::Aws).await;
    let mut watcher = Watcher::open(&process.client, &id("acme"), WatchMode::Hold).await;
    process.client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await.unwrap();
    watcher.until(LeaseState::Live).await;
    let told = process.clock.now();
    process.signal("TERM");
    let Some(ClientError::Refused(refusal)) = watcher.end().await else { panic!("the stream just ended") };
    assert_eq!((refusal.code(), refusal.reason()), (Code::Unavailable, Some(ErrorReason::ShuttingDown)));
    let status = process.ended().await;
    assert!(status.success(), "{status}: {}", process.log());
    // Some time for the process itself to end on a busy machine.
    assert!(process.clock.now().since(told) < DRAIN + Duration::from_secs(5));
    assert!(!process.directory.path().join("leasehold.sock").exists(), "its socket goes with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_has_files_read_again_and_ends_nothing() {
    let mut process = Process::start(Cloud::Aws).await;
    let mut watcher = Watcher::open(&process.client, &id("acme"), WatchMode::Hold).await;
    process.signal("HUP");
    watcher.renew().await;
    process.signal("TERM");
    assert!(process.ended().await.success(), "{}", process.log());
}

async fn p4_a_revoked_key_is_nowhere_in_the_memory_of_the_process(cloud: Cloud) {
    let process = Process::start(cloud).await;
    let mut watcher =
        Watcher::open(&client_of(&process.endpoint, &process.clock), &id("acme"), WatchMode::Hold).await;
    let carrier = client_of(&process.endpoint, &process.clock);
    let made = carrier.generate_data_key(&id("acme"), KeyLength::B64, &context("main")).await.unwrap().value;
    let own = PlaintextKey::generate(carrier.arena(), KeyLength::B64).unwrap();
    let copy = PlaintextKey::take(carrier.arena(), &mut own.expose().to_vec()).unwrap();
    carrier.wrap_key(&id("acme"), copy, &context("main")).await.unwrap();
    for _ in 0..50 {
        carrier.unwrap_key(&id("acme"), &made.wrapped, &context("main")).await.unwrap();
    }
    watcher.until(LeaseState::Live).await;
    // Something that is in its memory for certain, so that looking is known to find.
    assert!(!process.find(b"LEASEHOLD__LISTEN__UNIX").is_empty());

    process.revoke_trust();
    process.reprove().await;
    watcher.until(LeaseState::Denied).await;
    // `carrier` stays: that its connection closes is the service's affair.
    for (what, key) in [("generated and unwrapped", &made.key), ("wrapped", &own)] {
        // Connections close within moments; that they have is not announced.
        let gone = async || process.find(key.expose()).is_empty().then_some(());
        let left = tokio::time::timeout(PATIENCE / 2, eventually(gone)).await;
        assert!(left.is_ok(), "the key that was {what} is still at {:?}", process.find(key.expose()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_nothing_leaves_this_machine_in_the_clear() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let mut child = serve(
        &[
            ("LEASEHOLD__DEPLOYMENT", "e2e".to_owned()),
            ("LEASEHOLD__LISTEN__TCP", "[\"0.0.0.0:0\"]".to_owned()),
            ("LEASEHOLD__MEMORY__DANGER_ALLOW_UNLOCKED", "true".to_owned()),
            ("LEASEHOLD__PROVIDERS__AWS__REGION", "eu-central-1".to_owned()),
        ],
        &log,
    );
    let status = eventually(async || child.try_wait().unwrap()).await;
    let log = std::fs::read_to_string(&log).unwrap();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("0.0.0.0:0 is not a loopback address"), "{log}");
}

on_every_cloud!(
    p1_a_process_that_was_stopped_past_the_bound_serves_nothing_from_before,
    p1_a_process_that_was_stopped_past_the_bound_proves_before_it_serves,
    p4_a_revoked_key_is_nowhere_in_the_memory_of_the_process,
);
