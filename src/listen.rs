//! Where connections come from.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use leasehold_authz::Identity;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::authn::{self, NotLocal};
use crate::config::Listen;

/// Why nothing is listened on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// An address that may not be served.
    #[error(transparent)]
    NotLocal(#[from] NotLocal),
    /// No address and no socket is configured.
    #[error("there is nothing to listen on: configure listen.tcp or listen.unix")]
    Nowhere,
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

/// One connection, and who made it.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A bound listener.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// Removes the socket's file when the listener is gone.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

/// Binds everything that is configured, or nothing.
pub(crate) async fn bind(listen: &Listen) -> Result<Vec<Listener>, ListenError> {
    let mut listeners = Vec::new();
    for address in &listen.tcp {
        authn::check_address(*address)?;
        let bound = TcpListener::bind(address).await;
        let bound = bound.map_err(|source| ListenError::Bind { at: address.to_string(), source })?;
        listeners.push(Listener::Tcp(bound));
    }
    for path in &listen.unix {
        let bound = bind_unix(path);
        let bound = bound.map_err(|source| ListenError::Bind { at: path.display().to_string(), source })?;
        listeners.push(bound);
    }
    if listeners.is_empty() { Err(ListenError::Nowhere) } else { Ok(listeners) }
}

fn bind_unix(path: &Path) -> io::Result<Listener> {
    // Only a socket that nobody answers on is replaced; a file or a living server's socket is not.
    let stale = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    if stale && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(Listener::Unix(listener, SocketFile(path.to_owned())))
}

impl Listener {
    /// The next connection.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, Identity)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Identity::Loopback))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                let peer = authn::unix_peer(&stream)?;
                Ok((Stream::Unix(stream), peer))
            }
        }
    }

    /// Its address, if it has one.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }
}

impl std::fmt::Display for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(_) => match self.address() {
                Some(address) => write!(f, "http://{address}"),
                None => f.write_str("a TCP port"),
            },
            Self::Unix(_, SocketFile(path)) => write!(f, "unix:{}", path.display()),
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

    fn unix(path: &Path) -> Listen {
        Listen { tcp: vec![], unix: vec![path.to_owned()] }
    }

    #[tokio::test]
    async fn an_address_that_is_not_local_is_refused_before_anything_is_bound() {
        let listen = Listen { tcp: vec!["0.0.0.0:0".parse().unwrap()], unix: vec![] };
        assert!(matches!(bind(&listen).await, Err(ListenError::NotLocal(_))));
        let nothing = Listen { tcp: vec![], unix: vec![] };
        assert!(matches!(bind(&nothing).await, Err(ListenError::Nowhere)));
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_living_one_or_a_file_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let stale = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(stale);
        let living = bind(&unix(&path)).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert!(matches!(bind(&unix(&path)).await, Err(ListenError::Bind { .. })));
        drop(living);
        assert!(!path.exists(), "the file goes with its listener");
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(bind(&unix(&path)).await, Err(ListenError::Bind { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
