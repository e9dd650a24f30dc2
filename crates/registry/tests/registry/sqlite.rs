//! What only a registry in a file promises, and how it fails.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use leasehold_clock::ManualClock;
use leasehold_registry::{
    Absent, Existing, Import, MemoryRegistry, SqliteError, SqliteRegistry, SqliteSettings, export,
};
use leasehold_tenant::{Change, PageRequest, Registry, RegistryError};
use sqlx::{Connection, Executor};
use tokio::sync::broadcast::error::TryRecvError;

use crate::contract::on_every_registry;
use crate::file::File;
use crate::records::{eventful, id, now, tenant};

on_every_registry!(async {
    let file = File::new();
    (file.open().await.unwrap(), file)
});

/// What the registry itself says of a failure.
fn why(result: Result<(), RegistryError>) -> SqliteError {
    match result {
        Err(RegistryError::Unavailable(source)) => *source.downcast().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o777
}

#[tokio::test]
async fn p5_what_was_kept_is_there_when_it_is_opened_again() {
    let file = File::new();
    let registry = file.open().await.unwrap();
    registry.create(tenant("acme")).await.unwrap();
    registry.replace(tenant("acme").suspended(now()).unwrap(), 1).await.unwrap();
    registry.create(eventful("eventful")).await.unwrap();
    // Both ways to end: orderly, and not.
    for orderly in [false, true] {
        let registry = file.open().await.unwrap();
        assert_eq!(*registry.tenant(&id("eventful")).await.unwrap(), eventful("eventful"));
        assert_eq!(registry.history(&id("acme"), 0).await.unwrap().len(), 2);
        if orderly {
            registry.close().await;
        }
    }
}

#[tokio::test]
async fn a_closed_registry_is_one_file_and_answers_no_more() {
    let file = File::new();
    let registry = file.open().await.unwrap();
    registry.create(tenant("acme")).await.unwrap();
    registry.close().await;
    let files: Vec<_> =
        std::fs::read_dir(file.directory()).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(files, ["registry.db"]);
    assert!(matches!(registry.tenant(&id("acme")).await, Err(RegistryError::Unavailable(_))));
}

#[tokio::test]
async fn nobody_but_its_owner_may_use_the_file() {
    let file = File::new();
    let mut settings = file.settings();
    settings.path = file.directory().join("of/its/own/registry.db");
    let registry = file.open_with(settings.clone(), Arc::new(ManualClock::new())).await.unwrap();
    registry.create(tenant("acme")).await.unwrap();
    let directory = settings.path.parent().unwrap();
    assert_eq!(mode(directory), 0o700);
    let files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|f| f.unwrap().path()).collect();
    assert!(files.len() > 1, "it is logged ahead: {files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");

    registry.close().await;
    std::fs::set_permissions(&settings.path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let refused = file.open_with(settings, Arc::new(ManualClock::new())).await.unwrap_err();
    assert!(matches!(refused, SqliteError::Exposed { mode: 0o640, .. }), "{refused}");
    assert!(refused.to_string().contains("chmod 600"));
}

#[tokio::test]
async fn a_file_is_made_or_upgraded_only_if_asked_for() {
    let file = File::new();
    let existing = SqliteSettings { absent: Absent::Refuse, ..file.settings() };
    let refused = SqliteRegistry::open(existing.clone(), Arc::new(ManualClock::new())).await.unwrap_err();
    assert!(matches!(refused, SqliteError::Absent { .. }), "{refused}");
    assert!(!file.path().exists());
    file.open().await.unwrap().close().await;
    SqliteRegistry::open(existing, Arc::new(ManualClock::new())).await.unwrap();
}

#[tokio::test]
async fn p5_a_file_is_of_one_deployment() {
    let file = File::new();
    file.open().await.unwrap().close().await;
    let other = SqliteSettings { deployment: "other".parse().unwrap(), ..file.settings() };
    let refused = SqliteRegistry::open(other, Arc::new(ManualClock::new())).await.unwrap_err();
    assert!(matches!(refused, SqliteError::OtherDeployment { ref kept, .. } if kept == "test"), "{refused}");
}

#[tokio::test]
async fn a_later_releases_file_is_left_alone() {
    let file = File::new();
    file.open().await.unwrap().close().await;
    let mut stranger = file.stranger().await;
    stranger.execute("PRAGMA user_version = 99").await.unwrap();
    stranger.close().await.unwrap();
    let before = std::fs::read(file.path()).unwrap();
    let refused = file.open().await.unwrap_err();
    assert!(matches!(refused, SqliteError::Newer { found: 99, known: 1, .. }), "{refused}");
    assert_eq!(std::fs::read(file.path()).unwrap(), before);
}

#[tokio::test]
async fn other_peoples_files_are_left_alone() {
    for content in ["CREATE TABLE theirs (x)", "PRAGMA application_id = 7", "PRAGMA user_version = 1"] {
        let file = File::new();
        let mut stranger = file.stranger().await;
        stranger.execute(content).await.unwrap();
        stranger.close().await.unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
        let before = std::fs::read(file.path()).unwrap();
        let refused = file.open().await.unwrap_err();
        assert!(matches!(refused, SqliteError::NotARegistry { .. }), "{content}: {refused}");
        assert_eq!(std::fs::read(file.path()).unwrap(), before, "{content}");
    }
    let file = File::new();
    std::fs::write(file.path(), "deployment = 'prod' # not a database, but long enough to look like one")
        .unwrap();
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(file.open().await, Err(SqliteError::NotARegistry { .. })));
    let directory = SqliteSettings { path: file.directory(), ..file.settings() };
    let refused = SqliteRegistry::open(directory, Arc::new(ManualClock::new())).await.unwrap_err();
    assert!(matches!(refused, SqliteError::Unopenable { .. }), "{refused}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_said_so() {
    let file = File::new();
    std::fs::write(file.directory().join("in-the-way"), "").unwrap();
    let settings =
        SqliteSettings { path: file.directory().join("in-the-way/registry.db"), ..file.settings() };
    let refused = SqliteRegistry::open(settings, Arc::new(ManualClock::new())).await.unwrap_err();
    assert!(matches!(refused, SqliteError::Unopenable { .. }), "{refused}");
}

#[tokio::test]
async fn p9_while_another_process_holds_the_lock_changes_fail_in_time_and_readings_go_on() {
    let file = File::new();
    let registry = file.open().await.unwrap();
    registry.create(tenant("acme")).await.unwrap();
    let mut stranger = file.stranger().await;
    let lock = stranger.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let refused = why(registry.create(tenant("other")).await);
    assert!(matches!(refused, SqliteError::Locked { .. }), "{refused}");
    assert_eq!(registry.tenant(&id("acme")).await.unwrap().revision, 1);
    lock.rollback().await.unwrap();
    registry.create(tenant("other")).await.unwrap();
}

#[tokio::test]
async fn p9_a_file_that_another_process_keeps_to_itself_is_not_waited_for() {
    let file = File::new();
    file.open().await.unwrap().close().await;
    let mut stranger = file.stranger().await;
    stranger.execute("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").await.unwrap();
    let refused = file.open().await.unwrap_err();
    assert!(matches!(refused, SqliteError::Locked { .. }), "{refused}");
    stranger.execute("ROLLBACK").await.unwrap();
    stranger.close().await.unwrap();
    file.open().await.unwrap();
}

#[tokio::test]
async fn history_cannot_be_rewritten_by_hand_either() {
    let file = File::new();
    file.open().await.unwrap().create(eventful("acme")).await.unwrap();
    let mut stranger = file.stranger().await;
    for (statement, says) in [
        ("DELETE FROM tenants", "tenants are never removed"),
        ("DELETE FROM tenant_revisions", "history is never removed"),
        ("DELETE FROM binding_versions", "history is never removed"),
        ("UPDATE tenant_revisions SET display_name = 'x'", "history is never rewritten"),
        ("UPDATE binding_versions SET key = 'x'", "history is never rewritten"),
    ] {
        let refused = stranger.execute(statement).await.unwrap_err().to_string();
        assert!(refused.contains(says), "{statement}: {refused}");
    }
}

#[tokio::test]
async fn a_record_that_was_altered_by_hand_is_named_with_its_column() {
    for (alteration, column) in [
        ("INSERT INTO binding_versions SELECT tenant, binding, version + 1, revision, state, 'N O', key, settings,
          external_id, canary_context, hierarchy, canary, created, updated FROM binding_versions WHERE binding = 'active'",
         "provider"),
        ("INSERT INTO binding_versions SELECT tenant, binding, version + 1, revision, state, provider, key, settings,
          'mine', canary_context, hierarchy, canary, created, updated FROM binding_versions WHERE binding = 'active'",
         "external_id"),
        ("INSERT INTO binding_versions SELECT tenant, binding, version + 1, revision, state, provider, key, settings,
          external_id, canary_context, hierarchy, x'', created, updated FROM binding_versions WHERE binding = 'active'",
         "canary"),
    ] {
        let file = File::new();
        let registry = file.open().await.unwrap();
        registry.create(eventful("acme")).await.unwrap();
        registry.create(tenant("other")).await.unwrap();
        file.stranger().await.execute(alteration).await.unwrap();
        match registry.tenant(&id("acme")).await {
            Err(RegistryError::BadRecord { tenant, source }) => {
                assert!(tenant == "acme" && source.to_string().starts_with(column), "{source}");
            }
            other => panic!("{column}: {other:?}"),
        }
        assert!(registry.tenant(&id("other")).await.is_ok(), "others are served on");
    }
}

#[tokio::test]
async fn p6_a_record_that_was_altered_by_hand_is_named_and_listed_without() {
    let file = File::new();
    let registry = file.open().await.unwrap();
    for id in ["a", "acme", "b", "c"] {
        registry.create(tenant(id)).await.unwrap();
    }
    let add = |id: &str, loggable: &str| {
        format!(
            "BEGIN; INSERT INTO tenants VALUES ('{id}', 1);
             INSERT INTO tenant_revisions SELECT NULL, '{id}', 1, display_name, state, deleted, revocation_bound, idle_after,
               entry_max_age, cache, '{loggable}', created, updated FROM tenant_revisions WHERE tenant = 'a';
             COMMIT"
        )
    };
    let mut stranger = file.stranger().await;
    for (id, loggable) in [("b-bad", "{}"), ("b~1", "[]"), ("b~2", "[]")] {
        stranger.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(add(id, loggable)))).await.unwrap();
    }
    let (mut listed, mut bad, mut after) = (Vec::new(), Vec::new(), None);
    for size in [1, 2, 2, 1, 1] {
        let page = registry.list(PageRequest { size, after, show_deleted: false }).await.unwrap();
        listed.extend(page.tenants.iter().map(|tenant| tenant.id.to_string()));
        bad.extend(page.bad.iter().map(ToString::to_string));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, ["a", "acme", "b", "c"], "each once");
    let named =
        ["b-bad", "b~1", "b~2"].map(|id| format!("the record of tenant {id} is not one that can be kept"));
    assert_eq!(bad, named);

    let mut text = Vec::new();
    let exported = export(&registry, &"test".parse().unwrap(), &mut text).await.unwrap();
    assert_eq!((exported.tenants, exported.bad.len()), (4, 3));
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("# Left out: \"the record of tenant b~1 "), "{text}");
    let (rebuilt, deployment) = (MemoryRegistry::new(), "test".parse().unwrap());
    let import = Import::plan(&rebuilt, &deployment, &text, Existing::Refuse).await.unwrap();
    assert_eq!(import.apply(&rebuilt).await.unwrap().created, 4, "what was written can be read");
}

#[tokio::test]
async fn what_another_process_changed_is_announced_within_a_second() {
    let file = File::new();
    let clock = ManualClock::new();
    let ours = file.open_with(file.settings(), Arc::new(clock.clone())).await.unwrap();
    let mut changes = ours.changes();
    let theirs = file.open().await.unwrap();
    theirs.create(tenant("acme")).await.unwrap();
    theirs.replace(tenant("acme").suspended(now()).unwrap(), 1).await.unwrap();
    clock.settle().await;
    assert_eq!(changes.try_recv(), Err(TryRecvError::Empty), "nobody looked yet");
    clock.advance(Duration::from_secs(1)).await;
    for _ in 0..2 {
        assert_eq!(changes.recv().await, Ok(Change::Tenant(id("acme"))));
    }
    assert_eq!(ours.tenant(&id("acme")).await.unwrap().revision, 2);
    // Our own are announced at once, each once, and in the order in which they were made.
    ours.create(tenant("b")).await.unwrap();
    theirs.create(tenant("c")).await.unwrap();
    ours.create(tenant("d")).await.unwrap();
    for tenant in ["b", "c", "d"] {
        assert_eq!(changes.recv().await, Ok(Change::Tenant(id(tenant))));
    }
}

#[tokio::test]
async fn a_caller_who_gives_up_leaves_the_old_record_or_the_new_one() {
    let file = File::new();
    let registry = file.open().await.unwrap();
    let mut record = tenant("acme");
    registry.create(record.clone()).await.unwrap();
    // Gives up after ever more steps: a change takes some ten, fewer if the disk is faster than whoever looks. At last, never.
    let (mut given_up, mut made) = (0, 0);
    for patience in (1..=30).chain([usize::MAX]) {
        let next = record.clone().updated_to(format!("{patience}"), record.terms, now()).unwrap();
        let ended = for_at_most(patience, registry.replace(next.clone(), record.revision)).await;
        // Whoever comes next waits for nothing that was given up.
        registry.create(tenant(&format!("next-{patience}"))).await.unwrap();
        let kept = registry.tenant(&id("acme")).await.unwrap();
        match ended {
            Some(result) => {
                result.unwrap();
                assert_eq!(*kept, next);
                made += 1;
            }
            None => {
                assert!(*kept == record || *kept == next, "{kept:?}");
                given_up += 1;
            }
        }
        record = kept.as_ref().clone();
    }
    assert!(given_up > 0 && made > 0, "it was given up {given_up} times, and made {made} times");
}

/// What `future` gives if it has gone on at most `steps` times by then; otherwise it is dropped.
async fn for_at_most<T>(steps: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut taken = 0;
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(given) => Poll::Ready(Some(given)),
        Poll::Pending => {
            taken += 1;
            if taken < steps { Poll::Pending } else { Poll::Ready(None) }
        }
    })
    .await
}
