//! The listener, and its three paths.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use leasehold_clock::TimeSource;
use leasehold_lease::Leases;
use leasehold_secret::Arena;
use metrics_exporter_prometheus::BuildError;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::health::{Check, Health};
use super::metrics::{Metrics, UPKEEP};
use crate::config;

/// Connections at once; further ones wait. Each is good for [`LIFE`] at most, so that those who hold them open do not keep
/// a scrape out for longer.
const CONNECTIONS: usize = 64;
const LIFE: Duration = Duration::from_secs(15);

/// How long a request's head may take.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);

const MAX_HEADERS: usize = 64;
const MAX_BUFFER: usize = 16 * 1024;

/// How long to wait after a connection could not be accepted, because there are no descriptors left for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the admin listener cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// An address cannot be listened on.
    #[error("cannot listen on {at}")]
    Bind {
        /// Which.
        at: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Somebody else in the process keeps metrics already.
    #[error("metrics cannot be kept")]
    Metrics(#[from] BuildError),
}

/// What the listener tells of.
pub(crate) struct Parts {
    pub(crate) health: Health,
    pub(crate) leases: Leases,
    pub(crate) arena: Arena,
    pub(crate) clock: Arc<dyn TimeSource>,
    /// Cancelled when the process has drained: until then it can be seen draining.
    pub(crate) over: CancellationToken,
}

/// The admin listener, bound.
pub(crate) struct Admin {
    listeners: Vec<TcpListener>,
    server: Server,
}

#[derive(Clone)]
struct Server {
    health: Health,
    metrics: Metrics,
    clock: Arc<dyn TimeSource>,
    over: CancellationToken,
    room: Arc<Semaphore>,
}

impl Parts {
    /// The listener that is configured, if there is one, bound.
    ///
    /// # Errors
    /// [`AdminError`].
    pub(crate) async fn bind(self, config: Option<config::Admin>) -> Result<Option<Admin>, AdminError> {
        match config {
            Some(config) => Admin::bind(config.addresses, self).await.map(Some),
            None => Ok(None),
        }
    }
}

impl Admin {
    /// Binds every address.
    async fn bind(addresses: Vec<SocketAddr>, parts: Parts) -> Result<Self, AdminError> {
        let Parts { health, leases, arena, clock, over } = parts;
        let metrics = Metrics::start(leases, arena)?;
        let mut listeners = Vec::new();
        for at in addresses {
            let bound = TcpListener::bind(at).await;
            listeners.push(bound.map_err(|source| AdminError::Bind { at, source })?);
        }
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        Ok(Self { listeners, server: Server { health, metrics, clock, over, room } })
    }

    /// Where it listens: `http://127.0.0.1:7421`.
    pub(crate) fn endpoints(&self) -> Vec<String> {
        let addresses = self.listeners.iter().filter_map(|listener| listener.local_addr().ok());
        addresses.map(|address| format!("http://{address}")).collect()
    }

    /// Serves, on tasks of its own, until the process has drained.
    pub(crate) fn serve(self) {
        for listener in self.listeners {
            tokio::spawn(self.server.clone().accept(listener));
        }
        tokio::spawn(self.server.keep_up());
    }
}

impl Server {
    async fn keep_up(self) {
        while self.over.run_until_cancelled(self.clock.sleep(UPKEEP)).await.is_some() {
            self.metrics.keep_up();
        }
    }

    async fn accept(self, listener: TcpListener) {
        let next = async || {
            // The semaphore is never closed.
            let place = Arc::clone(&self.room).acquire_owned().await.ok();
            (listener.accept().await, place)
        };
        while let Some((accepted, place)) = self.over.run_until_cancelled(next()).await {
            match accepted {
                Ok((stream, _)) => drop(tokio::spawn(self.clone().connection(stream, place))),
                Err(error) => {
                    tracing::warn!(%error, "a connection to the admin listener cannot be accepted");
                    self.clock.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn connection(self, stream: TcpStream, _place: Option<OwnedSemaphorePermit>) {
        let service = service_fn(async |request| Ok::<_, Infallible>(self.answer(&request)));
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DEADLINE)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_BUFFER)
            .serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            // Clients end connections as they like.
            _ = serving => {}
            () = self.clock.sleep(LIFE) => {}
            () = self.over.cancelled() => {}
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD".to_owned());
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, "ok".to_owned()),
            "/readyz" => readiness(&self.health.checks()),
            "/metrics" => prometheus(self.metrics.render()),
            _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics".to_owned()),
        }
    }
}

/// One line for each check.
fn readiness(checks: &[Check]) -> Response<Full<Bytes>> {
    let ready = checks.iter().all(|check| check.well.is_ok());
    let line = |Check { name, well }: &Check| match well {
        Ok(()) => format!("{name}: ok"),
        Err(why) => format!("{name}: {why}"),
    };
    let lines: Vec<_> = checks.iter().map(line).collect();
    text(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, lines.join("\n"))
}

fn text(status: StatusCode, line: String) -> Response<Full<Bytes>> {
    answer(status, "text/plain; charset=utf-8", line + "\n")
}

fn prometheus(metrics: String) -> Response<Full<Bytes>> {
    answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics)
}

fn answer(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
