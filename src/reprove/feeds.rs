//! The listener of event feeds: accepts connections and serves each within its bounds.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use leasehold_authz::FeedName;
use leasehold_clock::TimeSource;
use leasehold_service::Service;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::SecretError;
use super::callers::Callers;
use super::handler::Handler;
use super::proofs::Proofs;
use crate::config::Reprove;
use crate::places::{Place, Places};
use crate::rate::{Buckets, Rate};
use crate::tls::{self, TlsError};
use crate::watched::Look;

/// Connections accepted per second, in the long run and at once. A handshake takes up to 1 ms of a core, so that a flood
/// of them leaves at least 95 % of one to the callers of keys. What is not accepted waits in the kernel's queue; feeds keep
/// their connections.
const ACCEPTS: Rate = Rate { per_second: 50.0, burst: 100.0 };

/// Handshakes of Event Grid under way at once, which anybody may ask for. One is made when a subscription is.
const HANDSHAKES: usize = 16;

/// The part of the requests under way that one feed may have, so that a few cannot keep the others out.
const FEEDS_SHARE: usize = 4;

/// How long the head of a request may take; between two requests a connection may be idle for as long.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);

/// What is read of a connection before it is parsed, and how many headers there may be.
const MAX_BUFFER: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

/// How long a connection lives. One that does not read its answers would live for ever, and a new certificate is to be
/// shown at some time.
const LIFE: Duration = Duration::from_secs(300);

/// How long a request under way may go on when its connection is to end: its own deadline.
const CLOSING: Duration = Duration::from_secs(5);

/// How long accepting pauses after it failed, which it does when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why feeds cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReproveError {
    /// A secret cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Two feeds present the same secret, so that they cannot be told apart.
    #[error("the callers {0} and {1} have a secret in common")]
    SameSecret(FeedName, FeedName),
    /// Issuers' keys cannot be fetched by any means.
    #[error("there is no HTTP client for the issuers' keys")]
    Http(#[source] reqwest::Error),
    /// An address cannot be listened on.
    #[error("cannot listen on {at}")]
    Bind {
        /// Where.
        at: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What the listener shares with the rest of the process.
pub(crate) struct Parts {
    pub(crate) service: Service,
    pub(crate) clock: Arc<dyn TimeSource>,
    pub(crate) ending: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// A bound listener that serves nothing yet.
pub(crate) struct Feeds {
    listeners: Vec<TcpListener>,
    files: Vec<Arc<dyn Look>>,
    server: Server,
}

/// Reads the files as [`Feeds::bind`] would, and listens nowhere.
///
/// # Errors
/// [`ReproveError`].
pub(crate) fn check(config: Reprove, clock: Arc<dyn TimeSource>) -> Result<(), ReproveError> {
    Callers::open(config.callers, 1, clock)?;
    config.tls.map(tls::open).transpose()?;
    Ok(())
}

impl Parts {
    /// The listener that is configured, if there is one, bound.
    ///
    /// # Errors
    /// [`ReproveError`].
    pub(crate) async fn bind(self, config: Option<Reprove>) -> Result<Option<Feeds>, ReproveError> {
        match config {
            Some(config) => Feeds::bind(config, self).await.map(Some),
            None => Ok(None),
        }
    }
}

impl Feeds {
    /// Reads the files and binds every address.
    ///
    /// # Errors
    /// [`ReproveError`].
    async fn bind(config: Reprove, parts: Parts) -> Result<Self, ReproveError> {
        let Parts { service, clock, ending, tasks } = parts;
        let room_per_feed = config.limits.requests.div_ceil(FEEDS_SHARE);
        let callers = Callers::open(config.callers, room_per_feed, Arc::clone(&clock))?;
        let mut files: Vec<_> = callers.files().collect();
        let tls = match config.tls.map(tls::open).transpose()? {
            Some(certificate) => {
                files.push(Arc::clone(&certificate) as Arc<dyn Look>);
                Some(tls::acceptor(certificate)?)
            }
            None => None,
        };
        let limits = config.limits;
        let rate = |per_second, burst| Rate { per_second, burst: f64::from(burst) };
        let again_after = config.again_after.into_iter().map(|span| span.0).collect();
        let handler = Handler {
            service,
            callers,
            per_feed: Buckets::new(rate(limits.caller_rate, limits.caller_burst), Arc::clone(&clock)),
            per_tenant: Buckets::new(rate(limits.tenant_rate, limits.tenant_burst), Arc::clone(&clock)),
            handshakes: Semaphore::new(HANDSHAKES),
            proofs: Proofs::new(again_after, Arc::clone(&clock), ending.clone(), tasks.clone()),
            room: Semaphore::new(limits.requests),
            clock: Arc::clone(&clock),
            ending: ending.clone(),
        };
        let server = Server {
            handler: Arc::new(handler),
            tls,
            places: Places::new(limits.connections, Arc::clone(&clock)),
            accepts: Arc::new(Buckets::new(ACCEPTS, Arc::clone(&clock))),
            clock,
            ending,
            tasks,
        };
        let mut listeners = Vec::new();
        for at in config.listen {
            let bound = TcpListener::bind(at).await;
            listeners.push(bound.map_err(|source| ReproveError::Bind { at, source })?);
        }
        Ok(Self { listeners, files, server })
    }

    /// Where it listens, as feeds write it.
    pub(crate) fn endpoints(&self) -> Vec<String> {
        let scheme = if self.server.tls.is_some() { "https" } else { "http" };
        let addresses = self.listeners.iter().filter_map(|listener| listener.local_addr().ok());
        addresses.map(|address| format!("{scheme}://{address}")).collect()
    }

    /// What has to look at its files.
    pub(crate) fn files(&self) -> impl Iterator<Item = Arc<dyn Look>> {
        self.files.iter().cloned()
    }

    /// Serves, on tasks of its own, until the process is told to end.
    pub(crate) fn serve(self) {
        let Self { listeners, server, .. } = self;
        for listener in listeners {
            server.tasks.spawn(server.clone().accept(listener));
        }
    }
}

#[derive(Clone)]
struct Server {
    handler: Arc<Handler>,
    tls: Option<TlsAcceptor>,
    places: Places,
    accepts: Arc<Buckets<()>>,
    clock: Arc<dyn TimeSource>,
    ending: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    async fn accept(self, listener: TcpListener) {
        loop {
            let next = async {
                while let Err(pause) = self.accepts.take(&()) {
                    self.clock.sleep(pause).await;
                }
                listener.accept().await
            };
            let accepted = tokio::select! {
                biased;
                () = self.ending.cancelled() => return,
                accepted = next => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let place = self.places.take();
                    self.tasks.spawn(self.clone().open(stream, place, peer.ip()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    self.clock.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn open(self, stream: TcpStream, place: Place, peer: IpAddr) {
        // Without it an answer may wait for an acknowledgement; it is correct nevertheless.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return self.connection(stream, &place, peer).await };
        let shaken = tokio::select! {
            shaken = tls::shake(tls, stream, &*self.clock) => shaken,
            () = place.must_give_way() => return,
            () = self.ending.cancelled() => return,
        };
        match shaken {
            Ok(stream) => self.connection(stream, &place, peer).await,
            Err(error) => {
                tracing::debug!(%error, "a TLS handshake failed");
                self.handler.turned_away(peer, "TLS_HANDSHAKE");
            }
        }
    }

    async fn connection<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, place: &Place, peer: IpAddr) {
        let service =
            service_fn(async |request| Ok::<_, Infallible>(self.handler.answer(request, place, peer).await));
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DEADLINE)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_BUFFER)
            .serve_connection(TokioIo::new(stream), service);
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            biased;
            ended = serving.as_mut() => return log_end(ended),
            // A stranger has nothing under way that anybody waits for.
            () = place.must_give_way() => if !place.is_known() { return },
            () = self.clock.sleep(LIFE) => {}
            () = self.ending.cancelled() => {}
        }
        serving.as_mut().graceful_shutdown();
        tokio::select! {
            ended = serving => log_end(ended),
            () = self.clock.sleep(CLOSING) => {}
        }
    }
}

/// Clients end connections as they like; it is worth a word only to whoever looks for it.
fn log_end(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a feed's connection ended");
    }
}
