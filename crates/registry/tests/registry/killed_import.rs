//! An import that is killed is repeated, and comes to the same. See [`crate::each_write`] for how a process is killed at each of
//! its writes.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

use leasehold_ids::DeploymentId;
use leasehold_registry::{Existing, Import, Imported, MemoryRegistry, SqliteRegistry, export};
use leasehold_tenant::{PageRequest, Registry, Tenant};
use rustix::process::{Resource, Rlimit, Signal, setrlimit};

use crate::each_write::cuts;
use crate::file::File;
use crate::records::{activated, id, now, tenant, with_binding};

/// How the process is told the directory of its file, and how long files may become.
const DIRECTORY: &str = "LEASEHOLD_TEST_KILLED_IMPORT";
const ROOM: &str = "LEASEHOLD_TEST_ROOM";

const TENANTS: [&str; 4] = ["a", "b", "c", "d"];

fn deployment() -> DeploymentId {
    "test".parse().unwrap()
}

/// What is imported.
fn wanted(id: &str) -> Tenant {
    let tenant = activated(with_binding(tenant(id), "main"), "main");
    let terms = tenant.terms;
    tenant.updated_to("as it was".into(), terms, now()).unwrap()
}

async fn text() -> String {
    let (registry, mut text) = (MemoryRegistry::new(), Vec::new());
    for id in TENANTS {
        registry.create(wanted(id)).await.unwrap();
    }
    export(&registry, &deployment(), &mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

async fn import(registry: &SqliteRegistry) -> Imported {
    let text = text().await;
    let import = Import::plan(registry, &deployment(), &text, Existing::Overwrite).await.unwrap();
    import.apply(registry).await.unwrap()
}

/// Not a test: what the process does that is killed, and only if it was started for that.
#[test]
fn import_until_killed() {
    let Some(file) = std::env::var_os(DIRECTORY).map(File::at) else { return };
    let room = std::env::var(ROOM).unwrap().parse().unwrap();
    let limit =
        |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) }).unwrap();
    // The kernel would write down its memory otherwise.
    limit(Resource::Core, 0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let registry = file.open().await.unwrap();
        limit(Resource::Fsize, room);
        import(&registry).await;
        registry.close().await;
    });
}

fn import_and_be_killed(file: &File, room: u64) -> ExitStatus {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed_import::import_until_killed"])
        .env(DIRECTORY, file.directory())
        .env(ROOM, room.to_string())
        .stdout(Stdio::null())
        .status()
        .unwrap()
}

async fn all(registry: &SqliteRegistry) -> Vec<Tenant> {
    let page = PageRequest { size: 1000, after: None, show_deleted: true };
    registry.list(page).await.unwrap().tenants.iter().map(|tenant| Tenant::clone(tenant)).collect()
}

#[tokio::test]
async fn p5_an_import_that_was_killed_at_any_of_its_writes_is_repeated_and_comes_to_the_same() {
    let (mut kills, mut halfway) = (0, 0);
    for room in cuts() {
        let file = File::new();
        let registry = file.open().await.unwrap();
        // One is the same, and one is to be overwritten.
        registry.create(wanted("a")).await.unwrap();
        registry.create(tenant("b")).await.unwrap();
        registry.close().await;
        let status = import_and_be_killed(&file, room);

        let registry = file.open().await.unwrap();
        let left = all(&registry).await;
        let again = import(&registry).await;
        let names = |tenant: Tenant| (tenant.id, tenant.display_name, tenant.bindings.len());
        let expected: Vec<_> = TENANTS.into_iter().map(wanted).map(names).collect();
        assert_eq!(all(&registry).await.into_iter().map(names).collect::<Vec<_>>(), expected, "{room}");
        assert_eq!(registry.tenant(&id("d")).await.unwrap().as_ref(), &wanted("d"));
        assert_eq!(import(&registry).await, Imported { unchanged: 4, ..Imported::default() });
        registry.close().await;
        if status.success() {
            assert_eq!(again, Imported { unchanged: 4, ..Imported::default() }, "it was imported");
            assert!(kills > 20 && halfway > 5, "killed {kills} times, {halfway} in the middle");
            return;
        }
        assert_eq!(status.signal(), Some(Signal::XFSZ.as_raw()), "killed at {room} bytes: {status}");
        kills += 1;
        halfway += usize::from((3..4).contains(&left.len()));
    }
    panic!("it was killed {kills} times, and never came through");
}
