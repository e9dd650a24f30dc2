//! When to end.

use tokio::signal::unix::{SignalKind, signal};

/// Completes when the process is told to end: SIGTERM or SIGINT.
///
/// # Errors
/// If signals cannot be listened for.
pub async fn told_to_end() -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
