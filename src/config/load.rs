//! Reads the file and lays the environment over it.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::Config;

/// What every variable that is a setting begins with.
const PREFIX: &str = "LEASEHOLD__";

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {path} cannot be read")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration file {path} is not TOML: {what}")]
    NotToml {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        what: String,
    },
    /// An environment variable names a setting inside something that is not a section.
    #[error("the environment variable {0} names a setting inside another setting")]
    BadVariable(String),
    /// A setting is unknown, missing or has a value that it cannot have.
    #[error("the configuration is not valid: {0}")]
    Invalid(String),
}

/// The configuration in the file at `path`, if one is given, with `environment` laid over it.
///
/// # Errors
/// [`ConfigError`].
pub fn load(
    path: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let mut table = path.map_or_else(|| Ok(Table::new()), read)?;
    for (name, value) in environment {
        if let Some(setting) = name.strip_prefix(PREFIX) {
            lay_over(&mut table, setting, &value).ok_or_else(|| ConfigError::BadVariable(name.clone()))?;
        }
    }
    table.try_into().map_err(|error: toml::de::Error| ConfigError::Invalid(error.message().to_owned()))
}

fn read(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    text.parse().map_err(|error: toml::de::Error| ConfigError::NotToml {
        path: path.to_owned(),
        what: error.to_string(),
    })
}

/// Sets `A__B__C` to `value`: `c` in the section `[a.b]`.
fn lay_over(table: &mut Table, setting: &str, value: &str) -> Option<()> {
    let lower = setting.to_ascii_lowercase();
    let mut parts = lower.split("__").collect::<Vec<_>>();
    let last = parts.pop()?;
    let section = parts.into_iter().try_fold(table, |table, part| {
        table.entry(part).or_insert_with(|| Value::Table(Table::new())).as_table_mut()
    })?;
    section.insert(last.to_owned(), value_of(value));
    Some(())
}

/// What TOML makes of it (`8`, `true`, `["a", "b"]`), or else the text itself, so that strings need no quotes.
fn value_of(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    match parsed {
        // A date would not be what anybody meant.
        None | Some(Value::Datetime(_)) => Value::String(text.to_owned()),
        Some(value) => value,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        load(None, variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn the_environment_is_laid_over_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("leasehold.toml");
        std::fs::write(&path, "deployment = 'prod'\n[limits]\ncalls = 7\ndrain = '1s'\n").unwrap();
        let variables = [("LEASEHOLD__LIMITS__DRAIN".to_owned(), "2s".to_owned())];
        let config = load(Some(&path), variables).unwrap();
        assert_eq!((config.limits.calls, config.limits.drain.0), (7, Duration::from_secs(2)));
    }

    #[test]
    fn values_of_the_environment_are_toml_or_plain_text() {
        let config = with(&[
            ("LEASEHOLD__DEPLOYMENT", "prod"),
            ("LEASEHOLD__LISTEN__TCP", "[\"127.0.0.1:0\"]"),
            ("LEASEHOLD__LIMITS__CALLS", "9"),
            ("LEASEHOLD__AUDIT__DANGER_SERVE_UNRECORDED", "true"),
            ("LEASEHOLD_ADDR", "is not a setting of the server"),
        ]);
        let config = config.unwrap();
        assert_eq!(config.listen.tcp, ["127.0.0.1:0".parse().unwrap()]);
        assert!(config.limits.calls == 9 && config.audit.danger_serve_unrecorded);
    }

    #[test]
    fn what_is_unknown_or_missing_is_named() {
        for (variables, named) in [
            (&[][..], "deployment"),
            (&[("LEASEHOLD__DEPLOYMENT", "prod"), ("LEASEHOLD__LIMITS__CALL", "1")], "call"),
            (&[("LEASEHOLD__DEPLOYMENT", "Not A Label")], "deployment id"),
            (&[("LEASEHOLD__DEPLOYMENT", "prod"), ("LEASEHOLD__LIMITS__DRAIN", "soon")], "number"),
        ] {
            let error = with(variables).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
        let nested = with(&[("LEASEHOLD__DEPLOYMENT", "prod"), ("LEASEHOLD__DEPLOYMENT__X", "1")]);
        assert!(matches!(nested, Err(ConfigError::BadVariable(_))));
    }
}
