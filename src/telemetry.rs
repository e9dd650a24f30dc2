//! The log.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// The log cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The filter is malformed.
    #[error("log.filter is malformed; write it as in info,leasehold_lease=debug")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
}

/// Starts to log to the standard error stream. Only the first call in a process has an effect.
///
/// # Errors
/// [`TelemetryError`].
pub fn start(log: &Log) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&log.filter).map_err(TelemetryError::Filter)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // It would report a line that cannot be written, to a full disk for example, by a macro that panics when that fails too.
    let lines = lines.log_internal_errors(false);
    // Err means that somebody else, a test for example, listens already.
    let _ = match log.format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Ok(())
}
