//! Answers that no cloud gives: a middlebox's, a broken load balancer's.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Valid HTTP, and nothing that a cloud would say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 200 with a body that is no format at all.
    Garbage,
    /// 200 with an object that has nothing in it.
    Empty,
    /// 200 with less of a body than it says, and the end of the connection.
    Short,
    /// 200 with a body of 64 MiB.
    Endless,
    /// 403 with a page for people.
    Page,
    /// 302 to somewhere else.
    Redirect,
}

/// As much as [`Answer::Endless`] has.
const ENDLESS: u64 = 64 << 20;
const FRAME: u64 = 64 << 10;

type Body = BoxBody<Bytes, io::Error>;

/// The certificate authority in PEM that signed for the names under which `https` endpoints are asked.
pub(crate) fn authority() -> &'static str {
    &identity().authority
}

struct Identity {
    authority: String,
    acceptor: TlsAcceptor,
}

fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let names = ["login.microsoftonline.com", "*.vault.azure.net"].map(str::to_owned);
        let mut served = CertificateParams::new(names).unwrap();
        served.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        served.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        let certificate = served.signed_by(&key, &authority).unwrap().der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
        Identity { authority: authority.pem(), acceptor: TlsAcceptor::from(Arc::new(config.unwrap())) }
    })
}

/// Answers whatever comes on this connection, once; `taken` is the most of a body that anybody ever took.
pub(crate) async fn answer(client: TcpStream, tls: bool, answer: Answer, taken: &Arc<AtomicU64>) {
    if !tls {
        return serve(client, answer, taken).await;
    }
    // Whoever does not trust the certificate leaves.
    if let Ok(client) = identity().acceptor.accept(client).await {
        serve(client, answer, taken).await;
    }
}

async fn serve(client: impl AsyncRead + AsyncWrite + Unpin, answer: Answer, taken: &Arc<AtomicU64>) {
    let service = service_fn(|request: Request<Incoming>| {
        let taken = Arc::clone(taken);
        async move {
            let _ = request.into_body().collect().await;
            Ok::<_, Infallible>(response(answer, taken))
        }
    });
    let _ = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(client), service).await;
}

fn response(answer: Answer, taken: Arc<AtomicU64>) -> Response<Body> {
    let new = |status, kind: &'static str, body| {
        let response = Response::builder().status(status).header(header::CONTENT_TYPE, kind);
        response.body(body).unwrap()
    };
    match answer {
        Answer::Garbage => new(StatusCode::OK, "application/json", text("\u{1}\u{2} so it goes \u{fffd}")),
        Answer::Empty => new(StatusCode::OK, "application/json", text("{}")),
        Answer::Short => {
            let mut response = new(StatusCode::OK, "application/json", cut("{\"CiphertextBlob\":\"AAAA"));
            response.headers_mut().insert(header::CONTENT_LENGTH, 4000.into());
            response
        }
        Answer::Endless => new(StatusCode::OK, "application/json", endless(taken)),
        Answer::Page => {
            let page = "<html><body><h1>403 Forbidden</h1>Your organisation blocks this site.</body></html>";
            new(StatusCode::FORBIDDEN, "text/html", text(page))
        }
        Answer::Redirect => {
            let mut response = new(StatusCode::FOUND, "text/html", text("Sign in to the network first."));
            let portal = header::HeaderValue::from_static("https://portal.invalid/sign-in");
            response.headers_mut().insert(header::LOCATION, portal);
            response
        }
    }
}

fn text(text: &'static str) -> Body {
    Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}).boxed()
}

fn cut(text: &'static str) -> Body {
    let first = stream::iter([Ok(Frame::data(Bytes::from_static(text.as_bytes())))]);
    // What makes the server wait has it write out what it has.
    let cut = stream::once(async {
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    });
    BodyExt::boxed(StreamBody::new(first.chain(cut)))
}

fn endless(taken: Arc<AtomicU64>) -> Body {
    let frame = Bytes::from(vec![b' '; usize::try_from(FRAME).unwrap()]);
    let frames = stream::iter(1..=ENDLESS / FRAME).map(move |nth| {
        taken.fetch_max(nth * FRAME, Ordering::Relaxed);
        Ok(Frame::data(frame.clone()))
    });
    BodyExt::boxed(StreamBody::new(frames))
}
