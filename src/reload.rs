//! What of the configuration may change while the process runs: the rules, and the log's filter.
//!
//! The file is looked at as every other that may be replaced, every 2 s and on SIGHUP. One that cannot be used changes nothing;
//! changes of other settings are named in the log and wait for a restart.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use leasehold_authz::{Authorizer, Identity, Operation, RuleError, Rules, Verdict};
use leasehold_ids::TenantId;
use tracing_subscriber::EnvFilter;

use crate::config::{self, Config, ConfigError, Reprove};
use crate::grpc::Connections;
use crate::telemetry;
use crate::watched::{Look, Watched};

/// Why a configuration file is not taken over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// It cannot be read, or is not a configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its rules cannot be.
    #[error(transparent)]
    Rules(#[from] RuleError),
    /// Its filter cannot be.
    #[error("log.filter is malformed; write it as in info,leasehold_lease=debug")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
}

/// The rules in force, from the configuration file as it is now.
pub(crate) struct LiveRules {
    file: Watched<Reloadable, ReloadError>,
    /// All other settings, as the process was started with.
    started: Vec<(&'static str, String)>,
    /// Closed when other rules come into force, so that no stream goes on that they do not allow.
    connections: Connections,
}

struct Reloadable {
    rules: Rules,
    filter: String,
    rest: Vec<(&'static str, String)>,
}

impl LiveRules {
    /// Reads the file at `path` again; the environment is laid over it as at the start.
    ///
    /// # Errors
    /// [`ReloadError`], if it cannot be used any more.
    pub(crate) fn open(path: PathBuf, connections: Connections) -> Result<Self, ReloadError> {
        let file = Watched::open(vec![path], read, None)?;
        let started = file.current().rest.clone();
        Ok(Self { file, started, connections })
    }
}

impl Authorizer for LiveRules {
    fn decide(&self, who: &Identity, what: Operation, tenant: Option<&TenantId>) -> Verdict {
        self.file.current().rules.decide(who, what, tenant)
    }
}

impl Look for LiveRules {
    fn look(&self) {
        let before = self.file.current();
        self.file.look();
        let now = self.file.current();
        if Arc::ptr_eq(&before, &now) {
            return;
        }
        if before.rules != now.rules {
            tracing::info!("other rules are in force");
            self.connections.close_all();
        }
        if before.filter != now.filter {
            telemetry::filter(&now.filter);
        }
        let changed = |((name, was), (_, is)): (&(&'static str, String), &(&'static str, String))| {
            (was != is).then_some(*name)
        };
        let waiting: Vec<_> = self.started.iter().zip(&now.rest).filter_map(changed).collect();
        if !waiting.is_empty() {
            tracing::warn!(settings = waiting.join(", "), "changed in the configuration, and need a restart");
        }
    }
}

impl fmt::Debug for LiveRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveRules").finish_non_exhaustive()
    }
}

fn read(files: &[PathBuf]) -> Result<Reloadable, ReloadError> {
    let config = config::load(files.first().map(PathBuf::as_path), std::env::vars_os())?;
    EnvFilter::try_new(&config.log.filter)?;
    let rest = rest(&config);
    let rules = config.rules.and(config.reprove.iter().flat_map(Reprove::rules))?;
    Ok(Reloadable { rules, filter: config.log.filter, rest })
}

/// What cannot change while the process runs, in a form that can be compared.
fn rest(config: &Config) -> Vec<(&'static str, String)> {
    vec![
        ("deployment", config.deployment.to_string()),
        ("listen", format!("{:?}", config.listen)),
        ("admin", format!("{:?}", config.admin)),
        ("registry", format!("{:?}", config.registry)),
        ("limits", format!("{:?}", config.limits)),
        ("audit", format!("{:?}", config.audit)),
        ("memory", format!("{:?}", config.memory)),
        ("lease", format!("{:?}", config.lease)),
        ("log.format", format!("{:?}", config.log.format)),
        ("providers", format!("{:?}", config.providers)),
        ("sentinels", format!("{:?}", config.sentinels)),
        ("reprove", format!("{:?}", config.reprove)),
    ]
}
