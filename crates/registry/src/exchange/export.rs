//! Writing tenants down.

use std::io::Write;

use leasehold_ids::DeploymentId;
use leasehold_tenant::{PageRequest, Registry, RegistryError};
use serde::Serialize;

use super::document::{FORM, Heading, TenantDocument};

/// Why not everything was written down.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The registry did not say what there is.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// It could not be written.
    #[error("the export could not be written")]
    Write(#[source] std::io::Error),
    /// A record has no form in YAML: a defect.
    #[error("a record cannot be written as YAML")]
    Form(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What was written down.
#[derive(Debug)]
pub struct Exported {
    /// How many tenants.
    pub tenants: usize,
    /// What is wrong with records that are left out, because they cannot be read. The file says so too.
    pub bad: Vec<RegistryError>,
}

/// Writes all tenants of `registry`, deleted ones included, to `out`. Each record is as it was at one moment; those that change
/// meanwhile are as they were before or after.
///
/// # Errors
/// [`ExportError`]. What was written by then is of no use.
pub async fn export(
    registry: &dyn Registry,
    deployment: &DeploymentId,
    out: &mut (impl Write + Send),
) -> Result<Exported, ExportError> {
    let about = "# Tenants of Leasehold. `leasehold registry export` wrote them; `leasehold registry import` reads them.\n";
    out.write_all(about.as_bytes()).map_err(ExportError::Write)?;
    let heading = Heading { leasehold_registry: FORM, deployment: deployment.clone() };
    out.write_all(yaml(&heading)?.as_bytes()).map_err(ExportError::Write)?;
    let (mut exported, mut after) = (Exported { tenants: 0, bad: Vec::new() }, None);
    loop {
        let page =
            registry.list(PageRequest { size: PageRequest::MAX_SIZE, after, show_deleted: true }).await?;
        for tenant in &page.tenants {
            let text = yaml(&TenantDocument::from(tenant.as_ref()))?;
            write!(out, "---\n{text}").map_err(ExportError::Write)?;
        }
        for error in &page.bad {
            // Quoted, because whoever altered the record chose its id.
            writeln!(out, "# Left out: {:?}", error.to_string()).map_err(ExportError::Write)?;
        }
        exported.tenants += page.tenants.len();
        exported.bad.extend(page.bad);
        after = page.next;
        if after.is_none() {
            out.flush().map_err(ExportError::Write)?;
            return Ok(exported);
        }
    }
}

fn yaml(document: &impl Serialize) -> Result<String, ExportError> {
    // A long text, such as a canary, stays on one line.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let text = serde_saphyr::to_string_with_options(document, options);
    text.map_err(|error| ExportError::Form(error.into()))
}
