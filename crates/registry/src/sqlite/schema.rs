//! Which schema a file has, and how it comes to have the newest one.

use std::collections::BTreeSet;
use std::path::Path;

use leasehold_ids::DeploymentId;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection, query, query_as, query_scalar, raw_sql};

use super::statements::BEGIN_TO_WRITE;
use super::{Absent, SqliteError};

/// What the header of every file of ours says (<https://www.sqlite.org/pragma.html#pragma_application_id>): `Lhld`.
const APPLICATION_ID: i64 = 0x4c68_6c64;

/// What makes schema n + 1 of schema n; schema 0 is an empty file. Only ever added to: files of every release are around.
const STEPS: &[&str] = &[include_str!("schema/1.sql")];

/// What a file is.
enum Found {
    Current,
    Earlier(usize),
}

/// Sees to it that the file at `path`, to which `connection` leads, has the newest schema and is of `deployment`. An upgrade
/// is one transaction: whoever interrupts it finds the old file.
pub(super) async fn prepare(
    connection: &mut SqliteConnection,
    path: &Path,
    deployment: &DeploymentId,
    absent: Absent,
) -> Result<(), SqliteError> {
    upgrade(connection, path, deployment, absent, STEPS).await?;
    let failed = |error| SqliteError::of(path, error);
    let kept: String =
        query_scalar("SELECT id FROM deployment").fetch_one(&mut *connection).await.map_err(failed)?;
    if kept != deployment.as_str() {
        return Err(SqliteError::OtherDeployment { path: path.to_owned(), kept, given: deployment.clone() });
    }
    // Readers then do not wait for the writer, nor it for them. Kept in the file.
    let mode: String =
        query_scalar("PRAGMA journal_mode = WAL").fetch_one(connection).await.map_err(failed)?;
    if mode == "wal" { Ok(()) } else { Err(SqliteError::NoWriteAheadLog { path: path.to_owned() }) }
}

async fn upgrade(
    connection: &mut SqliteConnection,
    path: &Path,
    deployment: &DeploymentId,
    absent: Absent,
    steps: &[&'static str],
) -> Result<(), SqliteError> {
    let failed = |error| SqliteError::of(path, error);
    // Asked without a lock first, so that a file that is in use, or read-only, can be looked at.
    let Found::Earlier(found) = examine(connection, path, steps.len()).await? else {
        return compare(connection, path, steps).await;
    };
    if absent == Absent::Refuse {
        return Err(older(path, found, steps.len()));
    }
    let mut transaction = connection.begin_with(BEGIN_TO_WRITE).await.map_err(failed)?;
    // Asked again, because another process may have been faster.
    if let Found::Earlier(found) = examine(&mut transaction, path, steps.len()).await? {
        compare(&mut transaction, path, &steps[..found]).await?;
        for step in &steps[found..] {
            raw_sql(*step).execute(&mut *transaction).await.map_err(failed)?;
        }
        if found == 0 {
            let keep = query("INSERT INTO deployment (id) VALUES (?)").bind(deployment.as_str());
            keep.execute(&mut *transaction).await.map_err(failed)?;
        }
    }
    transaction.commit().await.map_err(failed)
}

/// Holds what a file has to what these steps make. Its number alone does not tell: files of builds between two releases
/// have the number of one of them.
async fn compare(
    connection: &mut SqliteConnection,
    path: &Path,
    steps: &[&'static str],
) -> Result<(), SqliteError> {
    let failed = |error| SqliteError::of(path, error);
    let mut model = SqliteConnectOptions::new().in_memory(true).connect().await.map_err(failed)?;
    for step in steps {
        raw_sql(*step).execute(&mut model).await.map_err(failed)?;
    }
    let (expected, found) =
        (tables(&mut model).await.map_err(failed)?, tables(connection).await.map_err(failed)?);
    model.close().await.map_err(failed)?;
    let other = expected.symmetric_difference(&found).next();
    other.map_or(Ok(()), |(name, _)| {
        Err(SqliteError::Altered { path: path.to_owned(), schema: number(steps.len()), name: name.clone() })
    })
}

/// The names of tables, indices and triggers, and how each was made; but those that SQLite makes for itself.
async fn tables(connection: &mut SqliteConnection) -> sqlx::Result<BTreeSet<(String, String)>> {
    let tables =
        query_as("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT GLOB 'sqlite_*'");
    Ok(tables.fetch_all(connection).await?.into_iter().collect())
}

async fn examine(connection: &mut SqliteConnection, path: &Path, known: usize) -> Result<Found, SqliteError> {
    let (application, schema, tables): (i64, i64, i64) = query_as(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
         FROM pragma_application_id(), pragma_user_version()",
    )
    .fetch_one(connection)
    .await
    .map_err(|error| SqliteError::of(path, error))?;
    match usize::try_from(schema) {
        Ok(0) if application == 0 && tables == 0 => Ok(Found::Earlier(0)),
        _ if application != APPLICATION_ID => Err(SqliteError::NotARegistry { path: path.to_owned() }),
        Ok(found) if found == known => Ok(Found::Current),
        Ok(found) if found < known => Ok(Found::Earlier(found)),
        _ => Err(SqliteError::Newer { path: path.to_owned(), found: schema, known: number(known) }),
    }
}

fn older(path: &Path, found: usize, known: usize) -> SqliteError {
    match found {
        // What another process is about to make, or stopped making.
        0 => SqliteError::Absent { path: path.to_owned() },
        found => SqliteError::Older { path: path.to_owned(), found: number(found), known: number(known) },
    }
}

fn number(schema: usize) -> i64 {
    i64::try_from(schema).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA256, digest};
    use data_encoding::HEXLOWER;
    use tempfile::TempDir;

    use super::*;

    /// What a release to come may do, and one that is broken.
    const LATER: &str = "ALTER TABLE tenants ADD COLUMN later TEXT; PRAGMA user_version = 2";
    const BROKEN: &str = "DROP TRIGGER tenants_stay; PRAGMA user_version = 2; CREATE TABLE tenants (again)";

    const TENANT: &str = "BEGIN; INSERT INTO tenants VALUES ('acme', 1);
        INSERT INTO tenant_revisions VALUES (1, 'acme', 1, 'Acme', 'ACTIVE', NULL, 1, 1, 1, 'on', '[]', 1, 1); COMMIT";

    /// A file of this release, with a tenant, and a connection to it.
    async fn made(directory: &TempDir) -> SqliteConnection {
        let path = directory.path().join("registry.db");
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        prepare(&mut connection, directory.path(), &deployment(), Absent::Create).await.unwrap();
        raw_sql(TENANT).execute(&mut connection).await.unwrap();
        connection
    }

    fn deployment() -> DeploymentId {
        "test".parse().unwrap()
    }

    /// What a release whose schema is `step` further makes of the file.
    async fn upgraded(
        connection: &mut SqliteConnection,
        absent: Absent,
        step: &'static str,
    ) -> Result<(), SqliteError> {
        let steps = [STEPS, &[step]].concat();
        upgrade(connection, Path::new("registry.db"), &deployment(), absent, &steps).await
    }

    /// Its schema, its tables, and what they have.
    async fn content(connection: &mut SqliteConnection) -> (i64, Vec<String>, Vec<String>) {
        let version = query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await.unwrap();
        let schema = query_scalar("SELECT coalesce(sql, name) FROM sqlite_schema");
        let schema = schema.fetch_all(&mut *connection).await.unwrap();
        let tenants =
            query_scalar("SELECT tenant || display_name FROM tenants JOIN tenant_revisions USING (tenant)");
        (version, schema, tenants.fetch_all(connection).await.unwrap())
    }

    #[tokio::test]
    async fn p5_a_file_is_upgraded_with_everything_in_it_once_and_only_if_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = made(&directory).await;
        let before = content(&mut connection).await;
        let refused = upgraded(&mut connection, Absent::Refuse, LATER).await.unwrap_err();
        assert!(matches!(refused, SqliteError::Older { found: 1, known: 2, .. }), "{refused}");
        assert_eq!(content(&mut connection).await, before);
        for _ in 0..2 {
            upgraded(&mut connection, Absent::Create, LATER).await.unwrap();
            let (version, schema, tenants) = content(&mut connection).await;
            assert!(version == 2 && schema.iter().any(|sql| sql.contains("later TEXT")), "{schema:?}");
            assert_eq!(tenants, before.2);
        }
        let refused = prepare(&mut connection, directory.path(), &deployment(), Absent::Create).await;
        assert!(matches!(refused, Err(SqliteError::Newer { found: 2, known: 1, .. })), "{refused:?}");
    }

    #[tokio::test]
    async fn p5_a_file_with_other_tables_than_its_schema_has_is_refused_with_what_to_do() {
        let before: &str = Box::leak(
            STEPS[0]
                .replacen(
                    "  loggable_context TEXT    NOT NULL CHECK (json_valid(loggable_context)),\n",
                    "",
                    1,
                )
                .into(),
        );
        assert_ne!(before, STEPS[0]);
        for (steps, name) in [
            (&[before][..], "tenant_revisions"),
            (&[STEPS[0], "DROP TRIGGER tenants_stay"], "tenants_stay"),
            (&[STEPS[0], "CREATE TABLE more (x)"], "more"),
        ] {
            let mut connection = SqliteConnectOptions::new().in_memory(true).connect().await.unwrap();
            for step in steps {
                raw_sql(*step).execute(&mut connection).await.unwrap();
            }
            for known in [STEPS, &[STEPS, &[LATER]].concat()] {
                let path = Path::new("registry.db");
                let refused = upgrade(&mut connection, path, &deployment(), Absent::Create, known).await;
                let Err(SqliteError::Altered { schema: 1, name: told, .. }) = &refused else {
                    panic!("{refused:?}")
                };
                assert_eq!(told, name);
            }
        }
        let mut connection = made(&tempfile::tempdir().unwrap()).await;
        raw_sql("ANALYZE").execute(&mut connection).await.unwrap();
        compare(&mut connection, Path::new("registry.db"), STEPS).await.unwrap();
    }

    /// What was released is never altered: further steps are added here, and their digests below.
    #[test]
    fn p5_the_steps_of_the_schema_are_only_ever_added_to() {
        let digest = |step: &&str| HEXLOWER.encode(digest(&SHA256, step.as_bytes()).as_ref());
        let digests: Vec<_> = STEPS.iter().map(digest).collect();
        assert_eq!(digests, ["76f75139f6982a814a08db52eb734339dbdb0a0d56d6562a8db7123973cd9753"]);
    }

    #[tokio::test]
    async fn p5_an_upgrade_that_fails_leaves_the_file_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = made(&directory).await;
        let before = content(&mut connection).await;
        let refused = upgraded(&mut connection, Absent::Create, BROKEN).await.unwrap_err();
        assert!(matches!(refused, SqliteError::Failed { .. }), "{refused}");
        assert_eq!(content(&mut connection).await, before);
        upgraded(&mut connection, Absent::Create, LATER).await.unwrap();
    }
}
