//! The process is stopped for longer than any lease, as a suspended machine is, and goes on.
//!
//! Time itself is what is tested here, so it has to pass: the bound from when it was stopped, before which any proof began.

use leasehold_api::v1::ErrorReason;
use leasehold_client::{ClientError, KeyLength, Refusal};
use leasehold_clock::TimeSource;
use leasehold_cloudsim::faults::{FaultEffect, FaultSpec};

use crate::cloud::{Cloud, on_every_cloud};
use crate::served::Process;
use crate::world::{BOUND, context, eventually, id};

async fn p1_a_process_that_was_stopped_past_the_bound_serves_nothing_from_before(cloud: Cloud) {
    let process = Process::start(cloud).await;
    let client = &process.client;
    let made = client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await.unwrap().value;
    client.unwrap_key(&id("acme"), &made.wrapped, &context("main")).await.unwrap();

    process.stop().await;
    let stopped = process.clock.now();
    process.revoke_trust();
    // Requests that arrive while it is stopped are the first that it answers.
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let (client, wrapped) = (client.clone(), made.wrapped.clone());
            tokio::spawn(async move { client.unwrap_key(&id("acme"), &wrapped, &context("main")).await })
        })
        .collect();
    process.clock.sleep_until(stopped + BOUND).await;
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
    process.stop().await;
    let stopped = process.clock.now();
    process.clock.sleep_until(stopped + BOUND).await;
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

async fn p1_p3_a_process_that_wakes_up_in_an_outage_serves_nothing_from_before(cloud: Cloud) {
    let process = Process::start(cloud).await;
    let client = &process.client;
    let made = client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await.unwrap().value;
    client.unwrap_key(&id("acme"), &made.wrapped, &context("main")).await.unwrap();
    process.stop().await;
    let stopped = process.clock.now();
    let silence =
        FaultSpec { matching: process.estate.about("acme"), effect: FaultEffect::Drop, count: None };
    let silence = process.cloud.control().inject(silence);
    process.clock.sleep_until(stopped + BOUND).await;
    process.signal("CONT");
    match client.unwrap_key(&id("acme"), &made.wrapped, &context("main")).await {
        Err(ClientError::Refused(refusal)) => {
            assert!(refusal.is_passing() && !refusal.is_denial(), "{refusal}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("served from before"),
    }
    process.cloud.control().clear_fault(silence).unwrap();
    let again = async || client.unwrap_key(&id("acme"), &made.wrapped, &context("main")).await.ok();
    assert!(eventually(again).await.value.matches(&made.key));
}

/// The lease is over, or the tenant said no.
fn is_refusal(refusal: &Refusal) -> bool {
    matches!(refusal.reason(), Some(ErrorReason::BindingDenied | ErrorReason::LeaseLapsed))
}

fn assumes(process: &Process) -> leasehold_cloudsim::log::CallQuery {
    leasehold_cloudsim::log::CallQuery { matching: process.estate.cloud().assumes(), ..Default::default() }
}

on_every_cloud!(
    p1_a_process_that_was_stopped_past_the_bound_serves_nothing_from_before,
    p1_a_process_that_was_stopped_past_the_bound_proves_before_it_serves,
    p1_p3_a_process_that_wakes_up_in_an_outage_serves_nothing_from_before,
);
