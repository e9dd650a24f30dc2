//! Faults leave nothing behind in the process: no memory, no descriptors.

use std::time::Duration;

use futures::future::join_all;
use leasehold_client::KeyLength;
use leasehold_cloudsim::faults::{FaultEffect, FaultSpec};

use crate::cloud::{Cloud, on_every_cloud};
use crate::served::Process;
use crate::world::{client_of, context, eventually, id};

/// Calls at a time, more than a tenant has places for.
const CALLS: usize = 100;

/// Rounds of all faults after the first, which fills pools and allocators.
const ROUNDS: usize = 3;

/// What the pools of two hosts keep open for the next calls.
const POOLED: usize = 2 * 64;

/// What the process itself opens and closes: connections of callers, metadata, timers.
const OTHERS: usize = 16;

/// What allocators keep differs from round to round by some MiB.
const SLACK: usize = 16 << 20;

fn effects() -> [FaultEffect; 6] {
    let (code, message) = ("ServiceUnavailable".to_owned(), String::new());
    [
        FaultEffect::Drop,
        FaultEffect::DropAnswer,
        FaultEffect::Reset,
        FaultEffect::Truncate,
        FaultEffect::Corrupt,
        FaultEffect::Error { status: 503, code, message },
    ]
}

/// Many calls into each fault.
async fn round(process: &Process) {
    let control = process.cloud.control();
    for effect in effects() {
        let client = client_of(&process.endpoint, &process.clock);
        let fault = FaultSpec { matching: process.estate.about("acme"), effect, count: None };
        let fault = control.inject(fault);
        let (tenant, main) = (id("acme"), context("main"));
        let calls = (0..CALLS).map(|_| client.generate_data_key(&tenant, KeyLength::B32, &main));
        assert!(join_all(calls).await.iter().all(Result::is_err));
        control.clear_fault(fault).unwrap();
    }
    let client = client_of(&process.endpoint, &process.clock);
    let again = async || client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await.ok();
    tokio::time::timeout(Duration::from_secs(90), async {
        eventually(again).await;
    })
    .await
    .unwrap();
}

async fn p9_faults_leave_neither_memory_nor_descriptors_behind(cloud: Cloud) {
    let process = Process::start(cloud).await;
    let before = process.descriptors();
    round(&process).await;
    let memory = process.resident();
    for _ in 0..ROUNDS {
        round(&process).await;
    }
    let settled = async || (process.descriptors() <= before + POOLED + OTHERS).then_some(());
    eventually(settled).await;
    let now = process.resident();
    assert!(now < memory + SLACK, "{} MiB became {} MiB", memory >> 20, now >> 20);
}

on_every_cloud!(p9_faults_leave_neither_memory_nor_descriptors_behind);
