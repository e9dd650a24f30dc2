//! A disk that fails at any write of any change leaves the old record, and serves on when it works again.
//!
//! A write that would make a file longer than it may be fails if the process is prepared for that; see [`crate::each_write`]
//! for what happens if it is not. The limit is of a whole process, so one of its own (see [`fail_at_each_write`]) does this.

use std::process::Command;

use leasehold_registry::SqliteError;
use leasehold_tenant::{Registry, RegistryError};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::each_write::cuts;
use crate::file::File;
use crate::records::{activated, id, tenant, with_binding};

/// How the process is told the directory of its file.
const DIRECTORY: &str = "LEASEHOLD_TEST_FAILING_DISK";

/// How long files may become, from now on.
fn limit(room: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: room.or(maximum), maximum }).unwrap();
}

/// Not a test by itself: what the process does whose writes fail, and only if it was started for that.
#[tokio::test]
async fn fail_at_each_write() {
    let Some(file) = std::env::var_os(DIRECTORY).map(File::at) else { return };
    // Handled, the signal ends nothing, and the write fails.
    let _handled = signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).unwrap();
    let before = with_binding(activated(with_binding(tenant("acme"), "first"), "first"), "second");
    let after = activated(before.clone(), "second");
    file.open().await.unwrap().create(before.clone()).await.unwrap();
    let mut failures = 0;
    for room in cuts() {
        // With a log of its own each time.
        let registry = file.open().await.unwrap();
        limit(Some(room));
        let made = registry.replace(after.clone(), before.revision).await;
        let read = registry.tenant(&id("acme")).await.unwrap();
        limit(None);
        if failed(made) {
            assert_eq!(*read, before, "at {room} bytes; it is read on meanwhile");
            failures += 1;
            // Whatever comes next finds a disk that works.
            registry.create(tenant(&format!("next-{failures}"))).await.unwrap();
            registry.close().await;
            continue;
        }
        assert_eq!(*read, after);
        registry.close().await;
        break;
    }
    assert!(failures > 20, "it failed {failures} times");
    let registry = file.open().await.unwrap();
    assert_eq!(*registry.tenant(&id("acme")).await.unwrap(), after);
    assert_eq!(registry.history(&id("acme"), 0).await.unwrap().len(), 2);
}

/// Whether the disk failed; nothing else may.
fn failed(made: Result<(), RegistryError>) -> bool {
    let Err(error) = made else { return false };
    match &error {
        RegistryError::Unavailable(why) => {
            let why = why.downcast_ref::<SqliteError>().unwrap();
            assert!(matches!(why, SqliteError::Disk { .. }), "{why}");
        }
        other => panic!("{other}"),
    }
    true
}

#[test]
fn p5_a_disk_that_fails_at_any_write_of_a_change_leaves_the_old_record() {
    let file = File::new();
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "failing_disk::fail_at_each_write"])
        .env(DIRECTORY, file.directory())
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
}
