//! The log.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Puts another filter in place of the one in force.
static FILTER: OnceLock<Box<dyn Fn(EnvFilter) + Send + Sync>> = OnceLock::new();

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
    match log.format {
        LogFormat::Text => {
            let lines = lines.with_ansi(std::io::stderr().is_terminal()).with_filter_reloading();
            let handle = lines.reload_handle();
            if lines.try_init().is_ok() {
                let _ = FILTER.set(Box::new(move |filter| drop(handle.reload(filter))));
            }
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_filter_reloading();
            let handle = lines.reload_handle();
            if lines.try_init().is_ok() {
                let _ = FILTER.set(Box::new(move |filter| drop(handle.reload(filter))));
            }
        }
    }
    Ok(())
}

/// Logs by `filter` from now on; a malformed one changes nothing.
pub(crate) fn filter(filter: &str) {
    if let (Ok(parsed), Some(put)) = (EnvFilter::try_new(filter), FILTER.get()) {
        put(parsed);
        tracing::info!(filter, "the log goes by another filter");
    }
}
