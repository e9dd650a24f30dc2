//! Tenants outlive the process.

use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use leasehold_client::KeyLength;

use crate::cloud::{Cloud, on_every_cloud};
use crate::served::Process;
use crate::world::{context, eventually, id};

/// A process whose tenants are kept in a file, which is in a directory that is made for it.
async fn keeping(cloud: Cloud) -> (Process, PathBuf, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state/registry.db");
    let setting = ("LEASEHOLD__REGISTRY__PATH", file.display().to_string());
    (Process::with(cloud, "info", &[setting]).await, file, directory)
}

async fn p5_tenants_and_what_was_wrapped_for_them_outlive_kill_9(cloud: Cloud) {
    let (mut process, file, _directory) = keeping(cloud).await;
    let client = process.client.clone();
    let made = client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await.unwrap().value;
    process.kill_and_restart().await;
    let again = client.unwrap_key(&id("acme"), &made.wrapped, &context("main")).await;
    let again = again.unwrap_or_else(|error| panic!("{error}: {}", process.log()));
    assert!(again.value.matches(&made.key));
    client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await.unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_drained_leaves_one_file_and_a_later_releases_is_refused() {
    let (mut process, file, _directory) = keeping(Cloud::Aws).await;
    process.signal("TERM");
    assert!(process.ended().await.success(), "{}", process.log());
    assert_eq!(files_beside(&file), std::slice::from_ref(&file));

    // The schema of a release to come (https://www.sqlite.org/fileformat.html#user_version_number).
    let kept = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
    kept.write_all_at(&99_u32.to_be_bytes(), 60).unwrap();
    let before = std::fs::read(&file).unwrap();
    process.restart();
    let status = process.ended().await;
    assert_eq!(status.code(), Some(1), "{}", process.log());
    let says = "a later release of Leasehold wrote the registry";
    eventually(async || process.log().contains(says).then_some(())).await;
    assert_eq!(std::fs::read(&file).unwrap(), before, "it is left as it is");
}

fn files_beside(file: &Path) -> Vec<PathBuf> {
    let directory = std::fs::read_dir(file.parent().unwrap()).unwrap();
    directory.map(|entry| entry.unwrap().path()).collect()
}

on_every_cloud!(p5_tenants_and_what_was_wrapped_for_them_outlive_kill_9);
