//! Reads the file and lays the environment over it.

use std::ffi::OsString;
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
    /// An environment variable that is a setting is not UTF-8.
    #[error("the environment variable {0} is not UTF-8")]
    NotText(String),
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
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Config, ConfigError> {
    let mut table = path.map_or_else(|| Ok(Table::new()), read)?;
    for (name, value) in environment {
        // What is not ours may be anything, text or not.
        let name = name.to_string_lossy();
        if let Some(setting) = name.strip_prefix(PREFIX) {
            let value = value.to_str().ok_or_else(|| ConfigError::NotText(name.to_string()))?;
            lay_over(&mut table, setting, value).ok_or_else(|| ConfigError::BadVariable(name.to_string()))?;
        }
    }
    let mut config: Config = table.try_into().map_err(|error| ConfigError::Invalid(one_line(&error)))?;
    config.file = path.map(Path::to_owned);
    Ok(config)
}

/// What is wrong, and in which setting, which only the longer text says.
fn one_line(error: &toml::de::Error) -> String {
    error.to_string().trim_end().replace('\n', " ")
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
    use std::os::unix::ffi::OsStringExt;
    use std::time::Duration;

    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        load(None, variables.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn the_environment_is_laid_over_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("leasehold.toml");
        std::fs::write(&path, "deployment = 'prod'\n[limits]\ncalls = 7\ndrain = '1s'\n").unwrap();
        let variables = [("LEASEHOLD__LIMITS__DRAIN".into(), "2s".into())];
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
            (&[("LEASEHOLD__DEPLOYMENT", "prod"), ("LEASEHOLD__LIMITS__DRAIN", "soon")], "`limits.drain`"),
        ] {
            let error = with(variables).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
        let not_text = OsString::from_vec(vec![0xff]);
        let ours = load(None, [("LEASEHOLD__DEPLOYMENT".into(), not_text.clone())]);
        assert!(matches!(ours, Err(ConfigError::NotText(name)) if name == "LEASEHOLD__DEPLOYMENT"));
        let others = [("LEASEHOLD__DEPLOYMENT".into(), "prod".into()), (not_text.clone(), not_text)];
        assert!(load(None, others).is_ok(), "what is no setting may be anything");
        let nested = with(&[("LEASEHOLD__DEPLOYMENT", "prod"), ("LEASEHOLD__DEPLOYMENT__X", "1")]);
        assert!(matches!(nested, Err(ConfigError::BadVariable(_))));
    }
}
