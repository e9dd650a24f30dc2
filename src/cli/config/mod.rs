//! `leasehold config`: what a server would make of its configuration, without one.

mod limits;
mod warnings;

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use leasehold_clock::{SystemClock, TimeSource};
use leasehold_secret::{Arena, ArenaConfig, OnUnlockable};
use serde_json::{Value, json};

use super::{Failure, Output};
use crate::config::{self, Config, Listen, Registry};
use crate::telemetry::TelemetryError;
use crate::validate::validate;

/// What can be asked of a configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Read the configuration and every file that it names, as a server would at its start, and show what follows from it. Asks no
    /// cloud, listens nowhere and writes nothing.
    #[command(after_help = "Example:\n  leasehold config check --config /etc/leasehold/leasehold.toml")]
    Check(Check),
}

/// Which configuration.
#[derive(Debug, Args)]
pub struct Check {
    /// The configuration of the server, as for `serve`; LEASEHOLD__… variables are laid over it.
    #[arg(long, env = "LEASEHOLD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) async fn run(command: ConfigCommand, output: Output) -> Result<(), Failure> {
    let ConfigCommand::Check(check) = command;
    let config = config::load(check.config.as_deref(), std::env::vars_os())?;
    tracing_subscriber::EnvFilter::try_new(&config.log.filter).map_err(TelemetryError::Filter)?;
    let clock: Arc<dyn TimeSource> = Arc::new(SystemClock::start());
    // No key will be in it, and what may be locked here is not what the server may.
    let on_unlockable = OnUnlockable::DangerUseOrdinaryMemory;
    let arena = Arena::new(ArenaConfig { bytes: ArenaConfig::MIN_BYTES, on_unlockable })?;
    validate(&config, &arena, &clock).await?;
    let report = Report::of(&config, clock.wall());
    output.answer(&report.json(), || report.text())
}

/// What follows from a configuration.
struct Report {
    deployment: String,
    /// What, and how it is set.
    settings: Vec<(&'static str, String)>,
    /// Which limit, and its arithmetic.
    limits: Vec<(&'static str, String)>,
    warnings: Vec<String>,
}

impl Report {
    fn of(config: &Config, now: SystemTime) -> Self {
        Self {
            deployment: config.deployment.to_string(),
            settings: settings(config),
            limits: limits::of(config),
            warnings: warnings::of(config, now),
        }
    }

    fn json(&self) -> Value {
        let object = |pairs: &[(&'static str, String)]| {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json!(value)))
                .collect::<serde_json::Map<_, _>>()
        };
        json!({
            "deployment": self.deployment,
            "settings": object(&self.settings),
            "limits": object(&self.limits),
            "warnings": self.warnings,
        })
    }

    fn text(&self) -> String {
        let mut text = format!(
            "A server of deployment {} can start with it, if it finds its ports free, its disks writable and memory to lock.\n\n",
            self.deployment
        );
        for (name, value) in self.settings.iter().chain(&self.limits) {
            // Writing to a string does not fail.
            let _ = writeln!(text, "  {name:<12} {value}");
        }
        for warning in &self.warnings {
            let _ = write!(text, "\nwarning: {warning}");
        }
        text.trim_end().to_owned()
    }
}

fn settings(config: &Config) -> Vec<(&'static str, String)> {
    let registry = match &config.registry {
        Registry::Sqlite { path } => format!("SQLite, {}", path.display()),
        Registry::Memory => "in memory: gone when the process ends".to_owned(),
    };
    let audit = match &config.audit.directory {
        Some(directory) => format!("{}, {:?}", directory.display(), config.audit.durability).to_lowercase(),
        None => "the standard error stream".to_owned(),
    };
    vec![
        ("listens at", listens(&config.listen)),
        ("admin", addresses(config.admin.as_ref().map(|admin| &*admin.addresses), "http")),
        ("events", addresses(config.reprove.as_ref().map(|reprove| &*reprove.listen), "http(s)")),
        ("clouds", config.providers.enabled().join(", ")),
        ("registry", registry),
        ("audit", audit),
    ]
}

fn listens(listen: &Listen) -> String {
    let local = listen.tcp.iter().map(|address| format!("http://{address}"));
    let unix = listen.unix.iter().map(|path| format!("unix:{}", path.display()));
    let tls = listen.tls.iter().flat_map(|tls| &tls.addresses).map(|address| format!("https://{address}"));
    local.chain(unix).chain(tls).collect::<Vec<_>>().join(", ")
}

fn addresses(addresses: Option<&[std::net::SocketAddr]>, scheme: &str) -> String {
    let listed =
        addresses.map(|all| all.iter().map(|at| format!("{scheme}://{at}")).collect::<Vec<_>>().join(", "));
    listed.unwrap_or_else(|| "none".to_owned())
}
