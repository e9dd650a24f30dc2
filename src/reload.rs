//! What of the configuration may change while the process runs: the rules, and the log's filter.
//!
//! The file is looked at as every other that may be replaced, every 2 s and on SIGHUP. One that cannot be used changes nothing;
//! changes of other settings are named in the log and wait for a restart. Rules never give way to the ones that hold without any:
//! a file that is cut short before them is well-formed, and would make everybody on this machine an administrator.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use leasehold_authz::{Authorizer, Identity, Operation, RuleError, Rules, Verdict};
use leasehold_clock::TimeSource;
use leasehold_ids::TenantId;
use tracing_subscriber::EnvFilter;

use crate::config::{self, Config, ConfigError};
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
    /// It has none any more.
    #[error(
        "there are no [[rules]] in it any more, as in a file that is cut short: write `rules = []` to allow nobody anything, \
         or restart to let local callers do everything"
    )]
    RulesGone,
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
    clock: Arc<dyn TimeSource>,
}

struct Reloadable {
    rules: Rules,
    /// Whether the file has them, or they are the ones that hold without any.
    given: bool,
    filter: String,
    rest: Vec<(&'static str, String)>,
}

impl LiveRules {
    /// Reads the file at `path` again, which `config` was read from; the environment is laid over it as at the start.
    ///
    /// # Errors
    /// [`ReloadError`], if it cannot be used any more.
    pub(crate) fn open(
        path: PathBuf,
        config: &Config,
        connections: Connections,
        clock: Arc<dyn TimeSource>,
    ) -> Result<Self, ReloadError> {
        let file = Watched::open(vec![path], read, None)?.unless(|was, is| keeps_rules(was.given, is));
        keeps_rules(config.rules.is_some(), &file.current())?;
        let started = file.current().rest.clone();
        Ok(Self { file, started, connections, clock })
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
            // Files are looked at on a thread where a runtime is at hand.
            let (connections, clock) = (self.connections.clone(), Arc::clone(&self.clock));
            tokio::spawn(async move { connections.close_all(&*clock).await });
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

fn keeps_rules(given: bool, now: &Reloadable) -> Result<(), ReloadError> {
    if given && !now.given { Err(ReloadError::RulesGone) } else { Ok(()) }
}

fn read(files: &[PathBuf]) -> Result<Reloadable, ReloadError> {
    let config = config::load(files.first().map(PathBuf::as_path), std::env::vars_os())?;
    EnvFilter::try_new(&config.log.filter)?;
    let rest = rest(&config);
    let (rules, given) = (config.rules()?, config.rules.is_some());
    Ok(Reloadable { rules, given, filter: config.log.filter, rest })
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

#[cfg(test)]
mod tests {
    use leasehold_clock::ManualClock;

    use super::*;

    const WHOLE: &str = "# The platform's own.\ndeployment = 'prod'\n[limits]\ncalls = 7\n\
        [[rules]]\nname = 'readers'\nidentity = 'unix:uid=900'\noperations = ['GetTenant', 'ListTenants']\ntenants = ['acme-*']\n\
        [[rules]]\nname = 'engine'\nidentity = 'unix:uid=901'\noperations = ['keys']\ntenants = ['acme', '*']\n\
        [log]\nfilter = 'info'\n";

    /// Everything that somebody may do of what decides here.
    fn allowed(rules: &LiveRules) -> Vec<(u32, Operation, &'static str)> {
        let mut allowed = Vec::new();
        for uid in [0, 900, 901] {
            let who = Identity::UnixPeer { uid, gid: uid, pid: None };
            for what in [Operation::GetTenant, Operation::UnwrapKey, Operation::SuspendTenant] {
                for tenant in ["acme", "acme-eu", "globex"] {
                    if rules.decide(&who, what, Some(&tenant.parse().unwrap())).is_allowed() {
                        allowed.push((uid, what, tenant));
                    }
                }
            }
        }
        allowed
    }

    #[tokio::test]
    async fn p6_a_file_that_is_cut_short_anywhere_lets_nobody_do_more() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("leasehold.toml");
        let replace = |text: &str| {
            std::fs::write(directory.path().join("new"), text).unwrap();
            std::fs::rename(directory.path().join("new"), &path).unwrap();
        };
        replace(WHOLE);
        let config = config::load(Some(&path), []).unwrap();
        let live =
            LiveRules::open(path.clone(), &config, Connections::default(), Arc::new(ManualClock::new()))
                .unwrap();
        let whole = allowed(&live);
        assert_eq!(whole.len(), 1 + 3);
        for end in 0..WHOLE.len() {
            replace(&WHOLE[..end]);
            live.look();
            let cut = allowed(&live);
            assert!(cut.iter().all(|one| whole.contains(one)), "cut after {end} bytes: {cut:?}");
        }
        replace("deployment = 'prod'\nrules = []\n");
        live.look();
        assert_eq!(allowed(&live), [], "nobody is who is meant to be nobody");
        replace(WHOLE);
        live.look();
        assert_eq!(allowed(&live), whole);
    }

    #[tokio::test]
    async fn p6_a_file_without_rules_is_refused_by_what_it_lacks_and_rules_may_be_added() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("leasehold.toml");
        let open = |started: &str, now: &str| {
            std::fs::write(&path, started).unwrap();
            let config = config::load(Some(&path), []).unwrap();
            std::fs::write(&path, now).unwrap();
            LiveRules::open(path.clone(), &config, Connections::default(), Arc::new(ManualClock::new()))
        };
        const NONE: &str = "deployment = 'prod'\n";
        assert!(
            matches!(open(WHOLE, NONE), Err(ReloadError::RulesGone)),
            "it was cut short during the start"
        );
        let live = open(NONE, NONE).unwrap();
        assert_eq!(allowed(&live).len(), 27, "whoever is on this machine may do everything");
        std::fs::write(&path, WHOLE).unwrap();
        live.look();
        std::fs::write(&path, NONE).unwrap();
        live.look();
        assert_eq!(allowed(&live).len(), 4);
    }
}
