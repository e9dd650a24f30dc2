//! `leasehold config`: what a server would make of its configuration, without one.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use leasehold_clock::SystemClock;
use serde_json::{Value, json};

use super::{Failure, Output};
use crate::config::{self, Config, Listen, Registry};
use crate::reprove;
use crate::tls::Gate;

/// Bytes that a call holds of the arena at most: two keys of 64 bytes.
const CALL_BYTES: usize = 128;

/// Bytes of receive windows that a connection can fill.
const CONNECTION_BYTES: usize = 256 * 1024;

/// The share of the proofs that settings may plan on; the rest is for retries and events.
const PLANNED_SHARE: f64 = 0.7;

/// How often a lease in use is proven: at 40 % of its bound at the earliest.
const EARLIEST_PROOF: f64 = 0.4;

/// What can be asked of a configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Read the configuration and every file that it names, as a server would at its start, and show what follows from it. Asks no
    /// cloud and listens nowhere.
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

pub(super) fn run(command: ConfigCommand, output: Output) -> Result<(), Failure> {
    let ConfigCommand::Check(check) = command;
    let config = config::load(check.config.as_deref(), std::env::vars_os())?;
    usable(&config)?;
    let report = Report::of(&config);
    output.answer(&report.json(), || report.text())
}

/// That everything which can be found out on this machine alone lets a server start.
fn usable(config: &Config) -> Result<(), Failure> {
    let from = |error: &dyn std::error::Error| Failure::from_error(error);
    config.rules().map_err(|error| from(&error))?;
    if let Some(tls) = &config.listen.tls {
        Gate::open(tls.clone(), Arc::new(SystemClock::start())).map_err(|error| from(&error))?;
    }
    if let Some(reprove) = &config.reprove {
        reprove::check(reprove.clone()).map_err(|error| from(&error))?;
    }
    tracing_subscriber::EnvFilter::try_new(&config.log.filter).map_err(|error| from(&error))?;
    if config.providers.enabled().is_empty() {
        return Err(Failure::new(
            "no cloud is configured, so no binding could ever work: add [providers.aws] or another",
        ));
    }
    Ok(())
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
    fn of(config: &Config) -> Self {
        Self {
            deployment: config.deployment.to_string(),
            settings: settings(config),
            limits: limits(config),
            warnings: warnings(config),
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
        let mut text = format!("A server of deployment {} can start with it.\n\n", self.deployment);
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

fn limits(config: &Config) -> Vec<(&'static str, String)> {
    let limits = &config.limits;
    let planned = config.lease.proofs_per_second * PLANNED_SHARE;
    let room = |bound: f64| planned * bound * EARLIEST_PROOF;
    vec![
        (
            "connections",
            format!(
                "{} x 256 KiB of receive windows = {} at worst",
                limits.connections,
                bytes(limits.connections.saturating_mul(CONNECTION_BYTES))
            ),
        ),
        (
            "calls",
            format!(
                "{} x two keys of 64 bytes = {} of the arena's {}",
                limits.calls,
                bytes(limits.calls.saturating_mul(CALL_BYTES)),
                bytes(config.memory.arena_bytes)
            ),
        ),
        (
            "proofs",
            format!(
                "{} per second and cloud, 70 % of them planned: {:.0} bindings in use with a bound of 300 s, {:.0} of 15 s",
                config.lease.proofs_per_second,
                room(300.0),
                room(15.0)
            ),
        ),
        (
            "cache",
            format!(
                "{} in all, {} of one tenant",
                bytes(usize::try_from(config.lease.cache_bytes).unwrap_or(usize::MAX)),
                bytes(usize::try_from(config.lease.cache_bytes_per_tenant).unwrap_or(usize::MAX))
            ),
        ),
    ]
}

fn warnings(config: &Config) -> Vec<String> {
    let (limits, memory) = (&config.limits, &config.memory);
    let mut warnings = Vec::new();
    let mut warn = |when: bool, text: &str| {
        if when {
            warnings.push(text.to_owned())
        }
    };
    warn(
        limits.calls.saturating_mul(CALL_BYTES) > memory.arena_bytes,
        "limits.calls can hold more keys than memory.arena_bytes has room for: some calls would get RESOURCE_EXHAUSTED",
    );
    warn(
        limits.drain.0 < limits.deadline.0,
        "limits.drain is shorter than limits.deadline: calls are cut when the process ends",
    );
    warn(
        config.lease.cache_bytes_per_tenant > config.lease.cache_bytes,
        "lease.cache_bytes_per_tenant is more than there is in all: one tenant can crowd out the others",
    );
    warn(memory.danger_allow_unlocked, "memory.danger_allow_unlocked: keys may be swapped to disk");
    warn(
        config.audit.danger_serve_unrecorded,
        "audit.danger_serve_unrecorded: what cannot be recorded is served",
    );
    warn(
        config.registry == Registry::Memory,
        "registry.kind is memory: tenants and bindings are gone when the process ends",
    );
    warn(
        config.listen.tls.is_some()
            && config.listen.tcp.iter().any(|at| at.ip().is_loopback())
            && !config.listen.tcp.is_empty(),
        "listen.tcp lets any local user in besides the callers with certificates: set it to [] if nobody needs it",
    );
    warn(
        config.sentinels.is_empty(),
        "no sentinels: if our own identity breaks, every tenant's keys are wiped at once as if they had revoked",
    );
    warnings
}

/// A size with its unit.
fn bytes(size: usize) -> String {
    const UNITS: [(&str, usize); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.into_iter().find(|(_, unit)| size >= *unit) {
        Some((name, unit)) if size.is_multiple_of(unit) => format!("{} {name}", size / unit),
        Some((name, unit)) => format!("{}.{} {name}", size / unit, size % unit * 10 / unit),
        None => format!("{size} bytes"),
    }
}
