//! A disk that does as it is told, under a real process. No file system can be made read-only while somebody writes to it, and
//! none fails to order; see `disk.c`.

use std::path::{Path, PathBuf};
use std::process::Command;

use leasehold_api::v1::{self, ErrorReason};
use leasehold_client::KeyLength;
use tonic::Code;

use crate::cloud::Cloud;
use crate::journal::Journal;
use crate::served::Process;
use crate::world::{Tenants, context, eventually, id, refused};

/// A directory, and how it fails.
struct Disk {
    directory: tempfile::TempDir,
}

/// How a disk fails.
#[derive(Clone, Copy)]
enum Failure {
    ReadOnly,
    SyncFails,
    SyncHangs,
}

impl Disk {
    fn new() -> Self {
        let disk = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::create_dir(disk.path()).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/durability/disk.c");
        let mut compile = Command::new("cc");
        compile
            .args(["-Wall", "-Werror", "-shared", "-fPIC", "-o"])
            .arg(disk.library())
            .arg(source)
            .arg("-ldl");
        assert!(compile.status().unwrap().success());
        disk
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    fn library(&self) -> PathBuf {
        self.directory.path().join("disk.so")
    }

    /// Starts what follows with this disk.
    fn launcher(&self) -> Vec<String> {
        let preload = format!("LD_PRELOAD={}", self.library().display());
        vec!["env".to_owned(), preload, format!("TEST_DISK={}", self.path().display())]
    }

    fn switch(&self, failure: Failure) -> PathBuf {
        self.path().with_extension(match failure {
            Failure::ReadOnly => "read-only",
            Failure::SyncFails => "sync-fails",
            Failure::SyncHangs => "sync-hangs",
        })
    }

    fn fail(&self, failure: Failure) {
        std::fs::write(self.switch(failure), "").unwrap();
    }

    fn mend(&self, failure: Failure) {
        std::fs::remove_file(self.switch(failure)).unwrap();
    }
}

/// A process that records on `disk`, and the journal.
async fn recording(disk: &Disk, durability: &str) -> (Process, Journal) {
    let directory = disk.path().join("audit");
    let settings = [
        ("LEASEHOLD__AUDIT__DIRECTORY", directory.display().to_string()),
        ("LEASEHOLD__AUDIT__DURABILITY", durability.to_owned()),
    ];
    (Process::within(disk.launcher(), Cloud::Aws, &settings).await, Journal(directory))
}

/// Unwraps are refused while the disk fails in this way, and served when it works again; then the journal says `why`.
async fn refuses_meanwhile(disk: &Disk, process: &Process, journal: &Journal, failure: Failure, why: &str) {
    let (client, acme, main) = (&process.client, id("acme"), context("main"));
    let made = client.generate_data_key(&acme, KeyLength::B32, &main).await.unwrap().value;
    disk.fail(failure);
    for _ in 0..3 {
        let refusal = client.unwrap_key(&acme, &made.wrapped, &main).await;
        refused(refusal, Code::Unavailable, ErrorReason::AuditUnavailable);
    }
    disk.mend(failure);
    let again = eventually(async || client.unwrap_key(&acme, &made.wrapped, &main).await.ok()).await;
    assert!(again.value.matches(&made.key));
    let gap = journal.entries("gap").pop().unwrap();
    assert!(gap["lost_served"].as_u64() >= Some(3) && gap["error"].as_str().unwrap().contains(why), "{gap}");
    let report = journal.verify();
    assert!(report.is_intact(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_disk_that_becomes_read_only_refuses_what_it_cannot_record_until_it_is_writable() {
    let disk = Disk::new();
    let (process, journal) = recording(&disk, "written").await;
    refuses_meanwhile(&disk, &process, &journal, Failure::ReadOnly, "Read-only file system").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_disk_that_fails_to_sync_refuses_what_was_to_be_synced() {
    let disk = Disk::new();
    let (process, journal) = recording(&disk, "synced").await;
    refuses_meanwhile(&disk, &process, &journal, Failure::SyncFails, "Input/output error").await;
    let disk = Disk::new();
    let (process, _) = recording(&disk, "written").await;
    disk.fail(Failure::SyncFails);
    let (acme, main) = (id("acme"), context("main"));
    process.client.generate_data_key(&acme, KeyLength::B32, &main).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_journal_whose_name_the_disk_may_lose_is_not_begun() {
    // What a crash of the machine could take away: the name of the directory, and that of the first file in it.
    for is_there in [false, true] {
        let disk = Disk::new();
        let directory = disk.path().join("audit");
        if is_there {
            std::fs::create_dir(&directory).unwrap();
        }
        disk.fail(Failure::SyncFails);
        let key = disk.directory.path().join("signing.pem");
        let settings = [
            ("LEASEHOLD__AUDIT__DIRECTORY", directory.display().to_string()),
            ("LEASEHOLD__AUDIT__SIGNING_KEY", key.display().to_string()),
            ("LEASEHOLD__PROVIDERS__AWS__REGION", "eu-central-1".to_owned()),
        ];
        let (status, log) = Process::refused(disk.launcher(), &settings).await;
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains("the audit journal") && log.contains("Input/output error"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_file_that_cannot_be_begun_leaves_nothing_behind() {
    let disk = Disk::new();
    let (process, journal) = recording(&disk, "written").await;
    let (client, acme, main) = (&process.client, id("acme"), context("main"));
    let made = client.generate_data_key(&acme, KeyLength::B32, &main).await.unwrap().value;
    // The file is moved away, and the directory that another one is made in cannot be synced.
    disk.fail(Failure::SyncFails);
    for file in journal.files() {
        std::fs::remove_file(file).unwrap();
    }
    for _ in 0..20 {
        let refusal = client.unwrap_key(&acme, &made.wrapped, &main).await;
        refused(refusal, Code::Unavailable, ErrorReason::AuditUnavailable);
        // One that is tried, and taken away again.
        assert!(journal.files().len() <= 1);
    }
    eventually(async || journal.files().is_empty().then_some(())).await;
    disk.mend(Failure::SyncFails);
    eventually(async || client.unwrap_key(&acme, &made.wrapped, &main).await.ok()).await;
    assert_eq!(journal.files().len(), 1);
    assert_eq!(journal.entries("file")[0]["why"], "interference");
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_synced_answer_waits_until_the_disk_has_its_record() {
    let disk = Disk::new();
    let (process, journal) = recording(&disk, "synced").await;
    let (client, acme, main) = (process.client.clone(), id("acme"), context("main"));
    let made = client.generate_data_key(&acme, KeyLength::B32, &main).await.unwrap().value;
    let unwraps = || {
        let records = journal.text();
        records
            .lines()
            .filter(|line| line.contains("\"operation\":\"UnwrapKey\",\"outcome\":\"served\""))
            .count()
    };
    assert_eq!(unwraps(), 0);
    disk.fail(Failure::SyncHangs);
    let wrapped = made.wrapped.clone();
    let asked = tokio::spawn(async move { client.unwrap_key(&acme, &wrapped, &main).await });
    eventually(async || (unwraps() > 0).then_some(())).await;
    let answered = asked.is_finished();
    disk.mend(Failure::SyncHangs);
    match asked.await.unwrap() {
        Ok(answer) => {
            assert!(!answered && answer.value.matches(&made.key), "it was written, and not synced yet")
        }
        // The machine is so busy that the journal's deadline passed.
        refusal => drop(refused(refusal, Code::Unavailable, ErrorReason::AuditUnavailable)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_p9_a_registry_on_a_disk_that_becomes_read_only_is_read_on_and_changed_again_later() {
    let disk = Disk::new();
    let setting = ("LEASEHOLD__REGISTRY__PATH", disk.path().join("registry.db").display().to_string());
    let mut process = Process::within(disk.launcher(), Cloud::Aws, &[setting]).await;
    let client = process.client.clone();
    let (acme, main) = (id("acme"), context("main"));
    let made = client.generate_data_key(&acme, KeyLength::B32, &main).await.unwrap().value;
    let create = async |tenant: &str| {
        let create = v1::CreateTenantRequest {
            tenant_id: tenant.to_owned(),
            tenant: Some(v1::Tenant::default()),
            validate_only: false,
        };
        client.tenants(create, |mut t: Tenants, q| async move { t.create_tenant(q).await }).await
    };
    let listed = async || {
        let list = v1::ListTenantsRequest::default();
        let listed = client.tenants(list, |mut t: Tenants, q| async move { t.list_tenants(q).await }).await;
        listed.unwrap().tenants.into_iter().map(|tenant| tenant.name).collect::<Vec<_>>()
    };
    disk.fail(Failure::ReadOnly);
    for _ in 0..3 {
        refused(create("lost").await, Code::Unavailable, ErrorReason::RegistryUnavailable);
        assert_eq!(listed().await, ["tenants/acme"], "it is read on");
    }
    let again = client.unwrap_key(&acme, &made.wrapped, &main).await.unwrap();
    assert!(again.value.matches(&made.key));
    disk.mend(Failure::ReadOnly);
    eventually(async || create("later").await.ok()).await;
    process.kill_and_restart().await;
    assert_eq!(listed().await, ["tenants/acme", "tenants/later"]);
}
