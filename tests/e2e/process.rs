//! The real binary as a process. What is done to it from outside is in `faults`, and what is seen in it in `memory`.

use std::io::Write;
use std::process::Command;

use leasehold_api::v1::WatchMode;

use crate::cloud::Cloud;
use crate::served::{Process, serve};
use crate::watcher::Watcher;
use crate::world::{eventually, id};

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_has_files_read_again_and_ends_nothing() {
    let mut process = Process::start(Cloud::Aws).await;
    let mut watcher = Watcher::open(&process.client, &id("acme"), WatchMode::Hold).await;
    process.signal("HUP");
    watcher.renew().await;
    process.signal("TERM");
    assert!(process.ended().await.success(), "{}", process.log());
}

/// Whether a process handles SIGHUP rather than end by it.
fn handles_hangups(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
    u64::from_str_radix(caught, 16).unwrap() & 1 == 1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_while_it_starts_ends_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (log, file) = (directory.path().join("log"), directory.path().join("leasehold.toml"));
    let socket = directory.path().join("socket");
    let toml = format!("deployment = 'e2e'\nlisten = {{ tcp = [], unix = [{socket:?}] }}\n");
    // A start takes as long as it takes to read the configuration, which comes through a pipe.
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    let settings = [
        ("LEASEHOLD_CONFIG", file.display().to_string()),
        ("LEASEHOLD__MEMORY__DANGER_ALLOW_UNLOCKED", "true".to_owned()),
        ("LEASEHOLD__PROVIDERS__AWS__REGION", "eu-central-1".to_owned()),
    ];
    let mut child = serve(&settings, &log);
    eventually(async || handles_hangups(child.id()).then_some(())).await;
    let signal = |name: &str| {
        let (kill, process) = (format!("kill -{name} \"$0\""), child.id().to_string());
        assert!(Command::new("sh").args(["-c", &kill, &process]).status().unwrap().success());
    };
    signal("HUP");
    let mut pipe = tokio::task::spawn_blocking({
        let file = file.clone();
        move || std::fs::File::create(file).unwrap()
    })
    .await
    .unwrap();
    // It is read again later.
    std::fs::write(directory.path().join("new"), &toml).unwrap();
    std::fs::rename(directory.path().join("new"), &file).unwrap();
    pipe.write_all(toml.as_bytes()).unwrap();
    drop(pipe);
    eventually(async || tokio::net::UnixStream::connect(&socket).await.ok()).await;
    signal("TERM");
    let status = eventually(async || child.try_wait().unwrap()).await;
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(status.success(), "{status}: {log}");
    // Whether it can be had is up to the machine, and is said either way.
    assert_eq!(log.matches("restored snapshot").count(), 1, "{log}");
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
