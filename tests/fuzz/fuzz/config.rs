//! Configurations: a file and, after a line of `%%`, environment variables as `LIMITS__DRAIN=10s`.

#![no_main]

use std::ffi::OsString;
use std::path::Path;
use std::sync::LazyLock;

use leasehold::config::{Config, ConfigError, load};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("there is a place for files"));

fuzz_target!(|text: &str| {
    let (file, environment) = text.split_once("\n%%\n").unwrap_or((text, ""));
    let path = FOLDER.path().join("leasehold.toml");
    std::fs::write(&path, file).expect("the folder is ours");
    let mut environment: Vec<_> = environment.lines().filter_map(variable).collect();
    match read(&path, &environment) {
        Ok(config) => {
            within_bounds(&config);
            environment.push(variable("NO_SUCH_SETTING=1").expect("a name and a value"));
            let refused = read(&path, &environment);
            assert!(matches!(refused, Err(ConfigError::Invalid(_))), "an unknown setting is taken");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

fn read(path: &Path, environment: &[(OsString, OsString)]) -> Result<Config, ConfigError> {
    load(Some(path), environment.iter().cloned())
}

fn variable(line: &str) -> Option<(OsString, OsString)> {
    let (name, value) = line.split_once('=')?;
    Some((format!("LEASEHOLD__{name}").into(), value.into()))
}

/// What would serve nobody, or bound nothing, is refused (promise P9).
fn within_bounds(config: &Config) {
    let limits = &config.limits;
    for count in [limits.connections, limits.calls, limits.calls_per_connection as usize] {
        assert!((1..=1_000_000_000).contains(&count), "{count}");
    }
    assert!(!limits.deadline.0.is_zero());
    assert!(config.lease.proofs_per_second.is_finite() && config.lease.proofs_per_second > 0.0);
}
