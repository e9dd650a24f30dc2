//! `leasehold registry`: on the registry itself, whether or not a service runs on it.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use leasehold_clock::SystemClock;
use leasehold_ids::{DeploymentId, TenantId};
use leasehold_registry::{
    Absent, Existing, Exported, Import, ImportError, Imported, MemoryRegistry, SqliteError, SqliteRegistry,
    SqliteSettings, export,
};
use leasehold_tenant::{HISTORY_PAGE, Registry, Tenant};
use serde_json::json;

use super::{Failure, Output, json};
use crate::config;

/// What can be done with all tenants at once.
#[derive(Debug, Subcommand)]
pub enum RegistryCommand {
    /// Write all tenants, deleted ones included, as YAML. A service may run meanwhile.
    #[command(
        after_help = "Example:\n  leasehold registry export --config /etc/leasehold/leasehold.toml --file tenants.yaml"
    )]
    Export {
        /// A new file, for this user alone. Default: the standard output stream.
        #[arg(long, short, value_name = "FILE")]
        file: Option<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
    /// Put tenants back that were written as YAML. All of the file is checked before anything is changed. A service that runs
    /// meanwhile follows within a second.
    #[command(
        after_help = "Example:\n  leasehold registry import --config /etc/leasehold/leasehold.toml --file tenants.yaml"
    )]
    Import {
        /// The file; - for the standard input stream.
        #[arg(long, short, default_value = "-", value_name = "FILE")]
        file: PathBuf,
        /// Make tenants that exist what the file says. Without it, a tenant that exists and is different is refused.
        #[arg(long)]
        overwrite: bool,
        /// Check everything, and change nothing.
        #[arg(long)]
        validate_only: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Tell what a tenant's record was, from the first revision on. Who made a change is in the audit records of its time.
    #[command(
        after_help = "Example:\n  leasehold registry history acme --config /etc/leasehold/leasehold.toml"
    )]
    History {
        /// Which tenant.
        tenant: TenantId,
        #[command(flatten)]
        place: Place,
    },
}

/// Where the registry is: where the configuration of the service says.
#[derive(Debug, Args)]
pub struct Place {
    /// The service's TOML file. Without one, settings come from the environment alone: LEASEHOLD__REGISTRY__PATH and so on.
    #[arg(long, env = "LEASEHOLD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) async fn run(command: RegistryCommand, output: Output) -> Result<(), Failure> {
    match command {
        RegistryCommand::Export { file, place } => write(file.as_deref(), &place, output).await,
        RegistryCommand::Import { file, overwrite, validate_only, place } => {
            let existing = if overwrite { Existing::Overwrite } else { Existing::Refuse };
            read(&file, existing, validate_only, &place, output).await
        }
        RegistryCommand::History { tenant, place } => history(&tenant, &place, output).await,
    }
}

async fn write(file: Option<&Path>, place: &Place, output: Output) -> Result<(), Failure> {
    let kept = place.find()?;
    let registry = kept.open(Absent::Refuse).await?;
    let Some(path) = file else {
        // Whole, or not at all: a part of it would look like all there is.
        let mut text = Vec::new();
        let exported = export(&registry, &kept.deployment, &mut text).await?;
        let text = String::from_utf8_lossy(&text);
        let value = json!({ "tenants": exported.tenants, "left_out": exported.bad.len(), "yaml": text });
        output.answer(&value, || text.trim_end().to_owned())?;
        return complete(&exported, output);
    };
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = async {
        let exported = export(&registry, &kept.deployment, &mut std::io::BufWriter::new(&mut out)).await?;
        out.sync_all()?;
        Ok::<_, Failure>(exported)
    };
    match written.await {
        Ok(exported) => {
            let (tenants, left_out) = (exported.tenants, exported.bad.len());
            let value = json!({ "tenants": tenants, "left_out": left_out });
            output.answer(&value, || format!("{tenants} tenants"))?;
            complete(&exported, output)
        }
        Err(failure) => {
            // What is left of it is of no use, and may be there for want of room.
            let _ = std::fs::remove_file(path);
            Err(failure)
        }
    }
}

/// Names what was left out. What was written is of use nevertheless, and is not all there is.
fn complete(exported: &Exported, output: Output) -> Result<(), Failure> {
    for error in &exported.bad {
        output.warn(&Failure::from_error(error).to_string());
    }
    match exported.bad.len() {
        0 => Ok(()),
        bad => Err(Failure::new(format!("{bad} tenants are left out, because their records cannot be read"))),
    }
}

async fn read(
    file: &Path,
    existing: Existing,
    validate_only: bool,
    place: &Place,
    output: Output,
) -> Result<(), Failure> {
    let kept = place.find()?;
    let mut text = String::new();
    match file.to_str() {
        Some("-") => std::io::stdin().lock().read_to_string(&mut text)?,
        _ => File::open(file)?.read_to_string(&mut text)?,
    };
    let imported = if validate_only {
        would_import(&kept, &text, existing).await?
    } else {
        let registry = kept.open(Absent::Create).await?;
        let import = Import::plan(&registry, &kept.deployment, &text, existing).await?;
        let imported = import.apply(&registry).await?;
        registry.close().await;
        imported
    };
    let would = if validate_only { "would be " } else { "" };
    let Imported { created, overwritten, unchanged } = imported;
    output.answer(&json!(imported), || {
        format!("{created} {would}created, {overwritten} {would}overwritten, {unchanged} unchanged")
    })
}

/// What importing would do; without a file that may be made, it would be done to nothing.
async fn would_import(kept: &Kept, text: &str, existing: Existing) -> Result<Imported, Failure> {
    let registry: Box<dyn Registry> = match kept.open(Absent::Refuse).await {
        Ok(registry) => Box::new(registry),
        Err(SqliteError::Absent { .. }) => Box::new(MemoryRegistry::new()),
        Err(error) => return Err(error.into()),
    };
    Ok(Import::plan(&*registry, &kept.deployment, text, existing).await?.summary())
}

async fn history(id: &TenantId, place: &Place, output: Output) -> Result<(), Failure> {
    let registry = place.find()?.open(Absent::Refuse).await?;
    // Says so if there never was such a tenant.
    registry.tenant(id).await?;
    let mut before: Option<Arc<Tenant>> = None;
    loop {
        let page = registry.history(id, before.as_ref().map_or(0, |tenant| tenant.revision)).await?;
        for tenant in &page {
            let changed = tenant.differences(before.as_deref());
            let changed: Vec<_> = changed.iter().map(ToString::to_string).collect();
            let (revision, at) = (tenant.revision, json::moment(tenant.updated).unwrap_or_default());
            let value = json!({ "revision": revision, "at": at, "changed": changed });
            output.answer(&value, || format!("{revision:>5}  {at}  {}", changed.join(", ")))?;
            before = Some(Arc::clone(tenant));
        }
        if page.len() < HISTORY_PAGE {
            return Ok(());
        }
    }
}

/// Which registry, and whose.
struct Kept {
    path: PathBuf,
    deployment: DeploymentId,
}

impl Place {
    fn find(&self) -> Result<Kept, Failure> {
        let config = config::load(self.config.as_deref(), std::env::vars_os())?;
        match config.registry {
            config::Registry::Sqlite { path } => Ok(Kept { path, deployment: config.deployment }),
            config::Registry::Memory => {
                let why = "registry.kind is \"memory\": that registry is in the service's memory, where nobody else reaches it";
                Err(Failure::usage(why))
            }
        }
    }
}

impl Kept {
    async fn open(&self, absent: Absent) -> Result<SqliteRegistry, SqliteError> {
        let settings =
            SqliteSettings { path: self.path.clone(), deployment: self.deployment.clone(), absent };
        SqliteRegistry::open(settings, Arc::new(SystemClock::start())).await
    }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        let failure = Self::from_error(&error);
        match &error {
            ImportError::Records(errors) => {
                let lines = errors.iter().map(|error| format!("\n  {error}")).collect::<String>();
                Self::new(format!("the file is not imported, and nothing was changed:{lines}"))
            }
            ImportError::WouldOverwrite(_) => {
                failure.with_hint("nothing was changed; --overwrite makes them what the file says")
            }
            _ => failure,
        }
    }
}
