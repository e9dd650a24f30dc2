//! One handshake, within its deadline.

use std::io;
use std::time::Duration;

use leasehold_clock::TimeSource;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a handshake may take: two round trips around the world and a busy machine at either end.
const DEADLINE: Duration = Duration::from_secs(5);

/// Speaks TLS on `stream`.
///
/// # Errors
/// Why that failed, the deadline included.
pub(crate) async fn shake(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    clock: &dyn TimeSource,
) -> io::Result<TlsStream<TcpStream>> {
    tokio::select! {
        shaken = acceptor.accept(stream) => shaken,
        () = clock.sleep(DEADLINE) => Err(io::ErrorKind::TimedOut.into()),
    }
}
