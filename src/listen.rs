//! Where connections come from.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use leasehold_authz::Identity;
use leasehold_clock::TimeSource;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixSocket, UnixStream};

use crate::authn::{self, NotLocal};
use crate::config::{Listen, UnixMode};
use crate::tls::{Gate, Peer, TlsError};
use crate::watched::Look;

/// Connections to a Unix socket that wait to be accepted, as many as the runtime allows on its own sockets.
const UNIX_BACKLOG: u32 = 1024;

/// Why nothing is listened on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// An address that may not be served.
    #[error(transparent)]
    NotLocal(#[from] NotLocal),
    /// No address and no socket is configured.
    #[error("there is nothing to listen on: configure listen.tcp, listen.unix or listen.tls")]
    Nowhere,
    /// Certificates cannot be used.
    #[error("the listener for callers with certificates cannot be set up")]
    Tls(#[from] TlsError),
    /// An address or socket cannot be listened on.
    #[error("cannot listen on {at}")]
    Bind {
        /// Where.
        at: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// One connection.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A bound listener.
#[derive(Debug)]
pub(crate) enum Listener {
    Local(Local),
    /// Who connects is known only after a handshake.
    Tls(TcpListener, Gate),
}

/// A listener that only this machine reaches.
#[derive(Debug)]
pub(crate) enum Local {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// Everything that is listened on.
pub(crate) struct Bound {
    pub(crate) listeners: Vec<Listener>,
    /// What has to look at its files.
    pub(crate) files: Vec<Arc<dyn Look>>,
}

/// Removes the socket's file when the listener is gone.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

/// Whether there is something to listen on, and nothing that may not be.
///
/// # Errors
/// [`ListenError::NotLocal`]; [`ListenError::Nowhere`].
pub(crate) fn check(listen: &Listen) -> Result<(), ListenError> {
    listen.tcp.iter().try_for_each(|address| authn::check_address(*address))?;
    let nowhere = listen.tcp.is_empty() && listen.unix.is_empty() && listen.tls.is_none();
    if nowhere { Err(ListenError::Nowhere) } else { Ok(()) }
}

/// Binds everything that is configured, or nothing.
pub(crate) async fn bind(listen: Listen, clock: &Arc<dyn TimeSource>) -> Result<Bound, ListenError> {
    check(&listen)?;
    let (mut listeners, mut files) = (Vec::new(), Vec::new());
    for address in listen.tcp {
        listeners.push(Listener::Local(Local::Tcp(bind_tcp(address).await?)));
    }
    if let Some(tls) = listen.tls {
        let addresses = tls.addresses.clone();
        let (gate, watched) = Gate::open(tls, Arc::clone(clock))?;
        files.extend(watched);
        for address in addresses {
            listeners.push(Listener::Tls(bind_tcp(address).await?, gate.clone()));
        }
    }
    for path in &listen.unix {
        let bound = bind_unix(path, listen.unix_mode);
        let bound = bound.map_err(|source| ListenError::Bind { at: path.display().to_string(), source })?;
        listeners.push(Listener::Local(bound));
    }
    Ok(Bound { listeners, files })
}

async fn bind_tcp(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| ListenError::Bind { at: address.to_string(), source })
}

fn bind_unix(path: &Path, mode: UnixMode) -> io::Result<Local> {
    // Only a socket that nobody answers on is replaced; a file or a living server's socket is not.
    let stale = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    if stale && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    let (socket, file) = bound_socket(path, mode)?;
    Ok(Local::Unix(socket.listen(UNIX_BACKLOG)?, file))
}

/// A socket that has its permissions already and does not listen yet. The kernel makes the file with what the umask leaves, and
/// as long as nothing listens nobody can connect to it.
fn bound_socket(path: &Path, mode: UnixMode) -> io::Result<(UnixSocket, SocketFile)> {
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    let file = SocketFile(path.to_owned());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode.0))?;
    Ok((socket, file))
}

impl Local {
    /// The next connection, and who made it.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Peer::local(Identity::Loopback)))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                let peer = authn::unix_peer(&stream)?;
                Ok((Stream::Unix(stream), Peer::local(peer)))
            }
        }
    }
}

impl Listener {
    /// Its address, if it has one.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Local(Local::Tcp(listener)) | Self::Tls(listener, _) => listener.local_addr().ok(),
            Self::Local(Local::Unix(..)) => None,
        }
    }
}

impl std::fmt::Display for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = match self {
            Self::Local(Local::Unix(_, SocketFile(path))) => return write!(f, "unix:{}", path.display()),
            Self::Local(Local::Tcp(_)) => "http",
            Self::Tls(..) => "https",
        };
        match self.address() {
            Some(address) => write!(f, "{scheme}://{address}"),
            None => f.write_str("a TCP port"),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody else may have removed it.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn bind(listen: Listen) -> Result<Bound, ListenError> {
        let clock: Arc<dyn TimeSource> = Arc::new(leasehold_clock::SystemClock::start());
        super::bind(listen, &clock).await
    }

    fn unix(path: &Path) -> Listen {
        Listen { tcp: vec![], unix: vec![path.to_owned()], ..Listen::default() }
    }

    #[tokio::test]
    async fn an_address_that_is_not_local_is_refused_before_anything_is_bound() {
        let listen = Listen { tcp: vec!["0.0.0.0:0".parse().unwrap()], ..Listen::default() };
        assert!(matches!(bind(listen).await, Err(ListenError::NotLocal(_))));
        let nothing = Listen { tcp: vec![], ..Listen::default() };
        assert!(matches!(bind(nothing).await, Err(ListenError::Nowhere)));
    }

    #[tokio::test]
    async fn p6_nobody_can_connect_to_a_socket_that_has_not_its_permissions_yet() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let (socket, _file) = bound_socket(&path, UnixMode(0o600)).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let refused = UnixStream::connect(&path).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let _listener = socket.listen(UNIX_BACKLOG).unwrap();
        assert!(UnixStream::connect(&path).await.is_ok());
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_living_one_or_a_file_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let stale = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(stale);
        let living = bind(unix(&path)).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert!(matches!(bind(unix(&path)).await, Err(ListenError::Bind { .. })));
        drop(living);
        let narrow = Listen { unix_mode: "0600".to_owned().try_into().unwrap(), ..unix(&path) };
        let living = bind(narrow).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(living);
        assert!(!path.exists(), "the file goes with its listener");
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(bind(unix(&path)).await, Err(ListenError::Bind { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
