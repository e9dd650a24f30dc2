//! Tenants outlive the process.

mod disk;

use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use leasehold_api::v1::{self, ErrorReason};
use leasehold_client::{Client, ClientError, KeyLength};
use leasehold_cloudsim::log::CallQuery;

use crate::cloud::{Cloud, on_every_cloud};
use crate::served::Process;
use crate::world::{Tenants, activate, context, create_binding, eventually, id, soon};

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
async fn p5_kill_9_at_any_call_of_an_activation_leaves_it_made_or_not() {
    let (mut process, _file, _directory) = keeping(Cloud::Aws).await;
    let (client, control) = (process.client.clone(), process.cloud.control());
    let query = CallQuery { matching: process.estate.about("acme"), ..CallQuery::default() };
    for calls in 1.. {
        let (before, name) = (active(&client).await, format!("b{calls}"));
        let created = create_binding(&client, "acme", &name, process.estate.binding("acme")).await.unwrap();
        process.estate.let_in("acme", &created.external_id);
        control.clear_calls();
        let mut activation = tokio::spawn({
            let (client, name) = (client.clone(), name.clone());
            async move { activate(&client, "acme", &name).await }
        });
        let came_through = tokio::select! {
            _ = soon(control.wait_for_calls(&query, calls)) => false,
            activated = &mut activation => activated.unwrap().is_ok(),
        };
        process.kill();
        // It would be tried again.
        activation.abort();
        process.restart();
        process.wait_until_ready().await;

        let after = active(&client).await;
        assert!(after == name || after == before && !came_through, "{after} in place of {before}");
        if after == before {
            activate(&client, "acme", &name).await.unwrap();
        }
        if came_through {
            assert!(calls > 3, "it was killed {calls} times");
            return;
        }
    }
}

/// The one binding of the tenant that is ACTIVE.
async fn active(client: &Client) -> String {
    let list = v1::ListBindingsRequest { parent: "tenants/acme".into(), ..Default::default() };
    let listed = client.tenants(list, |mut t: Tenants, q| async move { t.list_bindings(q).await }).await;
    let active = |binding: &v1::Binding| binding.state() == v1::BindingState::Active;
    match &listed.unwrap().bindings.into_iter().filter(active).collect::<Vec<_>>()[..] {
        [binding] => binding.name.rsplit('/').next().unwrap().to_owned(),
        several => panic!("{} are ACTIVE", several.len()),
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn p5_a_lost_registry_is_rebuilt_from_an_export_that_was_made_while_it_was_in_use() {
    let (mut process, file, directory) = keeping(Cloud::Aws).await;
    let client = process.client.clone();
    let made = client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await.unwrap().value;
    let export = directory.path().join("tenants.yaml");
    let export = export.to_str().unwrap();
    process.command(&["registry", "export", "--file", export]);

    process.kill();
    std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
    process.command(&["registry", "import", "--file", export, "--validate-only"]);
    assert!(!file.exists(), "only asking makes no file");
    let imported = process.command(&["registry", "import", "--file", export, "--json"]);
    assert_eq!(imported.trim(), r#"{"created":1,"overwritten":0,"unchanged":0}"#);
    process.restart();
    process.wait_until_ready().await;
    let again = client.unwrap_key(&id("acme"), &made.wrapped, &context("main")).await;
    assert!(again.unwrap_or_else(|error| panic!("{error}: {}", process.log())).value.matches(&made.key));
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_what_is_imported_while_the_service_runs_is_in_force_in_moments() {
    let (process, _file, directory) = keeping(Cloud::Aws).await;
    let client = process.client.clone();
    let made = client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await.unwrap().value;
    let edited = process.command(&["registry", "export"]).replacen("state: ACTIVE", "state: SUSPENDED", 1);
    let path = directory.path().join("edited.yaml");
    std::fs::write(&path, edited).unwrap();
    process.command(&["registry", "import", "--overwrite", "--file", path.to_str().unwrap()]);
    // The service looks for changes every second; a record is read again unasked only after a minute.
    eventually(async || {
        let asked = client.unwrap_key(&id("acme"), &made.wrapped, &context("main")).await;
        let Err(ClientError::Refused(refusal)) = asked else { return None };
        (refusal.reason() == Some(ErrorReason::TenantSuspended)).then_some(())
    })
    .await;
    let told = process.command(&["registry", "history", "acme"]);
    let told: Vec<_> = told.lines().map(|line| line.split("  ").last().unwrap()).collect();
    assert_eq!(told, ["created", "binding main created, PENDING", "binding main ACTIVE", "SUSPENDED"]);
}

fn files_beside(file: &Path) -> Vec<PathBuf> {
    let directory = std::fs::read_dir(file.parent().unwrap()).unwrap();
    directory.map(|entry| entry.unwrap().path()).collect()
}

on_every_cloud!(p5_tenants_and_what_was_wrapped_for_them_outlive_kill_9);
