//! Failures that can only be had from SQLite itself.

use std::time::SystemTime;

use leasehold_clock::ManualClock;
use leasehold_tenant::LeaseTerms;
use tempfile::TempDir;

use super::*;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn tenant(id: &str) -> Tenant {
    Tenant::new(id.parse().unwrap(), "x".repeat(3000), LeaseTerms::default(), NOW)
}

/// A registry whose connections are made by `adapted` options, to a file that is there.
async fn opened(
    directory: &TempDir,
    adapted: impl FnOnce(SqliteConnectOptions) -> SqliteConnectOptions,
) -> Result<SqliteRegistry, SqliteError> {
    let path = directory.path().join("registry.db");
    let deployment = "test".parse().unwrap();
    let settings = SqliteSettings { path: path.clone(), deployment, absent: Absent::Create };
    let clock = || Arc::new(ManualClock::new()) as Arc<dyn TimeSource>;
    SqliteRegistry::open(settings.clone(), clock()).await?.close().await;
    SqliteRegistry::connect(adapted(options(&path)), path, &settings, clock()).await
}

fn why(result: Result<(), RegistryError>) -> SqliteError {
    match result {
        Err(RegistryError::Unavailable(source)) => *source.downcast().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_change_for_which_there_is_no_room_leaves_the_old_record_and_later_ones_work() {
    let directory = tempfile::tempdir().unwrap();
    let registry = opened(&directory, |options| options.pragma("max_page_count", "24")).await.unwrap();
    let mut kept = Vec::new();
    let refused = loop {
        let tenant = tenant(&format!("t{}", kept.len()));
        match registry.create(tenant.clone()).await {
            Ok(()) => kept.push(tenant),
            refused => break why(refused),
        }
    };
    assert!(matches!(refused, SqliteError::Full { .. }) && !kept.is_empty(), "{refused}");
    let update = kept[0].clone().updated_to("y".repeat(9000), kept[0].terms, NOW).unwrap();
    let refused = why(registry.replace(update.clone(), 1).await);
    assert!(matches!(refused, SqliteError::Full { .. }), "{refused:?}");
    assert_eq!(*registry.tenant(&kept[0].id).await.unwrap(), kept[0]);
    registry.close().await;

    let roomy = opened(&directory, |options| options).await.unwrap();
    let request = PageRequest { size: 1000, after: None, show_deleted: true };
    let listed: Vec<_> =
        roomy.list(request).await.unwrap().tenants.iter().map(|t| Tenant::clone(t)).collect();
    kept.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(listed, kept, "all that was acknowledged, and nothing of what was refused");
    roomy.replace(update, 1).await.unwrap();
}

#[tokio::test]
async fn a_registry_that_cannot_be_written_to_is_read_on() {
    let directory = tempfile::tempdir().unwrap();
    let registry = opened(&directory, |options| options).await.unwrap();
    registry.create(tenant("acme")).await.unwrap();
    let frozen = opened(&directory, |options| options.pragma("query_only", "ON")).await.unwrap();
    assert!(matches!(why(frozen.create(tenant("other")).await), SqliteError::ReadOnly { .. }));
    assert_eq!(*frozen.tenant(&"acme".parse().unwrap()).await.unwrap(), tenant("acme"));
}

#[tokio::test]
async fn a_file_that_is_no_longer_where_it_was_is_not_used_until_it_is_put_back() {
    let directory = tempfile::tempdir().unwrap();
    let registry = opened(&directory, |options| options).await.unwrap();
    registry.create(tenant("acme")).await.unwrap();
    let (path, moved) = (directory.path().join("registry.db"), directory.path().join("moved.db"));
    std::fs::rename(&path, &moved).unwrap();
    for _ in ["nothing", "another file"] {
        let read = registry.tenant(&"acme".parse().unwrap()).await.map(|_| ());
        for refused in [why(registry.create(tenant("other")).await), why(read)] {
            assert!(matches!(refused, SqliteError::Replaced { .. }), "{refused}");
        }
        std::fs::write(&path, "").unwrap();
    }
    std::fs::rename(&moved, &path).unwrap();
    registry.create(tenant("other")).await.unwrap();
}

#[tokio::test]
async fn a_damaged_file_is_said_to_be_so() {
    let directory = tempfile::tempdir().unwrap();
    let registry = opened(&directory, |options| options).await.unwrap();
    for n in 0..20 {
        registry.create(tenant(&format!("t{n}"))).await.unwrap();
    }
    registry.close().await;
    let path = directory.path().join("registry.db");
    let mut bytes = std::fs::read(&path).unwrap();
    // All but the first page, which has the schema.
    bytes[4096..].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    let clock: Arc<dyn TimeSource> = Arc::new(ManualClock::new());
    let settings = SqliteSettings { path, deployment: "test".parse().unwrap(), absent: Absent::Create };
    let refused = SqliteRegistry::open(settings, clock).await.unwrap_err();
    assert!(matches!(refused, SqliteError::Damaged { .. }), "{refused}");
}

#[tokio::test]
async fn a_commit_waits_for_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let registry = opened(&directory, |options| options).await.unwrap();
    let (synchronous, keys): (i64, i64) =
        sqlx::query_as("SELECT synchronous, foreign_keys FROM pragma_synchronous(), pragma_foreign_keys()")
            .fetch_one(&registry.0.writer)
            .await
            .unwrap();
    // 2 is FULL (https://www.sqlite.org/pragma.html#pragma_synchronous).
    assert_eq!((synchronous, keys), (2, 1));
}
