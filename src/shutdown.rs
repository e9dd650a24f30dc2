//! When to end.

use tokio::signal::unix::{SignalKind, signal};

/// Listens from now on; what is returned completes when the process is told to end: SIGTERM or SIGINT. Must be called within a
/// tokio runtime.
///
/// # Errors
/// If signals cannot be listened for.
pub fn told_to_end() -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
