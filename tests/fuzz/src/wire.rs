//! The server: it answers what it is told to, in order, and the last answer for ever.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::script::Answer;

/// A server on loopback. It runs on the runtime of whoever starts it.
#[derive(Debug)]
pub struct Wire {
    /// Where it is.
    pub url: String,
    /// Who signed its certificate, PEM; empty in plain HTTP.
    pub authority: String,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl Wire {
    /// Over plain HTTP.
    pub async fn plain() -> Self {
        Self::start(None).await
    }

    /// Over TLS, in these names.
    pub async fn tls(names: &[&str]) -> Self {
        Self::start(Some(names)).await
    }

    async fn start(names: Option<&[&str]>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let address = listener.local_addr().expect("a listener has an address");
        let (acceptor, authority) = names.map(tls).unzip();
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let answers = Arc::<Mutex<VecDeque<Answer>>>::default();
        let given = Arc::clone(&answers);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, given) = (acceptor.clone(), Arc::clone(&given));
                tokio::spawn(async move {
                    match acceptor {
                        Some(acceptor) => serve(acceptor.accept(stream).await.ok()?, given).await,
                        None => serve(stream, given).await,
                    }
                });
            }
        });
        Self { url: format!("{scheme}://{address}"), authority: authority.unwrap_or_default(), answers }
    }

    /// Answers with these from now on.
    pub fn answer(&self, answers: &[Answer]) {
        *self.answers.lock().unwrap_or_else(PoisonError::into_inner) = answers.to_vec().into();
    }
}

fn tls(names: &[&str]) -> (TlsAcceptor, String) {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pair = || KeyPair::generate().expect("keys can be made");
    let authority = CertifiedIssuer::self_signed(parameters, pair()).expect("an authority signs itself");
    let pair = pair();
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let parameters = CertificateParams::new(names).expect("these are DNS names");
    let certificate = parameters.signed_by(&pair, &authority).expect("the authority can sign");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pair.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("the key is the certificate's");
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}

/// One request after another, until an answer or the client ends it.
async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answers: Arc<Mutex<VecDeque<Answer>>>,
) -> Option<()> {
    let mut read = Vec::new();
    loop {
        while !take_request(&mut read) {
            if stream.read_buf(&mut read).await.ok()? == 0 {
                return None;
            }
        }
        let answer = next(&answers)?;
        stream.write_all(&answer.bytes).await.ok()?;
        if answer.closes {
            return stream.shutdown().await.ok();
        }
    }
}

fn next(answers: &Mutex<VecDeque<Answer>>) -> Option<Answer> {
    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
}

/// Takes the first request out of what was read, if the whole of it is there.
fn take_request(read: &mut Vec<u8>) -> bool {
    let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let whole = end + 4 + length.unwrap_or(0usize);
    if read.len() < whole {
        return false;
    }
    read.drain(..whole);
    true
}
