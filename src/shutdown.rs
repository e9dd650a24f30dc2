//! When to end, and when not to.

use tokio::signal::unix::{SignalKind, signal};

/// Lets a write beyond a limit of file sizes fail, as one to a full disk does. Otherwise SIGXFSZ ends the process. A signal that
/// was listened for once has no effect of its own any more. Must be called within a tokio runtime.
///
/// # Errors
/// If signals cannot be listened for.
pub fn survive_file_size_limits() -> std::io::Result<()> {
    signal(SignalKind::from_raw(libc::SIGXFSZ)).map(drop)
}

/// Lets a SIGHUP that comes while the process starts end nothing, as `systemctl reload` sends it. What changed by then is found by the
/// first look at the files. Must be called within a tokio runtime.
///
/// # Errors
/// If signals cannot be listened for.
pub fn survive_hangups() -> std::io::Result<()> {
    signal(SignalKind::hangup()).map(drop)
}

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
