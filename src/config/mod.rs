//! The configuration of a server: a TOML file, and environment variables over it. Plain data; `app` makes parts of it.
//!
//! Every setting has a documented default but `deployment`. Unknown settings are refused, so that a misspelt one is found
//! when the process starts. Each setting can also be given as an environment variable: `LEASEHOLD__` and its path in upper
//! case, with `__` between the parts; `LEASEHOLD__LIMITS__DRAIN=10s` is `drain` in `[limits]`.

mod admin;
mod audit;
mod bound;
mod listen;
mod load;
mod registry;
mod reprove;
mod span;

use std::path::PathBuf;
use std::time::Duration;

use leasehold_authz::{IdentityPattern, Rule, RuleError, Rules};
use leasehold_envelope::KeyId;
use leasehold_ids::{DeploymentId, ProviderKind};
use leasehold_secret::KeyLength;
use leasehold_tenant::CloudSettings;
use serde::Deserialize;

pub use crate::providers::{Clouds as Providers, Operator, OperatorCloud};
pub use admin::Admin;
pub use audit::Audit;
pub use listen::{Authority, DEFAULT_PORT, Listen, Tls, TlsFiles, UnixMode, VouchesFor};
pub use load::{ConfigError, load};
pub use registry::Registry;
pub use reprove::{
    Credential, Holder, Reprove, ReproveCaller, ReproveConfigError, ReproveLimits, TokenTerms,
};
pub use span::Span;

/// Everything that a server can be told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which deployment this is; a DNS label. External ids are derived from it, so it must never change. Required.
    pub deployment: DeploymentId,
    /// Where to listen.
    #[serde(default)]
    pub listen: Listen,
    /// Where tenants are kept.
    #[serde(default)]
    pub registry: Registry,
    /// Bounds of what callers may use.
    #[serde(default)]
    pub limits: Limits,
    /// Who may do what. Default: anybody on loopback or on the Unix socket may do everything, and who comes with a certificate
    /// nothing; `docs/callers.md` has examples. See [`Config::rules`].
    pub rules: Option<Rules>,
    /// Where decisions are recorded.
    #[serde(default)]
    pub audit: Audit,
    /// Locked memory.
    #[serde(default)]
    pub memory: Memory,
    /// Leases and the cache.
    #[serde(default)]
    pub lease: Lease,
    /// The log.
    #[serde(default)]
    pub log: Log,
    /// The clouds.
    #[serde(default)]
    pub providers: Providers,
    /// Bindings of the operator's own that tell a tenant's denial from a failure of our own identity. Default: none, and
    /// every denial is a tenant's. At most one per cloud; of two the later one counts.
    #[serde(default)]
    pub sentinels: Vec<Sentinel>,
    /// A listener on which feeds of the clouds' events may have tenants proven now, and do nothing else. Default: none.
    pub reprove: Option<Reprove>,
    /// A listener for orchestrators and Prometheus. Default: none.
    pub admin: Option<Admin>,
    /// The file that it was read from, if there is one.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

impl Config {
    /// The rules in force, those of event feeds included.
    ///
    /// # Errors
    /// [`RuleError::TooManyRules`].
    pub fn rules(&self) -> Result<Rules, RuleError> {
        let rules = self.rules.clone().unwrap_or_else(everybody_local);
        rules.and(self.reprove.iter().flat_map(Reprove::rules))
    }
}

/// A sentinel: a role (or the like) of the operator's own that nobody else ever takes us out of. When becoming it is
/// denied as well, a tenant's denial is our own identity's fault, and leases run out instead of being wiped. Its external
/// id is printed at the start.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sentinel {
    /// Which cloud: `aws`, `azure` or `gcp`.
    pub provider: ProviderKind,
    /// A key of the operator's own. It is never used, only named.
    pub key: KeyId,
    /// How to become the sentinel, as in a tenant's binding: `{ role_arn = "arn:aws:iam::111122223333:role/sentinel" }`.
    pub settings: CloudSettings,
}

/// Bounds of what callers may use.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections of callers with certificates open at once, of which one caller gets half; further ones are closed. As many more
    /// may be open on this machine, where further ones wait to be accepted. Default 1,024: with receive windows of 256 KiB each,
    /// both together can make us hold 512 MiB at worst.
    #[serde(deserialize_with = "bound::count")]
    pub connections: usize,
    /// Calls under way on one connection. Default 256.
    #[serde(deserialize_with = "bound::count")]
    pub calls_per_connection: u32,
    /// Calls under way in all, from their first byte on, of which one caller gets half; further ones are refused at once with
    /// RESOURCE_EXHAUSTED. Default 4,096: each is a message of 64 KiB at most, 256 MiB at worst, and holds one or two keys in the
    /// clear.
    #[serde(deserialize_with = "bound::count")]
    pub calls: usize,
    /// Streams of `WatchLeases` open at once, each for up to 1,000 tenants, of which one caller gets half; further ones are refused
    /// with RESOURCE_EXHAUSTED. Default 1,024: with messages of 384 KiB at most, 384 MiB at worst.
    #[serde(deserialize_with = "bound::count")]
    pub watches: usize,
    /// How long a call may take; a shorter deadline of the client's counts instead. Default 15 s: the 12 s that a call waits
    /// for a proof and a little for the call to the cloud that follows.
    #[serde(deserialize_with = "bound::wait")]
    pub deadline: Span,
    /// How long calls under way may go on when the process is told to end. Default 20 s: a call's deadline and a little.
    pub drain: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            calls_per_connection: 256,
            calls: 4096,
            watches: 1024,
            deadline: Span(Duration::from_secs(15)),
            drain: Span(Duration::from_secs(20)),
        }
    }
}

/// Locked memory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Memory {
    /// Bytes of locked memory for keys in the clear; 64 hold one. Default 4 MiB, 65,536 keys: two for each call under way (8,192
    /// for `limits.calls`), and one for each lease in use, which seals what is cached under it. At the default bound of 300 s
    /// `lease.proofs_per_second` keeps 25,200 leases in use for each section of `[providers]`, so 50,400 for two. Half of what most systems let a
    /// process lock.
    #[serde(deserialize_with = "bound::bytes")]
    pub arena_bytes: usize,
    /// Hold keys in ordinary memory, which may be swapped to disk, if none can be locked. Default false: refuse to start.
    pub danger_allow_unlocked: bool,
}

impl Default for Memory {
    fn default() -> Self {
        Self { arena_bytes: 4 << 20, danger_allow_unlocked: false }
    }
}

impl Memory {
    /// How many keys in the clear there is room for.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.arena_bytes / KeyLength::MAX_BYTES
    }
}

/// Leases and the cache. Each tenant's own terms (its `revocation_bound`, for example) are part of its record.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lease {
    /// Proofs per second that all bindings of one cloud share. Default 300, half of what AWS STS grants an account.
    #[serde(deserialize_with = "bound::rate")]
    pub proofs_per_second: f64,
    /// Cached keys over all tenants, in bytes of the entries. Default 64 MiB.
    pub cache_bytes: u64,
    /// Cached keys of one tenant, in bytes of the entries. Default 4 MiB.
    pub cache_bytes_per_tenant: u64,
}

impl Default for Lease {
    fn default() -> Self {
        let settings = leasehold_lease::Settings::default();
        Self {
            proofs_per_second: settings.proofs_per_second,
            cache_bytes: settings.cache_bytes,
            cache_bytes_per_tenant: settings.cache_bytes_per_tenant,
        }
    }
}

/// The log, which goes to the standard error stream.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Which lines, as in `info,leasehold_lease=debug`. Default `info`.
    pub filter: String,
    /// How they look. Default `text`.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".into(), format: LogFormat::Text }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Only this machine can connect at all; who of it may is up to the socket's permissions, or nobody's on loopback.
fn everybody_local() -> Rules {
    let rules = vec![
        Rule::everything("default-loopback", IdentityPattern::Loopback),
        Rule::everything("default-unix", IdentityPattern::AnyUnixPeer),
    ];
    // Two rules are fewer than the most that there may be; no rules at all would refuse everything.
    Rules::new(rules).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use leasehold_audit::Durability;

    use super::*;

    #[test]
    fn the_shortest_configuration_has_the_documented_defaults() {
        let config: Config = toml::from_str("deployment = 'prod'").unwrap();
        assert_eq!(config.listen.tcp, ["127.0.0.1:7420".parse().unwrap()]);
        assert_eq!((config.limits.connections, config.limits.calls), (1024, 4096));
        assert_eq!(config.limits.deadline.0, Duration::from_secs(15));
        assert!(config.audit.directory.is_none() && !config.audit.danger_serve_unrecorded);
        assert!(config.providers.aws.is_none());
    }

    /// The annotated configuration.
    const ANNOTATED: &str = include_str!("../../deploy/leasehold.toml");

    /// A line without its `#`, if it is a setting or a section that is commented out.
    fn uncommented(line: &str) -> Option<&str> {
        let rest = line.strip_prefix('#')?;
        let name = rest.split(['=', ']']).next()?.trim_start_matches('[').trim();
        let is_name = name.chars().all(|c| c.is_ascii_lowercase() || "_.".contains(c));
        (!rest.starts_with(' ') && !name.is_empty() && is_name).then_some(rest)
    }

    #[test]
    fn the_annotated_configuration_says_the_defaults() {
        let mut optional = false;
        let with_defaults = ANNOTATED.lines().map(|line| {
            if line.starts_with('[') || line.starts_with("#[") {
                optional = line.starts_with('#');
            }
            let example = ["#directory", "#signing_key"].iter().any(|name| line.starts_with(name));
            if optional || example { line } else { uncommented(line).unwrap_or(line) }
        });
        let text = with_defaults.collect::<Vec<_>>().join("\n");
        let annotated: Config = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let shortest: Config = toml::from_str("deployment = 'prod'").unwrap();
        assert_eq!(format!("{annotated:#?}"), format!("{shortest:#?}"));
    }

    #[test]
    fn the_annotated_configuration_s_examples_are_understood() {
        let text =
            ANNOTATED.lines().map(|line| uncommented(line).unwrap_or(line)).collect::<Vec<_>>().join("\n");
        let config: Config = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert!(config.listen.tls.is_some() && config.reprove.is_some() && config.admin.is_some());
        assert_eq!(config.providers.enabled(), ["aws", "azure", "gcp", "operator"]);
        assert_eq!(config.sentinels.len(), 1);
    }

    #[test]
    fn unknown_settings_are_refused_in_every_section() {
        let sections = [
            "",
            "[listen]",
            "[registry]",
            "[limits]",
            "[audit]",
            "[memory]",
            "[lease]",
            "[log]",
            "[providers]",
        ];
        for section in sections {
            let text = format!("deployment = 'prod'\n{section}\nno_such_setting = 1\n");
            let error = toml::from_str::<Config>(&text).unwrap_err();
            assert!(error.message().contains("no_such_setting"), "{section}: {error}");
        }
    }

    #[test]
    fn p9_what_would_serve_nobody_or_bound_nothing_is_refused() {
        for (setting, bad) in [
            ("limits.connections", ["0", "2000000"]),
            ("limits.calls_per_connection", ["0", "2000000"]),
            ("limits.calls", ["0", "9223372036854775807"]),
            ("limits.watches", ["0", "2000000"]),
            ("limits.deadline", ["'0s'", "'1000y'"]),
            ("lease.proofs_per_second", ["0.0", "nan"]),
            ("memory.arena_bytes", ["64", "9223372036854775807"]),
            ("audit.rotate_bytes", ["1000", "9223372036854775807"]),
            ("audit.rotate_after", ["'0s'", "'1000y'"]),
            ("audit.checkpoint_after", ["'0s'", "'1000y'"]),
            ("audit.checkpoint_records", ["0", "2000000"]),
        ] {
            for bad in bad {
                let error = toml::from_str::<Config>(&format!("deployment = 'prod'\n{setting} = {bad}\n"));
                assert!(error.is_err(), "{setting} = {bad}");
            }
        }
    }

    #[test]
    fn the_whole_of_a_configuration_is_understood() {
        let text = r#"
            deployment = "prod"
            [listen]
            tcp = []
            unix = ["/run/leasehold.sock"]
            [limits]
            deadline = "10s"
            [audit]
            directory = "/var/lib/leasehold/audit"
            durability = "synced"
            rotate_bytes = 1048576
            checkpoint_after = "10s"
            [log]
            format = "json"
            [[sentinels]]
            provider = "aws"
            key = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd"
            settings = { role_arn = "arn:aws:iam::111122223333:role/sentinel" }
            [[rules]]
            name = "engines"
            identity = "unix:uid=900"
            operations = ["keys"]
            tenants = ["*"]
        "#;
        let config: Config = toml::from_str(text).unwrap();
        let journal = config.audit.journal("prod");
        assert_eq!((journal.durability, journal.rotation.bytes), (Durability::Synced, 1 << 20));
        assert_eq!(journal.checkpoints.age, Duration::from_secs(10));
        assert_eq!(config.audit.signing_key().unwrap(), Path::new("/var/lib/leasehold/audit/signing.pem"));
        assert_eq!(config.sentinels.len(), 1);
        assert_eq!((config.limits.deadline.0, config.log.format), (Duration::from_secs(10), LogFormat::Json));
    }
}
