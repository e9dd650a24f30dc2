//! Records as they are written down, and back.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use leasehold_envelope::{EncryptionContext, Envelope, Hierarchy, KeyId, WrappedKey};
use leasehold_ids::{BindingId, BindingName, BindingVersion, DeploymentId, ProviderKind, TenantId};
use leasehold_tenant::{
    Binding, BindingState, CacheMode, CloudSettings, ExternalId, LeaseTerms, LoggableContext, MAX_BINDINGS,
    RESERVED_PREFIX, RevocationBound, Tenant, TenantState, TermsError, is_display_name,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::rows::{BindingRow, RowError, TenantRow};

/// The form of the file. Later releases read it.
pub(super) const FORM: u32 = 1;

/// Beyond what any revision or version comes to, with room to go on from: every database and every program can count so far.
const MAX_COUNT: u64 = 1 << 53;

/// The first document of a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Heading {
    /// [`FORM`].
    pub(super) leasehold_registry: u32,
    /// Whose tenants these are.
    pub(super) deployment: DeploymentId,
}

/// A tenant.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantDocument {
    tenant: TenantId,
    display_name: String,
    state: TenantState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deleted: Option<Timestamp>,
    lease_terms: TermsDocument,
    #[serde(default, skip_serializing_if = "LoggableContext::is_empty")]
    loggable_context: LoggableContext,
    revision: u64,
    created: Timestamp,
    updated: Timestamp,
    #[serde(default)]
    bindings: BTreeMap<BindingId, BindingDocument>,
}

/// The terms under which its leases run.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TermsDocument {
    revocation_bound: Span,
    idle_after: Span,
    entry_max_age: Span,
    cache: CacheMode,
}

/// One of its bindings.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BindingDocument {
    state: BindingState,
    version: u64,
    provider: ProviderKind,
    key: KeyId,
    settings: CloudSettings,
    external_id: ExternalId,
    #[serde(default)]
    canary_context: EncryptionContext,
    hierarchy: Hierarchy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    canary: Option<WrappedKey>,
    created: Timestamp,
    updated: Timestamp,
}

/// A field of a document that says what it cannot.
pub(super) struct BadField {
    /// Where it is, as `bindings.main.canary`.
    pub(super) field: String,
    /// What is wrong with it.
    pub(super) what: String,
}

impl BadField {
    fn new(field: impl Into<String>, what: impl fmt::Display) -> Self {
        Self { field: field.into(), what: what.to_string() }
    }
}

// === from records ===

impl From<&Tenant> for TenantDocument {
    fn from(tenant: &Tenant) -> Self {
        let terms = &tenant.terms;
        let bindings = tenant.bindings.iter().map(|(id, binding)| (id.clone(), binding.into()));
        Self {
            tenant: tenant.id.clone(),
            display_name: tenant.display_name.clone(),
            state: tenant.state,
            deleted: tenant.deleted.map(Timestamp),
            lease_terms: TermsDocument {
                revocation_bound: Span(terms.revocation_bound().get()),
                idle_after: Span(terms.idle_after()),
                entry_max_age: Span(terms.entry_max_age()),
                cache: terms.cache(),
            },
            loggable_context: tenant.loggable_context.clone(),
            revision: tenant.revision,
            created: Timestamp(tenant.created),
            updated: Timestamp(tenant.updated),
            bindings: bindings.collect(),
        }
    }
}

impl From<&Binding> for BindingDocument {
    fn from(binding: &Binding) -> Self {
        Self {
            state: binding.state,
            version: binding.version.get(),
            provider: binding.provider.clone(),
            key: binding.key.clone(),
            settings: binding.settings.clone(),
            external_id: binding.external_id.clone(),
            canary_context: binding.canary_context.clone(),
            hierarchy: binding.hierarchy,
            canary: binding.canary.clone(),
            created: Timestamp(binding.created),
            updated: Timestamp(binding.updated),
        }
    }
}

// === to records ===

impl TenantDocument {
    /// The record, if it is one that could have come about in `deployment`.
    pub(super) fn into_record(self, deployment: &DeploymentId) -> Result<Tenant, BadField> {
        let id = self.tenant;
        if id.as_str().starts_with(RESERVED_PREFIX) {
            return Err(BadField::new(
                "tenant",
                format_args!("{RESERVED_PREFIX}… is reserved for the operator"),
            ));
        }
        if !is_display_name(&self.display_name) {
            let what = "it has more than 128 characters, or control characters";
            return Err(BadField::new("display_name", what));
        }
        if !(1..=MAX_COUNT).contains(&self.revision) {
            let what = format_args!("revisions begin with 1, and end with {MAX_COUNT}");
            return Err(BadField::new("revision", what));
        }
        let active = self.bindings.values().filter(|binding| binding.state == BindingState::Active).count();
        if self.bindings.len() > MAX_BINDINGS || active > 1 {
            let what = format_args!("a tenant has at most {MAX_BINDINGS}, and at most one is ACTIVE");
            return Err(BadField::new("bindings", what));
        }
        let bindings = self.bindings.into_iter().map(|(binding, document)| {
            let name = BindingName::new(id.clone(), binding.clone());
            document.into_record(name, deployment).map(|record| (binding, record))
        });
        let bindings = bindings.collect::<Result<_, BadField>>()?;
        let record = Tenant {
            id,
            display_name: self.display_name,
            state: self.state,
            deleted: self.deleted.map(|at| at.0),
            terms: self.lease_terms.into_record()?,
            loggable_context: self.loggable_context,
            revision: self.revision,
            created: self.created.0,
            updated: self.updated.0,
            bindings,
        };
        // What the registry has no room for would be found out when half of the file is imported.
        let bad = |RowError { column, what }| BadField::new(column, what);
        TenantRow::of(&record).map_err(bad)?;
        Ok(record)
    }
}

impl TermsDocument {
    fn into_record(self) -> Result<LeaseTerms, BadField> {
        let bad = |term: &str| {
            let field = format!("lease_terms.{term}");
            move |error: TermsError| BadField::new(field, error)
        };
        let bound = RevocationBound::try_from(self.revocation_bound.0).map_err(bad("revocation_bound"))?;
        let terms = LeaseTerms::with_bound(bound).cache_mode(self.cache);
        let terms = terms.idle_after_of(self.idle_after.0).map_err(bad("idle_after"))?;
        terms.entry_max_age_of(self.entry_max_age.0).map_err(bad("entry_max_age"))
    }
}

impl BindingDocument {
    fn into_record(self, name: BindingName, deployment: &DeploymentId) -> Result<Binding, BadField> {
        let bad = |field: &str, what: &dyn fmt::Display| {
            Err(BadField::new(format!("bindings.{}.{field}", name.binding()), what))
        };
        // One that somebody chose would open another tenant's account to this one (the confused deputy).
        let issued = ExternalId::derive(deployment, &name);
        if self.external_id != issued {
            return bad("external_id", &format_args!("{deployment} issues {issued} for this binding"));
        }
        if !(1..=MAX_COUNT).contains(&self.version) {
            return bad("version", &format_args!("versions begin with 1, and end with {MAX_COUNT}"));
        }
        if self.hierarchy != Hierarchy::Direct {
            return bad("hierarchy", &"this release has direct bindings alone");
        }
        match (&self.canary, self.state.unwraps()) {
            (None, true) => return bad("canary", &format_args!("{} bindings have one", self.state)),
            (Some(_), _) if self.state == BindingState::Pending => {
                return bad("canary", &"a PENDING binding has none");
            }
            (Some(canary), _) if !is_of(canary, &name) => {
                return bad("canary", &"it is no envelope that was made for this binding");
            }
            _ => {}
        }
        let record = Binding {
            name,
            version: BindingVersion::new(self.version),
            state: self.state,
            provider: self.provider,
            key: self.key,
            settings: self.settings,
            external_id: self.external_id,
            canary_context: self.canary_context,
            hierarchy: self.hierarchy,
            canary: self.canary,
            created: self.created.0,
            updated: self.updated.0,
        };
        let kept = BindingRow::of(&record, 1);
        kept.map_err(|RowError { column, what }| {
            BadField::new(format!("bindings.{}.{column}", record.name.binding()), what)
        })?;
        Ok(record)
    }
}

fn is_of(canary: &WrappedKey, name: &BindingName) -> bool {
    let envelope = Envelope::parse(canary.as_bytes());
    envelope.is_ok_and(|envelope| {
        let header = envelope.header();
        header.tenant == *name.tenant() && header.binding == *name.binding()
    })
}

// === times ===

/// A point in time as in RFC 3339, to the nanosecond.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Timestamp(SystemTime);

impl From<Timestamp> for String {
    fn from(at: Timestamp) -> Self {
        let at = OffsetDateTime::from(at.0);
        // RFC 3339 has no year after 9999; what is written then is refused when it is read.
        at.format(&Rfc3339).unwrap_or_else(|_| at.unix_timestamp().to_string())
    }
}

impl TryFrom<String> for Timestamp {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let at = OffsetDateTime::parse(&text, &Rfc3339);
        at.map(|at| Self(at.into())).map_err(|_| "it is not a time as in 2026-01-31T12:00:00Z")
    }
}

/// A span as people write it: `5m`, `15s 1ms`.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Span(Duration);

impl From<Span> for String {
    fn from(span: Span) -> Self {
        humantime::format_duration(span.0).to_string()
    }
}

impl TryFrom<String> for Span {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        humantime::parse_duration(&text).map(Self).map_err(|_| "it is not a span as in 5m or 15s")
    }
}
