//! kill -9 at any point of any change leaves the old record or the new one, and all that was acknowledged.
//!
//! A process (this test's own binary, see [`write_until_killed`]) changes tenants as fast as it can and says after each
//! change that it was acknowledged. It is killed at a random moment; then the file must be sound and have every
//! acknowledged change, and at most the one change more that was under way. [`crate::each_write`] chooses the moments.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use leasehold_registry::SqliteRegistry;
use leasehold_tenant::{HISTORY_PAGE, MAX_BINDINGS, Registry, Tenant};
use rand::Rng;
use sqlx::{Connection, query_scalar};

use crate::file::File;
use crate::records::{activated, id, now, tenant, with_binding};

/// How many files are written to, and how often a process that does so is killed.
const FILES: usize = 8;
const KILLS: usize = 8;

/// The longest time until a process is killed: counted from its start for the first of a file, which is to make the file, and
/// from the first acknowledged change for the others. It takes some 20 ms to start, and about 1 ms for a change.
const LONGEST: Duration = Duration::from_millis(40);

/// How long a process may take until its first change, on however busy a machine.
const PATIENCE: u32 = 30_000;

/// How the process that is to be killed is told the directory of its file.
const DIRECTORY: &str = "LEASEHOLD_TEST_KILLED";

/// The tenants that are changed, in turn.
const TENANTS: [&str; 3] = ["a", "b", "c"];

/// Changes until the file is closed and opened again, which moves the log into it. Not a multiple of the number of tenants, so
/// that each of them is the last at times.
const OPEN_FOR: usize = 7;

/// The record that comes after `before`, whoever works it out: every kind of change has its turn.
fn next(before: Option<Tenant>, name: &str) -> Tenant {
    let Some(before) = before else { return tenant(name) };
    let binding = format!("b{}", before.revision / 5);
    match before.revision % 5 {
        0 if before.bindings.len() < MAX_BINDINGS => with_binding(before, &binding),
        1 if before.bindings.contains_key(&binding.parse().unwrap()) => activated(before, &binding),
        2 => before.suspended(now()).unwrap(),
        3 => before.resumed(now()).unwrap(),
        revision => {
            let (name, terms) = (format!("{revision}").repeat(500), before.terms);
            before.updated_to(name, terms, now()).unwrap()
        }
    }
}

/// Not a test: what the process does that is killed, and only if it was started for that.
#[test]
fn write_until_killed() {
    let Some(file) = std::env::var_os(DIRECTORY).map(File::at) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut names = TENANTS.iter().cycle();
        loop {
            let registry = file.open().await.unwrap();
            for name in names.by_ref().take(OPEN_FOR) {
                change(&file, &registry, name).await;
            }
            registry.close().await;
        }
    });
}

/// Makes the next change, and says that it was acknowledged.
pub(crate) async fn change(file: &File, registry: &SqliteRegistry, name: &str) {
    let before = registry.tenant(&id(name)).await.ok().map(|tenant| tenant.as_ref().clone());
    let after = next(before.clone(), name);
    let revision = after.revision;
    match before {
        None => registry.create(after).await.unwrap(),
        Some(before) => registry.replace(after, before.revision).await.unwrap(),
    }
    acknowledge(file, name, revision);
}

fn acknowledge(file: &File, name: &str, revision: u64) {
    let mut out = OpenOptions::new().create(true).append(true).open(acknowledged(file)).unwrap();
    out.write_all(format!("{name} {revision}\n").as_bytes()).unwrap();
}

/// What the process says was acknowledged. A line that was written to a file outlives whoever wrote it.
fn acknowledged(file: &File) -> PathBuf {
    file.directory().join("acknowledged")
}

/// The newest revision of each tenant that was acknowledged.
pub(crate) fn newest_acknowledged(file: &File) -> BTreeMap<String, u64> {
    let lines = std::fs::read_to_string(acknowledged(file)).unwrap_or_default();
    let parse = |line: &str| {
        let (name, revision) = line.split_once(' ').unwrap();
        (name.to_owned(), revision.parse().unwrap())
    };
    lines.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(parse).collect()
}

/// From when on a process may be killed.
#[derive(Clone, Copy)]
enum KilledFrom {
    Start,
    FirstChange,
}

fn write_and_be_killed(file: &File, from: KilledFrom) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::write_until_killed"])
        .env(DIRECTORY, file.directory())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    if let KilledFrom::FirstChange = from {
        let before = newest_acknowledged(file);
        let waited = (0..PATIENCE).find(|_| {
            std::thread::sleep(Duration::from_millis(1));
            newest_acknowledged(file) != before
        });
        assert!(waited.is_some(), "it changes nothing");
    }
    std::thread::sleep(rand::rng().random_range(Duration::ZERO..LONGEST));
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9), "it goes on until it is killed");
}

/// Every revision of a tenant from the first one on.
async fn whole_history(registry: &SqliteRegistry, name: &str) -> Vec<Tenant> {
    let mut history = Vec::<Tenant>::new();
    loop {
        let after = history.last().map_or(0, |tenant| tenant.revision);
        let page = registry.history(&id(name), after).await.unwrap();
        history.extend(page.iter().map(|tenant| Tenant::clone(tenant)));
        if page.len() < HISTORY_PAGE {
            return history;
        }
    }
}

/// Makes sure that the file is sound and has what it must have; gives how many changes it has that were not acknowledged.
pub(crate) async fn check(file: &File) -> u64 {
    if !file.path().exists() {
        return 0;
    }
    let mut stranger = file.stranger().await;
    for check in ["PRAGMA integrity_check", "PRAGMA foreign_key_check"] {
        let found: Vec<String> = query_scalar(check).fetch_all(&mut stranger).await.unwrap();
        assert!(found.iter().all(|line| line == "ok"), "{check}: {found:?}");
    }
    stranger.close().await.unwrap();

    let registry = file.open().await.unwrap();
    let acknowledged = newest_acknowledged(file);
    let mut under_way = 0;
    for name in TENANTS {
        let history = whole_history(&registry, name).await;
        let acknowledged = acknowledged.get(name).copied().unwrap_or_default();
        let mut before = None;
        for record in &history {
            let expected = next(before, name);
            assert_eq!(*record, expected, "whole, and what it was meant to be");
            before = Some(expected);
        }
        let kept = history.last().map_or(0, |tenant| tenant.revision);
        assert!(kept >= acknowledged, "{name}: {acknowledged} was acknowledged, and {kept} is kept");
        under_way += kept - acknowledged;
        match registry.tenant(&id(name)).await {
            Ok(tenant) => assert_eq!(Some(tenant.as_ref()), history.last()),
            Err(_) => assert!(history.is_empty()),
        }
    }
    assert!(under_way <= 1, "one change at a time is under way");
    // What was under way counts as acknowledged from now on: whoever reads it may rely on it.
    for name in TENANTS {
        if let Ok(tenant) = registry.tenant(&id(name)).await {
            acknowledge(file, name, tenant.revision);
        }
    }
    registry.close().await;
    under_way
}

#[tokio::test]
async fn p5_kill_9_at_any_point_of_any_change_leaves_the_old_or_the_new_record() {
    for _ in 0..FILES {
        let file = File::new();
        write_and_be_killed(&file, KilledFrom::Start);
        check(&file).await;
        for _ in 1..KILLS {
            write_and_be_killed(&file, KilledFrom::FirstChange);
            check(&file).await;
        }
    }
}
