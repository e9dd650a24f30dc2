//! What a client shows, and whom it believes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::TLS13;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The files of a client, PEM each. They are read again for each connection, so that they may be replaced at any time: the
/// service closes a connection before its client's certificate expires, and the next one is made with what is there then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of authorities that may vouch for the service. No others are believed, the system's included.
    pub ca: PathBuf,
    /// The client's certificate and those that it is signed with, its own first.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// The name that the service's certificate must have. Default: the host of the address.
    pub server_name: Option<String>,
}

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{file} cannot be read")]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{file} is not a PEM file with {wanted}")]
    NotPem {
        /// Which file.
        file: PathBuf,
        /// What it should hold.
        wanted: &'static str,
    },
    /// The certificates cannot be used.
    #[error("the certificates cannot be used: {0}")]
    Unusable(String),
    /// The service's name is not one.
    #[error("{0:?} is not a name that a certificate can have")]
    ServerName(String),
}

/// Speaks TLS to the service.
#[derive(Debug)]
pub(crate) struct Tls {
    files: TlsFiles,
    name: ServerName<'static>,
    /// What the files held when they could be used last. They are replaced one by one, and may not fit for a moment.
    last: Mutex<Arc<ClientConfig>>,
}

impl Tls {
    /// Reads the files. `host` is the name of the service unless they say another.
    pub(crate) fn open(files: TlsFiles, host: &str) -> Result<Self, TlsError> {
        let name = files.server_name.as_deref().unwrap_or(host);
        let name =
            ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName(name.to_owned()))?;
        let last = Mutex::new(Arc::new(read(&files)?));
        Ok(Self { files, name, last })
    }

    pub(crate) async fn connect(self: Arc<Self>, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let own = Arc::clone(&self);
        // The file system may be slow, a network's for example.
        let config = tokio::task::spawn_blocking(move || own.config()).await.map_err(io::Error::other)?;
        TlsConnector::from(config).connect(self.name.clone(), stream).await
    }

    fn config(&self) -> Arc<ClientConfig> {
        let read = read(&self.files);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(config) => *last = Arc::new(config),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the files for TLS cannot be used; what they held before is");
            }
        }
        Arc::clone(&last)
    }
}

fn read(files: &TlsFiles) -> Result<ClientConfig, TlsError> {
    let unusable = |error: rustls::Error| TlsError::Unusable(error.to_string());
    let mut roots = RootCertStore::empty();
    for authority in certificates(&files.ca)? {
        roots.add(authority).map_err(unusable)?;
    }
    let key = zeroize::Zeroizing::new(content(&files.key)?);
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|_| TlsError::NotPem { file: files.key.clone(), wanted: "a private key" })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]);
    let builder = builder.map_err(unusable)?.with_root_certificates(roots);
    let chain = certificates(&files.certificate)?;
    let mut config = builder.with_client_auth_cert(chain, key).map_err(unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // The service resumes no session.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_slice_iter(&content(file)?).collect::<Result<Vec<_>, _>>().ok();
    let not_pem = || TlsError::NotPem { file: file.to_owned(), wanted: "certificates" };
    read.filter(|certificates| !certificates.is_empty()).ok_or_else(not_pem)
}

fn content(file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|source| TlsError::Unreadable { file: file.to_owned(), source })
}
