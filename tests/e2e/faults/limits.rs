//! The process runs out of something on its own machine: room on a disk, the right to write there, descriptors.

use std::path::{Path, PathBuf};
use std::time::Duration;

use leasehold_api::v1::{self, ErrorReason, LeaseState, WatchMode};
use leasehold_client::{ClientError, KeyLength};
use leasehold_clock::TimeSource;
use tokio::net::UnixStream;
use tonic::Code;

use crate::cloud::{Cloud, on_every_cloud};
use crate::journal::Journal;
use crate::served::Process;
use crate::watcher::Watcher;
use crate::world::{client_of, context, eventually, id, refused, soon};

/// Starts what follows with a small disk of its own at `at`, which nobody else sees but through the process's root.
fn with_a_disk(at: &Path, options: &str) -> Vec<String> {
    let mount = format!("mount -t tmpfs -o {options} tmpfs \"$0\" && exec \"$@\"");
    ["unshare", "--map-root-user", "--mount", "sh", "-c", &mount, &at.display().to_string()]
        .map(str::to_owned)
        .into()
}

/// Fills the disk at `at` to its last byte; what it was filled with.
fn fill(process: &Process, at: &Path) -> PathBuf {
    let ballast = process.root().join(at.strip_prefix("/").unwrap()).join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    let full = std::io::copy(&mut std::io::repeat(0), &mut file).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    ballast
}

async fn p7_what_a_full_disk_cannot_record_is_refused_until_there_is_room(cloud: Cloud) {
    let disk = tempfile::tempdir().unwrap();
    let audit = ("LEASEHOLD__AUDIT__DIRECTORY", disk.path().join("audit").display().to_string());
    let admin = ("LEASEHOLD__ADMIN__ADDRESSES", "[\"127.0.0.1:0\"]".to_owned());
    let process = Process::within(with_a_disk(disk.path(), "size=1m"), cloud, &[audit, admin]).await;
    assert_eq!(process.admin("/readyz").await, (200, "serving: ok\naudit: ok\n".to_owned()));
    let client = &process.client;
    let mut watcher =
        Watcher::open(&client_of(&process.endpoint, &process.clock), &id("acme"), WatchMode::Hold).await;
    let made = client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await.unwrap().value;
    watcher.until(LeaseState::Live).await;

    let ballast = fill(&process, disk.path());
    let unwrap = async || client.unwrap_key(&id("acme"), &made.wrapped, &context("main")).await;
    // The last page of the file may have room for some records still.
    let first = eventually(async || unwrap().await.map(|_| ()).err()).await;
    refused(Err::<(), _>(first), Code::Unavailable, ErrorReason::AuditUnavailable);
    for _ in 0..20 {
        refused(unwrap().await, Code::Unavailable, ErrorReason::AuditUnavailable);
    }
    assert_eq!(watcher.renew().await.state, LeaseState::Live, "the tenant's cloud said nothing");
    // It is sent no requests meanwhile, and is not restarted: that would not make room.
    let says = "serving: ok\naudit: decisions cannot be recorded, and what cannot be recorded is refused\n";
    assert_eq!(process.admin("/readyz").await, (503, says.to_owned()));
    assert_eq!(process.admin("/livez").await, (200, "ok\n".to_owned()));

    std::fs::remove_file(ballast).unwrap();
    assert!(eventually(async || unwrap().await.ok()).await.value.matches(&made.key));
    eventually(async || (process.admin("/readyz").await.0 == 200).then_some(())).await;
    let journal = Journal(process.root().join(disk.path().join("audit").strip_prefix("/").unwrap()));
    assert!(journal.verify().is_intact(), "{:?}", journal.verify());
    let lost: u64 = journal.entries("gap").iter().map(|gap| gap["lost_served"].as_u64().unwrap()).sum();
    assert!(lost >= 20, "what was refused meanwhile is counted: {lost}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_p9_a_full_disk_refuses_changes_to_tenants_and_serves_keys_all_the_same() {
    let disk = tempfile::tempdir().unwrap();
    let registry = ("LEASEHOLD__REGISTRY__PATH", disk.path().join("registry.db").display().to_string());
    let process = Process::within(with_a_disk(disk.path(), "size=4m"), Cloud::Aws, &[registry]).await;
    let client = &process.client;
    let made = client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await.unwrap().value;
    let ballast = fill(&process, disk.path());
    let mut tenants = 0;
    let mut create = async || {
        tenants += 1;
        let tenant_id = format!("tenant-{tenants}");
        let create =
            v1::CreateTenantRequest { tenant_id, tenant: Some(v1::Tenant::default()), validate_only: false };
        client.tenants(create, |mut t, q| async move { t.create_tenant(q).await }).await
    };
    // What the file already has of pages takes some more.
    let refusal = eventually(async || create().await.err()).await;
    refused(Err::<(), _>(refusal), Code::Unavailable, ErrorReason::RegistryUnavailable);
    let again = client.unwrap_key(&id("acme"), &made.wrapped, &context("main")).await.unwrap();
    assert!(again.value.matches(&made.key));

    std::fs::remove_file(ballast).unwrap();
    eventually(async || create().await.ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_process_does_not_start_where_it_cannot_write() {
    let disk = tempfile::tempdir().unwrap();
    for (setting, file) in
        [("LEASEHOLD__AUDIT__DIRECTORY", "audit"), ("LEASEHOLD__REGISTRY__PATH", "registry.db")]
    {
        let path = disk.path().join(file).display().to_string();
        let cloud = ("LEASEHOLD__PROVIDERS__AWS__REGION", "eu-central-1".to_owned());
        let (status, log) = Process::refused(with_a_disk(disk.path(), "ro"), &[(setting, path), cloud]).await;
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.to_lowercase().contains("read-only") || log.contains("readonly"), "{log}");
    }
}

/// Descriptors that the process has: enough for itself and some connections.
const DESCRIPTORS: usize = 64;

async fn p9_a_process_without_descriptors_accepts_again_when_it_has_some(cloud: Cloud) {
    let limit = ["prlimit".to_owned(), format!("--nofile={DESCRIPTORS}:{DESCRIPTORS}")];
    let process = Process::within(limit.into(), cloud, &[]).await;
    let client = &process.client;
    let mut watcher =
        Watcher::open(&client_of(&process.endpoint, &process.clock), &id("acme"), WatchMode::Hold).await;
    let made = client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await.unwrap().value;
    client.unwrap_key(&id("acme"), &made.wrapped, &context("main")).await.unwrap();
    watcher.until(LeaseState::Live).await;

    let socket = process.directory.path().join("leasehold.sock");
    let mut idle = Vec::new();
    for _ in 0..DESCRIPTORS {
        idle.push(soon(UnixStream::connect(&socket)).await.unwrap());
    }
    eventually(async || process.log().contains("a connection cannot be accepted").then_some(())).await;
    let warned = process.clock.now();
    let again = client.unwrap_key(&id("acme"), &made.wrapped, &context("main")).await.unwrap();
    assert!(again.value.matches(&made.key), "who is connected is served what needs no descriptor");
    match client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await {
        Ok(_) => {}
        Err(ClientError::Refused(refusal)) => {
            assert!(refusal.is_passing() && !refusal.is_denial(), "{refusal}");
        }
        Err(other) => panic!("{other}"),
    }
    // It says so now and then rather than as fast as it can.
    process.clock.sleep(Duration::from_secs(2)).await;
    let said = process.log().matches("a connection cannot be accepted").count();
    let most = 2 + usize::try_from(process.clock.now().since(warned).as_millis()).unwrap() / 50;
    assert!(said <= most, "{said} warnings where there may be {most}");

    drop(idle);
    let late = client_of(&process.endpoint, &process.clock);
    let again = async || late.unwrap_key(&id("acme"), &made.wrapped, &context("main")).await.ok();
    assert!(eventually(again).await.value.matches(&made.key));
    assert_ne!(watcher.renew().await.state, LeaseState::Denied);
}

on_every_cloud!(
    p7_what_a_full_disk_cannot_record_is_refused_until_there_is_room,
    p9_a_process_without_descriptors_accepts_again_when_it_has_some,
);
