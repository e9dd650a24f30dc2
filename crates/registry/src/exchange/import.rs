//! Putting tenants back.

use std::collections::BTreeSet;
use std::fmt;

use leasehold_ids::{DeploymentId, TenantId};
use leasehold_tenant::{Discontinuity, Registry, RegistryError, Tenant};
use serde::de::DeserializeOwned;
use serde_saphyr::{MessageFormatter, UserMessageFormatter};

use super::document::{BadField, FORM, Heading, TenantDocument};

/// Errors of records that are told at once; more would not be read.
const MOST_ERRORS: usize = 20;

/// What to do with a tenant that is there already, and is not what the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Refuse the whole file.
    Refuse,
    /// Make it what the file says, as a change like any other: under a later revision, and with later versions of the
    /// bindings that differ.
    Overwrite,
}

/// A file that was read and compared with what there is. Nothing is changed until it is [applied](Self::apply).
#[derive(Debug)]
pub struct Import {
    /// With the revision of what it replaces.
    changes: Vec<(Tenant, Option<u64>)>,
    unchanged: usize,
}

/// What an import does, or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Imported {
    /// Tenants that were not there.
    pub created: usize,
    /// Tenants that were there, and different.
    pub overwritten: usize,
    /// Tenants that were there, and the same.
    pub unchanged: usize,
}

/// A record that cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// In which line of the file; where only the record as a whole is wrong, the line that it begins with.
    pub line: u64,
    /// Which field, as `bindings.main.state`; empty for the record as a whole.
    pub field: String,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.what)
    }
}

/// Why a file was not imported. Unless it is [`ImportError::Interrupted`], nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// These records are wrong; there may be more.
    #[error("the file is wrong in {}", list(.0))]
    Records(Vec<RecordError>),
    /// It is another deployment's. External ids are derived from the deployment, so they would be wrong.
    #[error("the file is of the deployment {theirs}, and this is {ours}")]
    OtherDeployment {
        /// Whose it is.
        theirs: DeploymentId,
        /// Who reads it.
        ours: DeploymentId,
    },
    /// These tenants are there already, and are not what the file says.
    #[error("these tenants exist, and are not what the file says: {}", list(.0))]
    WouldOverwrite(Vec<TenantId>),
    /// What the file says of a tenant cannot come after what there is.
    #[error("what the file says of tenant {0} cannot come after what there is")]
    Unfollowing(TenantId, #[source] Discontinuity),
    /// The registry did not say what there is.
    #[error(transparent)]
    Registry(RegistryError),
    /// Some tenants were imported, and the next one could not be. Repeat the import: what was imported is left as it is.
    #[error("{done} of {all} tenants were imported; repeat the import for the others")]
    Interrupted {
        /// Created or overwritten.
        done: usize,
        /// That were to be.
        all: usize,
        /// Why it went no further.
        #[source]
        source: RegistryError,
    },
}

fn list(items: &[impl fmt::Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Import {
    /// Reads `text` for `deployment`, and compares it with what `registry` has.
    ///
    /// # Errors
    /// [`ImportError`], but not [`ImportError::Interrupted`].
    pub async fn plan(
        registry: &dyn Registry,
        deployment: &DeploymentId,
        text: &str,
        existing: Existing,
    ) -> Result<Self, ImportError> {
        let mut import = Self { changes: Vec::new(), unchanged: 0 };
        let mut different = Vec::new();
        for record in records(text, deployment)? {
            match registry.tenant(&record.id).await {
                Err(RegistryError::NotFound(_)) => import.changes.push((record, None)),
                Err(error) => return Err(ImportError::Registry(error)),
                Ok(kept) => {
                    let next = following(record, &kept);
                    if is_same(&next, &kept) {
                        import.unchanged += 1;
                        continue;
                    }
                    if existing == Existing::Refuse {
                        different.push(next.id);
                        continue;
                    }
                    let follows = next.check_follows(&kept);
                    follows.map_err(|why| ImportError::Unfollowing(next.id.clone(), why))?;
                    import.changes.push((next, Some(kept.revision)));
                }
            }
        }
        if different.is_empty() { Ok(import) } else { Err(ImportError::WouldOverwrite(different)) }
    }

    /// What it does when it is applied.
    #[must_use]
    pub fn summary(&self) -> Imported {
        let overwritten = self.changes.iter().filter(|(_, replaced)| replaced.is_some()).count();
        Imported { created: self.changes.len() - overwritten, overwritten, unchanged: self.unchanged }
    }

    /// Does it, tenant by tenant.
    ///
    /// # Errors
    /// [`ImportError::Interrupted`].
    pub async fn apply(self, registry: &dyn Registry) -> Result<Imported, ImportError> {
        let (summary, all) = (self.summary(), self.changes.len());
        for (done, (record, replaced)) in self.changes.into_iter().enumerate() {
            let kept = match replaced {
                None => registry.create(record).await,
                Some(revision) => registry.replace(record, revision).await,
            };
            kept.map_err(|source| ImportError::Interrupted { done, all, source })?;
        }
        Ok(summary)
    }
}

/// `record` under a revision, and with versions of what differs, that may come after `kept`.
fn following(mut record: Tenant, kept: &Tenant) -> Tenant {
    record.revision = record.revision.max(kept.revision.saturating_add(1));
    for (id, binding) in &mut record.bindings {
        let Some(old) = kept.bindings.get(id) else { continue };
        let version = std::mem::replace(&mut binding.version, old.version);
        if binding != old {
            binding.version = version.max(old.version.next());
        }
    }
    record
}

/// Whether they differ in the revision alone.
fn is_same(next: &Tenant, kept: &Tenant) -> bool {
    Tenant { revision: kept.revision, ..next.clone() } == *kept
}

// === reading ===

/// The records of the file, each checked by itself and against the others.
fn records(text: &str, deployment: &DeploymentId) -> Result<Vec<Tenant>, ImportError> {
    let mut documents = documents(text).into_iter();
    let Some(first) = documents.next() else {
        let what = format!("the file is empty; an export begins with leasehold_registry: {FORM}");
        return Err(ImportError::Records(vec![RecordError { line: 1, field: String::new(), what }]));
    };
    let heading: Heading = first.read().map_err(|error| ImportError::Records(vec![error]))?;
    if heading.leasehold_registry != FORM {
        let what = format!("this release reads form {FORM}; use the one that wrote the file, or a later one");
        let field = "leasehold_registry".to_owned();
        return Err(ImportError::Records(vec![RecordError { line: first.line(), field, what }]));
    }
    if heading.deployment != *deployment {
        let (theirs, ours) = (heading.deployment, deployment.clone());
        return Err(ImportError::OtherDeployment { theirs, ours });
    }
    let (mut records, mut errors, mut ids) = (Vec::new(), Vec::new(), BTreeSet::new());
    for document in documents {
        match document.record(deployment) {
            Ok(record) if ids.insert(record.id.clone()) => records.push(record),
            Ok(record) => errors.push(RecordError {
                line: document.line(),
                field: "tenant".into(),
                what: format!("{} comes a second time", record.id),
            }),
            Err(error) => errors.push(error),
        }
        if errors.len() == MOST_ERRORS {
            break;
        }
    }
    if errors.is_empty() { Ok(records) } else { Err(ImportError::Records(errors)) }
}

/// One document of the file.
#[derive(Clone, Copy)]
struct Document<'t> {
    lines_before: u64,
    text: &'t str,
}

/// The documents of `text` that say anything. A line that begins with `---` begins a document wherever it stands
/// (<https://yaml.org/spec/1.2.2/#914-explicit-documents>), so that what is wrong with one does not touch the others.
fn documents(text: &str) -> Vec<Document<'_>> {
    let mut documents = Vec::new();
    let (mut begin, mut lines_before) = (0, 0);
    let (mut at, mut lines) = (0, 0);
    for line in text.split_inclusive('\n') {
        if is_marker(line) {
            documents.push(Document { lines_before, text: &text[begin..at] });
            (begin, lines_before) = (at, lines);
        }
        (at, lines) = (at + line.len(), lines + 1);
    }
    documents.push(Document { lines_before, text: &text[begin..] });
    documents.retain(|document| !document.is_blank());
    documents
}

fn is_marker(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

impl Document<'_> {
    fn is_blank(&self) -> bool {
        self.text
            .lines()
            .all(|line| line.trim().is_empty() || line.starts_with('#') || line.trim_end() == "---")
    }

    /// The first line that says anything.
    fn line(&self) -> u64 {
        self.lines_before + if self.text.starts_with("---") { 2 } else { 1 }
    }

    fn record(&self, deployment: &DeploymentId) -> Result<Tenant, RecordError> {
        let document: TenantDocument = self.read()?;
        let record = document.into_record(deployment);
        record.map_err(|BadField { field, what }| RecordError { line: self.line(), field, what })
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, RecordError> {
        let mut field = String::new();
        let read = serde_saphyr::with_deserializer_from_str(self.text, |deserializer| {
            serde_path_to_error::deserialize(deserializer).map_err(|error| {
                field = path(error.path());
                error.into_inner()
            })
        });
        read.map_err(|error| RecordError {
            line: error.location().map_or(self.line(), |at| self.lines_before + at.line()),
            field,
            what: UserMessageFormatter.format_message(error.without_snippet()).into_owned(),
        })
    }
}

/// The names of the fields on the way, as far as they are known; those that are written twice, for example, are not.
fn path(path: &serde_path_to_error::Path) -> String {
    let known = path.iter().take_while(|segment| !matches!(segment, serde_path_to_error::Segment::Unknown));
    known.map(ToString::to_string).collect::<Vec<_>>().join(".")
}
