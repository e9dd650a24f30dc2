//! The way in for callers with certificates.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use leasehold_clock::TimeSource;
use rustls::ServerConfig;
use rustls::pki_types::UnixTime;
use rustls::server::NoServerSessionStorage;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::trust::Trust;
use super::{Peer, TlsError, certificate, handshake};
use crate::config::Tls;
use crate::places::{Place, Places};
use crate::rate::{Buckets, Rate};
use crate::watched::Look;

/// Refusals that are logged, per second and at once. Anybody who reaches the port can cause them at any rate, and one line
/// says as much as a thousand.
const LOGGED: Rate = Rate { per_second: 1.0, burst: 10.0 };

/// Lets callers in by their certificates. Clones share one room.
#[derive(Clone)]
pub(crate) struct Gate {
    acceptor: TlsAcceptor,
    trust: Arc<Trust>,
    /// For connections that nobody is known on yet. When there is none left the oldest of them gives way, so that nobody
    /// can keep callers out by holding connections open.
    strangers: Places,
    logged: Arc<Buckets<()>>,
    clock: Arc<dyn TimeSource>,
}

impl Gate {
    /// Reads the certificates; gives what has to look at their files, too.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(crate) fn open(tls: Tls, clock: Arc<dyn TimeSource>) -> Result<(Self, Vec<Arc<dyn Look>>), TlsError> {
        let certificate = certificate::open(tls.files)?;
        let trust = Trust::open(tls.authorities)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let wall = Arc::new(Wall(Arc::clone(&clock)));
        let builder = ServerConfig::builder_with_details(provider, wall);
        let builder = builder.with_protocol_versions(&[&TLS13]).map_err(TlsError::Protocol)?;
        let mut config = builder
            .with_client_cert_verifier(Arc::clone(&trust) as _)
            .with_cert_resolver(Arc::clone(&certificate) as _);
        config.alpn_protocols = vec![b"h2".to_vec()];
        // A resumed session would bring back a certificate that nobody looks at again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let gate = Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            trust: Arc::clone(&trust),
            strangers: Places::new(tls.handshakes, Arc::clone(&clock)),
            logged: Arc::new(Buckets::new(LOGGED, Arc::clone(&clock))),
            clock,
        };
        Ok((gate, vec![certificate, trust]))
    }

    /// A place for somebody who connects.
    pub(crate) fn stranger(&self) -> Place {
        self.strangers.take()
    }

    /// Finds out who connected; none if it is nobody who may.
    pub(crate) async fn admit(
        &self,
        stream: TcpStream,
        from: SocketAddr,
    ) -> Option<(TlsStream<TcpStream>, Peer)> {
        match self.identify(stream).await {
            Ok(admitted) => Some(admitted),
            Err(error) => {
                match self.logged.take(&()) {
                    Ok(()) => tracing::info!(%from, %error, "a caller was not let in"),
                    Err(_) => tracing::debug!(%from, %error, "a caller was not let in"),
                }
                None
            }
        }
    }

    async fn identify(&self, stream: TcpStream) -> io::Result<(TlsStream<TcpStream>, Peer)> {
        let stream = handshake::shake(&self.acceptor, stream, &*self.clock).await?;
        let (_, session) = stream.get_ref();
        // Without HTTP/2 there is nothing to say to each other.
        if session.alpn_protocol().is_some_and(|protocol| protocol != b"h2") {
            return Err(io::Error::other("the client does not speak HTTP/2"));
        }
        let chain = session
            .peer_certificates()
            .map(|chain| chain.iter().map(|certificate| certificate.clone().into_owned()).collect());
        let peer =
            Peer::certified(Arc::clone(&self.trust), chain.unwrap_or_default(), Arc::clone(&self.clock));
        Ok((stream, peer.map_err(io::Error::other)?))
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("trust", &self.trust).finish_non_exhaustive()
    }
}

/// The time that certificates are judged by.
#[derive(Debug)]
struct Wall(Arc<dyn TimeSource>);

impl TimeProvider for Wall {
    fn current_time(&self) -> Option<UnixTime> {
        self.0.wall().duration_since(SystemTime::UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}
