//! What is said to SQLite, and nothing of what it means.

use sqlx::query::{Query, QueryAs};
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, query, query_as};

use crate::rows::{BindingRow, TenantRow};

type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;
type Select<'q, T> = QueryAs<'q, Sqlite, T, SqliteArguments>;

/// The row of a tenant in force.
pub(super) fn tenant(id: &str) -> Select<'_, TenantRow> {
    query_as("SELECT r.* FROM tenants JOIN tenant_revisions AS r USING (tenant, revision) WHERE tenant = ?")
        .bind(id)
}

/// At most `limit` rows in force, of the tenants whose ids come after `after`.
pub(super) fn tenants(after: &str, show_deleted: bool, limit: i64) -> Select<'_, TenantRow> {
    // The empty text comes before every id.
    query_as(
        "SELECT r.* FROM tenants JOIN tenant_revisions AS r USING (tenant, revision)
         WHERE tenant > ? AND (? OR r.deleted IS NULL) ORDER BY tenant LIMIT ?",
    )
    .bind(after)
    .bind(show_deleted)
    .bind(limit)
}

/// The bindings in force of the tenants from `first` to `last`.
pub(super) fn bindings<'q>(first: &'q str, last: &'q str) -> Select<'q, BindingRow> {
    query_as(
        "SELECT * FROM binding_versions AS b WHERE tenant BETWEEN ? AND ? AND NOT EXISTS (
           SELECT 1 FROM binding_versions AS later
           WHERE later.tenant = b.tenant AND later.binding = b.binding AND later.version > b.version
         )",
    )
    .bind(first)
    .bind(last)
}

/// At most `limit` revisions of a tenant after `after`, oldest first.
pub(super) fn revisions(id: &str, after: i64, limit: i64) -> Select<'_, TenantRow> {
    query_as("SELECT * FROM tenant_revisions WHERE tenant = ? AND revision > ? ORDER BY revision LIMIT ?")
        .bind(id)
        .bind(after)
        .bind(limit)
}

/// Every version of every binding of a tenant.
pub(super) fn versions(id: &str) -> Select<'_, BindingRow> {
    query_as("SELECT * FROM binding_versions WHERE tenant = ?").bind(id)
}

/// Begins a transaction that writes, before it has read anything that somebody else could change.
pub(super) const BEGIN_TO_WRITE: &str = "BEGIN IMMEDIATE";

/// Takes an id; affects no row if it is taken.
pub(super) fn take_id(id: &str, revision: i64) -> Statement<'_> {
    query("INSERT INTO tenants (tenant, revision) VALUES (?, ?) ON CONFLICT DO NOTHING")
        .bind(id)
        .bind(revision)
}

/// Puts another revision in force.
pub(super) fn put_in_force(id: &str, revision: i64) -> Statement<'_> {
    query("UPDATE tenants SET revision = ? WHERE tenant = ?").bind(revision).bind(id)
}

/// Adds a revision of a tenant.
pub(super) fn add_revision(row: TenantRow) -> Statement<'static> {
    query(
        "INSERT INTO tenant_revisions (tenant, revision, display_name, state, deleted, revocation_bound, idle_after,
           entry_max_age, cache, loggable_context, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(row.tenant)
    .bind(row.revision)
    .bind(row.display_name)
    .bind(row.state)
    .bind(row.deleted)
    .bind(row.revocation_bound)
    .bind(row.idle_after)
    .bind(row.entry_max_age)
    .bind(row.cache)
    .bind(row.loggable_context)
    .bind(row.created)
    .bind(row.updated)
}

/// Adds a version of a binding.
pub(super) fn add_version(row: BindingRow) -> Statement<'static> {
    query(
        "INSERT INTO binding_versions (tenant, binding, version, revision, state, provider, key, settings, external_id,
           canary_context, hierarchy, canary, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(row.tenant)
    .bind(row.binding)
    .bind(row.version)
    .bind(row.revision)
    .bind(row.state)
    .bind(row.provider)
    .bind(row.key)
    .bind(row.settings)
    .bind(row.external_id)
    .bind(row.canary_context)
    .bind(row.hierarchy)
    .bind(row.canary)
    .bind(row.created)
    .bind(row.updated)
}

/// The number of the newest change; 0 if there was none.
pub(super) fn newest_change() -> Select<'static, (i64,)> {
    query_as("SELECT coalesce(max(change), 0) FROM tenant_revisions")
}

/// At most `limit` changes after `after`: their numbers and tenants, oldest first.
pub(super) fn changes(after: i64, limit: i64) -> Select<'static, (i64, String)> {
    query_as("SELECT change, tenant FROM tenant_revisions WHERE change > ? ORDER BY change LIMIT ?")
        .bind(after)
        .bind(limit)
}
