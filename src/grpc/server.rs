//! Accepts connections and serves each within its bounds.
//!
//! Connections are served one by one rather than by tonic's own server, because single ones are to be closed in good order
//! when a lease ends whose plaintext they carried.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use leasehold_clock::TimeSource;
use leasehold_service::Room;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::CONNECTION_WINDOW;
use super::connection::{Connection, Connections};
use super::request::Requests;
use crate::listen::{Listener, Local, Stream};
use crate::tls::Peer;

/// Of it, what one stream may send.
const STREAM_WINDOW: u32 = 64 * 1024;

/// Largest headers of a request; ours are a few hundred bytes.
const MAX_HEADERS: u32 = 16 * 1024;

/// A peer that does not answer a ping for so long is gone, and its holds with it.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_ANSWER: Duration = Duration::from_secs(10);

/// How long calls under way on a connection that is to be closed may go on; it is cut then. Nearly all unary calls have
/// milliseconds left; streams are opened again by their clients. What is wiped is to be nowhere within 5 s, which leaves 3 s
/// for a busy machine.
const CLOSING: Duration = Duration::from_secs(2);

/// The same for a connection that is to be closed because of what it brought: as long as a call has.
const RETIRING: Duration = Duration::from_secs(15);

/// How long a reader may take for an answer with plaintext once its connection is to be closed. Whoever reads at all has
/// taken it by then.
const TAKING: Duration = Duration::from_millis(250);

/// How long a connection stays that brought plaintext which was refused. Seldom enough that a tenant whose every WrapKey is
/// refused costs those that share its connection one new one in 30 s.
const REFUSED_STAYS: Duration = Duration::from_secs(30);

/// How long a connection may take to its first call. One that never calls, or never even says that it speaks HTTP/2, would
/// keep its place from somebody else for ever. A client that connected early connects again when it calls.
const FIRST_CALL: Duration = Duration::from_secs(30);

/// How long accepting pauses after it failed, which it does when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Bounds of the transport.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) connections: usize,
    pub(crate) calls_per_connection: u32,
}

/// Serves connections until it is told to end.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) requests: Requests,
    pub(crate) bounds: Bounds,
    pub(crate) connections: Connections,
    pub(crate) clock: Arc<dyn TimeSource>,
    pub(crate) ending: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Server {
    /// Serves everything that `listeners` accept, on tasks of its own.
    pub(crate) fn serve(self, listeners: Vec<Listener>) {
        // Apart, so that an operator on this machine is let in whoever else is there.
        let of_callers = Room::new(self.bounds.connections);
        let on_this_machine = Arc::new(Semaphore::new(self.bounds.connections));
        for listener in listeners {
            let server = self.clone();
            match listener {
                Listener::Tls(listener, gate) => {
                    drop(self.tasks.spawn(server.accept_secured(listener, gate, of_callers.clone())))
                }
                Listener::Local(listener) => {
                    drop(self.tasks.spawn(server.accept(listener, Arc::clone(&on_this_machine))))
                }
            }
        }
    }

    async fn accept(self, listener: Local, room: Arc<Semaphore>) {
        loop {
            let next = async {
                // Room first: what is not accepted waits in the kernel's queue. The semaphore is never closed.
                let room = Arc::clone(&room).acquire_owned().await.ok()?;
                Some((listener.accept().await, room))
            };
            let accepted = tokio::select! {
                biased;
                () = self.ending.cancelled() => return,
                accepted = next => accepted,
            };
            let Some((accepted, room)) = accepted else { return };
            match accepted {
                Ok((Stream::Tcp(stream), who)) => drop(self.spawn(stream, who, room)),
                Ok((Stream::Unix(stream), who)) => drop(self.spawn(stream, who, room)),
                Err(error) => self.cannot_accept(&error).await,
            }
        }
    }

    pub(super) async fn cannot_accept(&self, error: &std::io::Error) {
        tracing::warn!(%error, "a connection cannot be accepted");
        self.clock.sleep(ACCEPT_PAUSE).await;
    }

    fn spawn<S>(&self, stream: S, who: Peer, room: impl Send + 'static) -> tokio::task::JoinHandle<()>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let server = self.clone();
        self.tasks.spawn(async move {
            server.connection(stream, who).await;
            drop(room);
        })
    }

    pub(super) async fn connection<S>(&self, stream: S, who: Peer)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (connection, _listed) = self.connections.open(who.identity().clone());
        let requests = self.requests.clone();
        let called = Arc::clone(&connection);
        let service = service_fn(move |request: Request<Incoming>| {
            let (requests, connection) = (requests.clone(), Arc::clone(&called));
            async move { Ok::<_, Infallible>(requests.answer(&connection, request).await) }
        });
        let serving = self.http2().serve_connection(TokioIo::new(stream), service);
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            biased;
            ended = serving.as_mut() => return log_end(ended),
            () = connection.to_close() => tracing::debug!("closing a connection that carried what was wiped"),
            _ = who.outstays(CLOSING) => {
                tracing::debug!("closing a connection whose certificate counts no longer");
                connection.close();
            }
            () = self.kept_refused(&connection) => {
                tracing::debug!("closing a connection that brought what was refused");
                connection.retire();
            }
            () = self.silent(&connection) => {
                tracing::debug!("closing a connection that never called");
                connection.close();
            }
            () = self.ending.cancelled() => {}
        }
        // Tells the client to send nothing more here, and serves what is under way. When the process ends, its drain
        // deadline cuts what is left.
        serving.as_mut().graceful_shutdown();
        let cut = async {
            connection.to_cut().await;
            self.clock.sleep(TAKING).await;
            if !connection.is_stalled() {
                self.clock.sleep(CLOSING - TAKING).await;
            }
        };
        // What is under way is other callers' and tenants', whom nobody has refused.
        let retired = async {
            connection.to_close().await;
            self.clock.sleep(RETIRING).await;
        };
        tokio::select! {
            ended = serving => log_end(ended),
            () = cut => {}
            () = retired => {}
            () = who.is_over(CLOSING) => {}
        }
    }

    /// Completes when the connection should have been called and was not.
    async fn silent(&self, connection: &Connection) {
        self.clock.sleep(FIRST_CALL).await;
        if connection.was_called() {
            std::future::pending().await
        }
    }

    /// Completes when the connection has kept refused plaintext for long enough.
    async fn kept_refused(&self, connection: &Connection) {
        connection.has_refused().await;
        self.clock.sleep(REFUSED_STAYS).await;
    }

    fn http2(&self) -> http2::Builder<TokioExecutor> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.bounds.calls_per_connection)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_stream_window_size(STREAM_WINDOW)
            .max_header_list_size(MAX_HEADERS)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_ANSWER);
        builder
    }
}

/// Clients end connections as they like; it is worth a word only to whoever looks for it.
fn log_end(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
