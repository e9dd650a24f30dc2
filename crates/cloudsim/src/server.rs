//! The HTTP/1.1 server under every listener, with or without TLS: whole requests in, and answers that may also be
//! withheld, cut short or replaced by a connection reset.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::StreamExt as _;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::SimError;

/// The largest request body: KMS requests are below 64 KiB, the control API's worlds below a mebibyte.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// Answers the requests of one listener.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Answers one request, whose extensions hold the peer's [`SocketAddr`].
    fn handle(self: Arc<Self>, request: Request<Bytes>) -> BoxFuture<'static, Outcome>;
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answer(Response<Bytes>),
    /// Half of the body, then the connection ends.
    Truncate(Response<Bytes>),
    /// Nothing, on an open connection.
    Silence,
    /// A TCP reset.
    Reset,
}

type AnswerBody = BoxBody<Bytes, io::Error>;

/// A bound listener that is not being served yet.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

/// What HTTP is spoken over, and the TCP connection under it.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    fn tcp(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Stream for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl Listener {
    pub(crate) async fn bind(address: SocketAddr) -> Result<Self, SimError> {
        let bind = |source| SimError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        Ok(Self { listener, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, over TLS if there is an acceptor; the tasks of its connections belong to `tasks`.
    pub(crate) fn serve(
        self,
        handler: Arc<dyn Handler>,
        tls: Option<TlsAcceptor>,
        stop: CancellationToken,
        tasks: &TaskTracker,
    ) {
        let connections = tasks.clone();
        tasks.spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = stop.cancelled() => return,
                    accepted = self.listener.accept() => accepted,
                };
                // Accepting fails when the process is out of descriptors; the next attempt may succeed.
                let Ok((stream, peer)) = accepted else {
                    tokio::task::yield_now().await;
                    continue;
                };
                let _ = stream.set_nodelay(true);
                match tls.clone() {
                    Some(tls) => {
                        connections.spawn(serve_tls(stream, tls, peer, handler.clone(), stop.clone()))
                    }
                    None => connections.spawn(serve_connection(stream, peer, handler.clone(), stop.clone())),
                };
            }
        });
    }
}

async fn serve_tls(
    stream: TcpStream,
    tls: TlsAcceptor,
    peer: SocketAddr,
    handler: Arc<dyn Handler>,
    stop: CancellationToken,
) {
    let shaken = tokio::select! {
        () = stop.cancelled() => return,
        shaken = tls.accept(stream) => shaken,
    };
    // A client that does not trust the certificate says so by leaving.
    if let Ok(stream) = shaken {
        serve_connection(stream, peer, handler, stop).await;
    }
}

async fn serve_connection(
    stream: impl Stream,
    peer: SocketAddr,
    handler: Arc<dyn Handler>,
    stop: CancellationToken,
) {
    let reset = Arc::new(Notify::new());
    let service = service_fn(|request: Request<Incoming>| {
        let (handler, reset) = (handler.clone(), reset.clone());
        async move { Ok::<_, Infallible>(answer(request, peer, handler, &reset).await) }
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let resetting = tokio::select! {
        _ = &mut connection => false,
        () = reset.notified() => true,
        () = stop.cancelled() => false,
    };
    if resetting {
        // Closing with zero linger sends RST instead of FIN.
        let _ = connection.into_parts().io.into_inner().tcp().set_zero_linger();
    }
}

async fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    handler: Arc<dyn Handler>,
    reset: &Notify,
) -> Response<AnswerBody> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return whole(plain(StatusCode::PAYLOAD_TOO_LARGE, "the request body is cut short or too large"));
    };
    let mut request = Request::from_parts(parts, body.to_bytes());
    request.extensions_mut().insert(peer);
    match handler.handle(request).await {
        Outcome::Answer(response) => whole(response),
        Outcome::Truncate(response) => truncated(response),
        Outcome::Silence => std::future::pending().await,
        Outcome::Reset => {
            reset.notify_one();
            std::future::pending().await
        }
    }
}

/// A plain-text response.
pub(crate) fn plain(status: StatusCode, text: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

fn whole(response: Response<Bytes>) -> Response<AnswerBody> {
    response.map(|body| Full::new(body).map_err(|never| match never {}).boxed())
}

fn truncated(response: Response<Bytes>) -> Response<AnswerBody> {
    let length = response.body().len();
    let mut response = response.map(|body| {
        let half = futures::stream::iter([Ok(Frame::data(body.slice(..body.len() / 2)))]);
        // The server writes out what it has when a body makes it wait, so that the client sees the first half.
        let cut = futures::stream::once(async {
            tokio::task::yield_now().await;
            Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cut short on purpose"))
        });
        BodyExt::boxed(StreamBody::new(half.chain(cut)))
    });
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}
