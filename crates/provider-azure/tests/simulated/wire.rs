//! A TLS server that answers in the names of Entra ID and of a vault what it is told to, and keeps what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A token for a vault; a JWT in form alone.
pub(crate) const TOKEN: &str = "eyJhbGciOiJub25lIn0.e30.dG9rZW4";

/// Tokens and vaults of the wire.
pub(crate) struct Wire {
    /// Where it listens.
    pub(crate) url: String,
    /// Who signed its certificate, PEM.
    pub(crate) authority: String,
    requests: Arc<Mutex<Vec<Asked>>>,
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Wire {
    pub(crate) async fn start() -> Self {
        let (acceptor, authority) = tls();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let (requests, answers) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<VecDeque<_>>>::default());
        let (kept, given) = (Arc::clone(&requests), Arc::clone(&answers));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, kept, given) = (acceptor.clone(), Arc::clone(&kept), Arc::clone(&given));
                tokio::spawn(async move {
                    let stream = acceptor.accept(stream).await.ok()?;
                    serve(stream, kept, given).await
                });
            }
        });
        Self { url, authority, requests, answers }
    }

    /// Answers the next unanswered request with this.
    pub(crate) fn answer(&self, status: u16, body: impl ToString) {
        self.answers.lock().unwrap().push_back((status, body.to_string()));
    }

    /// Answers the next request, one for a token, with one.
    pub(crate) fn answer_token(&self) {
        self.answer(200, json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN }));
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Asked> {
        self.requests.lock().unwrap().clone()
    }
}

fn tls() -> (TlsAcceptor, String) {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
    let names = ["login.microsoftonline.com", "*.vault.azure.net"].map(str::to_owned);
    let pair = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&pair, &authority).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pair.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}

/// One request after another, until the client goes away.
async fn serve(
    mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin,
    requests: Arc<Mutex<Vec<Asked>>>,
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
) -> Option<()> {
    let mut read = Vec::new();
    loop {
        let asked = loop {
            if let Some(asked) = take_request(&mut read) {
                break asked;
            }
            if stream.read_buf(&mut read).await.ok()? == 0 {
                return None;
            }
        };
        requests.lock().unwrap().push(asked);
        let (status, body) = answers.lock().unwrap().pop_front().unwrap();
        let head = format!(
            "HTTP/1.1 {status} Told\r\ncontent-type: application/json\r\nx-ms-request-id: wire-1\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).await.ok()?;
    }
}

/// The first whole request of what was read, taken out of it.
fn take_request(read: &mut Vec<u8>) -> Option<Asked> {
    let text = String::from_utf8_lossy(read).into_owned();
    let (head, _) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let line = lines.next()?.to_owned();
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let start = head.len() + 4;
    let body = String::from_utf8_lossy(read.get(start..start + length)?).into_owned();
    read.drain(..start + length);
    Some(Asked { line, headers, body })
}
