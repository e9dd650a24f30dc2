//! Records as rows, and back: for every SQL database the same.
//!
//! Columns are named as the fields are. Points in time are nanoseconds since the Unix epoch, spans are nanoseconds, words
//! are spelt as in the API, and what is a map or a set is JSON.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leasehold_ids::{BindingName, BindingVersion};
use leasehold_tenant::{Binding, CloudSettings, LeaseTerms, RegistryError, RevocationBound, Tenant};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::de::value::{Error as WordError, StrDeserializer};
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

/// What one revision of a tenant says of the tenant itself.
#[derive(Debug)]
pub(crate) struct TenantRow {
    pub(crate) tenant: String,
    pub(crate) revision: i64,
    pub(crate) display_name: String,
    pub(crate) state: String,
    pub(crate) deleted: Option<i64>,
    pub(crate) revocation_bound: i64,
    pub(crate) idle_after: i64,
    pub(crate) entry_max_age: i64,
    pub(crate) cache: String,
    pub(crate) loggable_context: String,
    pub(crate) created: i64,
    pub(crate) updated: i64,
}

/// One version of a binding.
#[derive(Debug, Clone)]
pub(crate) struct BindingRow {
    pub(crate) tenant: String,
    pub(crate) binding: String,
    pub(crate) version: i64,
    /// The revision of the tenant that brought this version.
    pub(crate) revision: i64,
    pub(crate) state: String,
    pub(crate) provider: String,
    pub(crate) key: String,
    pub(crate) settings: String,
    pub(crate) external_id: String,
    pub(crate) canary_context: String,
    pub(crate) hierarchy: String,
    pub(crate) canary: Option<Vec<u8>>,
    pub(crate) created: i64,
    pub(crate) updated: i64,
}

/// A column that holds what it cannot hold, or a field that no column can hold.
#[derive(Debug, thiserror::Error)]
#[error("{column}: {what}")]
pub(crate) struct RowError {
    pub(crate) column: &'static str,
    pub(crate) what: String,
}

// === from records ===

impl TenantRow {
    pub(crate) fn of(tenant: &Tenant) -> Result<Self, RowError> {
        let terms = &tenant.terms;
        Ok(Self {
            tenant: tenant.id.to_string(),
            revision: number("revision", tenant.revision)?,
            display_name: tenant.display_name.clone(),
            state: tenant.state.as_str().to_owned(),
            deleted: tenant.deleted.map(|at| nanoseconds("deleted", at)).transpose()?,
            revocation_bound: number("revocation_bound", terms.revocation_bound().get().as_nanos())?,
            idle_after: number("idle_after", terms.idle_after().as_nanos())?,
            entry_max_age: number("entry_max_age", terms.entry_max_age().as_nanos())?,
            cache: terms.cache().as_str().to_owned(),
            loggable_context: json("loggable_context", &tenant.loggable_context)?,
            created: nanoseconds("created", tenant.created)?,
            updated: nanoseconds("updated", tenant.updated)?,
        })
    }
}

impl BindingRow {
    /// `binding` as it is from `revision` of its tenant on.
    pub(crate) fn of(binding: &Binding, revision: u64) -> Result<Self, RowError> {
        Ok(Self {
            tenant: binding.name.tenant().to_string(),
            binding: binding.name.binding().to_string(),
            version: number("version", binding.version.get())?,
            revision: number("revision", revision)?,
            state: binding.state.as_str().to_owned(),
            provider: binding.provider.to_string(),
            key: binding.key.to_string(),
            settings: json("settings", &binding.settings)?,
            external_id: binding.external_id.to_string(),
            canary_context: json("canary_context", &binding.canary_context)?,
            hierarchy: binding.hierarchy.to_string(),
            canary: binding.canary.as_ref().map(|canary| canary.as_bytes().to_vec()),
            created: nanoseconds("created", binding.created)?,
            updated: nanoseconds("updated", binding.updated)?,
        })
    }
}

fn number<T: TryInto<i64, Error: std::fmt::Display>>(
    column: &'static str,
    number: T,
) -> Result<i64, RowError> {
    number.try_into().map_err(|error| RowError { column, what: error.to_string() })
}

fn nanoseconds(column: &'static str, at: SystemTime) -> Result<i64, RowError> {
    match at.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => number(column, since.as_nanos()),
        Err(before) => number(column, before.duration().as_nanos()).map(|until| -until),
    }
}

fn json(column: &'static str, map: &impl serde::Serialize) -> Result<String, RowError> {
    serde_json::to_string(map).map_err(|error| RowError { column, what: error.to_string() })
}

// === to records ===

/// The record of these rows: a tenant, and the version of each of its bindings that is in force.
pub(crate) fn record(
    row: TenantRow,
    bindings: impl IntoIterator<Item = BindingRow>,
) -> Result<Tenant, RegistryError> {
    let id = row.tenant.clone();
    assemble(row, bindings).map_err(|error| bad(id, error))
}

/// The records of these rows, in their order, or what is wrong with them; `bindings` has what is in force of each of them, and
/// may have more.
pub(crate) fn records(
    tenants: Vec<TenantRow>,
    bindings: Vec<BindingRow>,
) -> impl Iterator<Item = Result<Arc<Tenant>, RegistryError>> {
    let mut of = HashMap::<String, Vec<BindingRow>>::new();
    for row in bindings {
        of.entry(row.tenant.clone()).or_default().push(row);
    }
    let complete = move |row: TenantRow| {
        let bindings = of.remove(&row.tenant).unwrap_or_default();
        record(row, bindings).map(Arc::new)
    };
    tenants.into_iter().map(complete)
}

/// Revisions of one tenant, in their order; `versions` has every version of each of its bindings.
pub(crate) fn history(
    revisions: Vec<TenantRow>,
    versions: &[BindingRow],
) -> Result<Vec<Arc<Tenant>>, RegistryError> {
    let in_force = |revision: i64| {
        let mut newest = BTreeMap::<&str, &BindingRow>::new();
        for row in versions.iter().filter(|row| row.revision <= revision) {
            let kept = newest.entry(&row.binding).or_insert(row);
            if row.version > kept.version {
                *kept = row;
            }
        }
        newest.into_values().cloned().collect::<Vec<_>>()
    };
    let complete = |row: TenantRow| {
        let bindings = in_force(row.revision);
        record(row, bindings).map(Arc::new)
    };
    revisions.into_iter().map(complete).collect()
}

/// The revision of a record as a database has it.
pub(crate) fn revision(tenant: &Tenant) -> Result<i64, RegistryError> {
    number("revision", tenant.revision).map_err(|error| bad(tenant.id.to_string(), error))
}

/// A number of rows as a database has it.
pub(crate) fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// The error of a record that has such a field or column.
pub(crate) fn bad(tenant: String, error: RowError) -> RegistryError {
    RegistryError::BadRecord { tenant, source: Box::new(error) }
}

fn assemble(row: TenantRow, bindings: impl IntoIterator<Item = BindingRow>) -> Result<Tenant, RowError> {
    let bindings = bindings.into_iter().map(|row| {
        let binding = Binding::try_from(row)?;
        Ok((binding.name.binding().clone(), binding))
    });
    Ok(Tenant {
        terms: terms(&row)?,
        id: parsed("tenant", &row.tenant)?,
        display_name: row.display_name,
        loggable_context: from_json("loggable_context", &row.loggable_context)?,
        state: word("state", &row.state)?,
        deleted: row.deleted.map(|at| time("deleted", at)).transpose()?,
        revision: unsigned("revision", row.revision)?,
        created: time("created", row.created)?,
        updated: time("updated", row.updated)?,
        bindings: bindings.collect::<Result<_, RowError>>()?,
    })
}

fn terms(row: &TenantRow) -> Result<LeaseTerms, RowError> {
    let span = |column, nanoseconds| unsigned(column, nanoseconds).map(Duration::from_nanos);
    let refused =
        |column| move |error: leasehold_tenant::TermsError| RowError { column, what: error.to_string() };
    let bound = RevocationBound::try_from(span("revocation_bound", row.revocation_bound)?);
    LeaseTerms::with_bound(bound.map_err(refused("revocation_bound"))?)
        .cache_mode(word("cache", &row.cache)?)
        .idle_after_of(span("idle_after", row.idle_after)?)
        .map_err(refused("idle_after"))?
        .entry_max_age_of(span("entry_max_age", row.entry_max_age)?)
        .map_err(refused("entry_max_age"))
}

impl TryFrom<BindingRow> for Binding {
    type Error = RowError;

    fn try_from(row: BindingRow) -> Result<Self, RowError> {
        let canary = row.canary.map(leasehold_envelope::WrappedKey::try_from).transpose();
        Ok(Self {
            name: BindingName::new(parsed("tenant", &row.tenant)?, parsed("binding", &row.binding)?),
            version: BindingVersion::new(unsigned("version", row.version)?),
            state: word("state", &row.state)?,
            provider: parsed("provider", &row.provider)?,
            key: parsed("key", &row.key)?,
            settings: from_json::<CloudSettings>("settings", &row.settings)?,
            external_id: parsed("external_id", &row.external_id)?,
            canary_context: from_json("canary_context", &row.canary_context)?,
            hierarchy: parsed("hierarchy", &row.hierarchy)?,
            canary: canary.map_err(|error| RowError { column: "canary", what: error.to_string() })?,
            created: time("created", row.created)?,
            updated: time("updated", row.updated)?,
        })
    }
}

fn unsigned(column: &'static str, number: i64) -> Result<u64, RowError> {
    number.try_into().map_err(|_| RowError { column, what: format!("{number} is below zero") })
}

fn time(column: &'static str, nanoseconds: i64) -> Result<SystemTime, RowError> {
    let span = Duration::from_nanos(nanoseconds.unsigned_abs());
    let at = match nanoseconds {
        0.. => SystemTime::UNIX_EPOCH.checked_add(span),
        _ => SystemTime::UNIX_EPOCH.checked_sub(span),
    };
    at.ok_or_else(|| RowError { column, what: format!("{nanoseconds} is no point in time") })
}

fn parsed<T>(column: &'static str, text: &str) -> Result<T, RowError>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    text.parse().map_err(|error: T::Err| RowError { column, what: error.to_string() })
}

/// One of the words of an enum of the model, as serde spells them.
fn word<T: DeserializeOwned>(column: &'static str, text: &str) -> Result<T, RowError> {
    let read = T::deserialize(StrDeserializer::<WordError>::new(text));
    read.map_err(|error| RowError { column, what: error.to_string() })
}

fn from_json<T: for<'de> Deserialize<'de>>(column: &'static str, text: &str) -> Result<T, RowError> {
    serde_json::from_str(text).map_err(|error| RowError { column, what: error.to_string() })
}

// === from any database ===

impl<'r, R: Row> FromRow<'r, R> for TenantRow
where
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    Option<i64>: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Ok(Self {
            tenant: row.try_get("tenant")?,
            revision: row.try_get("revision")?,
            display_name: row.try_get("display_name")?,
            state: row.try_get("state")?,
            deleted: row.try_get("deleted")?,
            revocation_bound: row.try_get("revocation_bound")?,
            idle_after: row.try_get("idle_after")?,
            entry_max_age: row.try_get("entry_max_age")?,
            cache: row.try_get("cache")?,
            loggable_context: row.try_get("loggable_context")?,
            created: row.try_get("created")?,
            updated: row.try_get("updated")?,
        })
    }
}

impl<'r, R: Row> FromRow<'r, R> for BindingRow
where
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    Option<Vec<u8>>: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Ok(Self {
            tenant: row.try_get("tenant")?,
            binding: row.try_get("binding")?,
            version: row.try_get("version")?,
            revision: row.try_get("revision")?,
            state: row.try_get("state")?,
            provider: row.try_get("provider")?,
            key: row.try_get("key")?,
            settings: row.try_get("settings")?,
            external_id: row.try_get("external_id")?,
            canary_context: row.try_get("canary_context")?,
            hierarchy: row.try_get("hierarchy")?,
            canary: row.try_get("canary")?,
            created: row.try_get("created")?,
            updated: row.try_get("updated")?,
        })
    }
}
