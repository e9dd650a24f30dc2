//! Pools of connections: one for every session, and one trust store for all of them.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, iter};

use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http::Uri;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::{self, CaptureConnection, capture_connection};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;
use tokio::time::error::Elapsed;
use tower::Service;

use crate::bounded::bounded;
use crate::config::AwsConfigError;

/// How long an idle connection is kept, if its session lasts longer: one that is idle is closed before twice as long. 1 s: a
/// busy session finds one open, and a key is in no buffer 5 s after its use, on a busy machine too. Whoever asks less often
/// waits for a handshake, some milliseconds in a region.
const POOL_IDLE: Duration = Duration::from_secs(1);

/// Idle connections kept per host. 64: as many as one tenant may use at a time; more would only be kept for a burst.
const POOL_SIZE: usize = 64;

type Https = HttpsConnector<connect::HttpConnector>;

/// Makes pools of connections, which have nothing in common but how they verify a server.
///
/// The buffers of a connection keep what it carried for as long as it is open: keys, and the credentials of a session, in
/// each request that they sign and in the answer that issues them. So each session has connections of its own that are
/// closed with it, and is issued over one that is closed at once (promise P4). That is two handshakes for each proof.
///
/// The roots are parsed once, for all. The SDK's own client keeps roots of its own in each pool: measured with the 144 of
/// Debian, 103 KB for each session once it was used, and 6 KB here (promise P9).
#[derive(Clone)]
pub(crate) struct Pools(Arc<dyn Fn() -> SharedHttpClient + Send + Sync>);

impl Pools {
    pub(crate) async fn verifying_by(extra_roots: &[impl AsRef<Path>]) -> Result<Self, AwsConfigError> {
        let mut roots = Vec::new();
        for path in extra_roots {
            roots.extend(read_roots(path.as_ref()).await?);
        }
        let failed = |error: rustls::Error| AwsConfigError::Tls(Box::new(error));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider)).map_err(failed)?;
        // It offers no HTTP/2: one request at a time on a connection, so that an answer is never in a buffer with another's.
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        // What resumes a session outlives its connections, and in TLS 1.2 it opens what they carried to whoever recorded it.
        tls.resumption = Resumption::disabled();
        let tls = Arc::new(tls);
        let pool = move || Pool { tls: Arc::clone(&tls), clients: Mutex::default() };
        Ok(Self::made_by(move || bounded(SharedHttpClient::new(pool()))))
    }

    pub(crate) fn made_by(make: impl Fn() -> SharedHttpClient + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    pub(crate) fn make(&self) -> SharedHttpClient {
        (self.0)()
    }
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pools")
    }
}

/// Certificates that are known to be good, and some.
async fn read_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, AwsConfigError> {
    let pem = tokio::fs::read(path)
        .await
        .map_err(|source| AwsConfigError::UnreadableRoots { path: path.to_owned(), source })?;
    let bad = || AwsConfigError::BadRoots { path: path.to_owned() };
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| bad())?;
    let (added, ignored) = rustls::RootCertStore::empty().add_parsable_certificates(certificates.clone());
    if added == 0 || ignored > 0 { Err(bad()) } else { Ok(certificates) }
}

// === impl Pool ===

/// The connections of one session.
struct Pool {
    tls: Arc<rustls::ClientConfig>,
    /// By how long connecting may take: no limit, but for the sources of our own credentials, each of which has one.
    clients: Mutex<HashMap<Option<Duration>, Client<Timed, SdkBody>>>,
}

impl Pool {
    fn client(&self, limit: Option<Duration>) -> Client<Timed, SdkBody> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.entry(limit).or_insert_with(|| self.connect_within(limit)).clone()
    }

    fn connect_within(&self, limit: Option<Duration>) -> Client<Timed, SdkBody> {
        let mut tcp = connect::HttpConnector::new();
        tcp.set_nodelay(true);
        // Whether an endpoint may be plain HTTP was decided when it was configured.
        tcp.enforce_http(false);
        Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_SIZE)
            .build(Timed { https: Https::from((tcp, Arc::clone(&self.tls))), limit })
    }
}

impl HttpClient for Pool {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let client = self.client(settings.connect_timeout());
        SharedHttpConnector::new(Connector { client, limit: settings.read_timeout() })
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

// === impl Timed ===

/// Connects within a time: TCP and TLS.
#[derive(Clone)]
struct Timed {
    https: Https,
    limit: Option<Duration>,
}

impl Service<Uri> for Timed {
    type Response = <Https as Service<Uri>>::Response;
    type Error = <Https as Service<Uri>>::Error;
    type Future = <Https as Service<Uri>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connected = self.https.call(to);
        match self.limit {
            None => connected,
            Some(limit) => Box::pin(async move { tokio::time::timeout(limit, connected).await? }),
        }
    }
}

// === impl Connector ===

/// Sends requests, whose answers begin within a time.
#[derive(Debug)]
struct Connector {
    client: Client<Timed, SdkBody>,
    limit: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        };
        let connection = capture_connection(&mut request);
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            capture.set_connection_retriever(move || Some(poisonable(&connection)));
        }
        let (answer, limit) = (self.client.request(request), self.limit);
        HttpConnectorFuture::new(async move {
            let answer = match limit {
                None => answer.await,
                Some(limit) => tokio::time::timeout(limit, answer)
                    .await
                    .map_err(|elapsed| ConnectorError::timeout(elapsed.into()))?,
            };
            let answer = answer.map_err(unanswered)?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// The SDK has a connection that failed it used no more.
fn poisonable(connection: &CaptureConnection) -> ConnectionMetadata {
    let connection = connection.clone();
    let poison = move || {
        if let Some(connected) = connection.connection_metadata().as_ref() {
            connected.poison();
        }
    };
    ConnectionMetadata::builder().proxied(false).poison_fn(poison).build()
}

/// Why there is no answer: it was too late, it was never asked for, or whoever should give it could not be reached.
fn unanswered(error: legacy::Error) -> ConnectorError {
    let causes = || iter::successors(Some(&error as &(dyn Error + 'static)), |&error| error.source());
    if causes().any(|cause| cause.is::<Elapsed>()) {
        ConnectorError::timeout(error.into())
    } else if causes().any(|cause| cause.downcast_ref().is_some_and(hyper::Error::is_user)) {
        ConnectorError::user(error.into())
    } else {
        ConnectorError::io(error.into())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    async fn sent(url: String, settings: HttpConnectorSettings) -> Result<HttpResponse, ConnectorError> {
        let pools = Pools::verifying_by(&[] as &[&Path]).await.unwrap();
        sent_by(&pools.make(), url, &settings).await
    }

    async fn sent_by(
        pool: &SharedHttpClient,
        url: String,
        settings: &HttpConnectorSettings,
    ) -> Result<HttpResponse, ConnectorError> {
        let components = RuntimeComponentsBuilder::for_tests().build().unwrap();
        let mut request = HttpRequest::new(SdkBody::from("?"));
        request.set_uri(url).unwrap();
        pool.http_connector(settings, &components).call(request).await
    }

    #[tokio::test]
    async fn a_server_that_shakes_no_hands_is_a_timeout_if_there_is_a_limit() {
        let (_silent, address) = listener().await;
        let settings = HttpConnectorSettings::builder().connect_timeout(SOON).build();
        assert!(sent(format!("https://{address}/"), settings).await.unwrap_err().is_timeout());
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_a_timeout_if_there_is_a_limit() {
        let (_silent, address) = listener().await;
        let settings = HttpConnectorSettings::builder().read_timeout(SOON).build();
        assert!(sent(format!("http://{address}/"), settings).await.unwrap_err().is_timeout());
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_or_hangs_up_cannot_be_reached() {
        let (listener, address) = listener().await;
        let hangs_up = tokio::spawn(async move { drop(listener.accept().await.unwrap()) });
        for url in [format!("http://{address}/"), format!("https://{address}/")] {
            let error = sent(url, HttpConnectorSettings::default()).await.unwrap_err();
            assert!(error.is_io() && !error.is_timeout(), "{error:?}");
        }
        hangs_up.await.unwrap();
    }

    #[tokio::test]
    async fn a_server_is_believed_if_an_authority_of_the_configuration_vouches_for_it() {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = made.signing_key.serialize_der().try_into().unwrap();
        let tls = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.unwrap().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key);
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls.unwrap()));
        let (listener, address) = listener().await;
        tokio::spawn(async move {
            loop {
                let connection = listener.accept().await.unwrap().0;
                if let Ok(mut connection) = acceptor.accept(connection).await {
                    answer_all(&mut connection).await;
                }
            }
        });
        let (url, settings) = (format!("https://{address}/"), HttpConnectorSettings::default());
        assert!(sent(url.clone(), settings.clone()).await.unwrap_err().is_io(), "nobody vouches for it");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), made.cert.pem()).unwrap();
        let pools = Pools::verifying_by(&[file.path()]).await.unwrap();
        for _ in 0..2 {
            let answer = sent_by(&pools.make(), url.clone(), &settings).await;
            assert_eq!(answer.unwrap().status().as_u16(), 200);
        }
    }

    #[tokio::test]
    async fn p4_a_pool_reuses_its_connection_and_closes_it_when_it_goes() {
        let (listener, address) = listener().await;
        let served = tokio::spawn(async move { answer_all(&mut listener.accept().await.unwrap().0).await });
        let pools = Pools::verifying_by(&[] as &[&Path]).await.unwrap();
        let pool = pools.make();
        for _ in 0..2 {
            let answer =
                sent_by(&pool, format!("http://{address}/"), &HttpConnectorSettings::default()).await;
            assert_eq!(answer.unwrap().status().as_u16(), 200);
        }
        drop(pool);
        assert_eq!(served.await.unwrap(), 2);
    }

    /// How many requests came until the client closed the connection. Each is answered.
    async fn answer_all(connection: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> usize {
        let (mut read, mut answered) = (Vec::new(), 0);
        while connection.read_buf(&mut read).await.unwrap_or(0) > 0 {
            if read.ends_with(b"\r\n\r\n?") {
                read.clear();
                answered += 1;
                connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            }
        }
        answered
    }
}
