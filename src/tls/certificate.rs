//! The certificate that a listener shows, which may be replaced while connections are open.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::{TlsError, leaf};
use crate::config::TlsFiles;
use crate::watched::{self, Watched};

/// The certificate that is shown to whoever connects now.
pub(crate) struct Certificate(Watched<Arc<CertifiedKey>, TlsError>);

/// Reads the certificate and its key.
///
/// # Errors
/// [`TlsError`].
pub(crate) fn open(files: TlsFiles) -> Result<Arc<Certificate>, TlsError> {
    Watched::open(vec![files.certificate, files.key], read, None).map(Certificate).map(Arc::new)
}

/// Speaks TLS 1.2 and 1.3 with anybody, and HTTP/1.1 over it.
///
/// # Errors
/// [`TlsError::Protocol`].
pub(crate) fn acceptor(certificate: Arc<Certificate>) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config =
        versions.map_err(TlsError::Protocol)?.with_no_client_auth().with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read(files: &[PathBuf]) -> Result<Arc<CertifiedKey>, TlsError> {
    let [certificate, key] = files else {
        let file = files.first().cloned().unwrap_or_default();
        return Err(TlsError::NotPem { file, wanted: "a certificate, and another with its key" });
    };
    let content = |file: &PathBuf| {
        watched::read_small(file).map_err(|source| TlsError::Unreadable { file: file.clone(), source })
    };
    let not_pem = |file: &PathBuf, wanted| TlsError::NotPem { file: file.clone(), wanted };
    let chain = certificates(certificate)?;
    let private = PrivateKeyDer::from_pem_slice(&content(key)?).map_err(|_| not_pem(key, "a private key"))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain, private, &provider)
        .map(Arc::new)
        .map_err(|source| TlsError::Mismatch { certificate: certificate.clone(), source })
}

/// The last moment at which the certificate in these files is valid; none if that cannot be told.
pub(crate) fn valid_until(files: &TlsFiles) -> Option<SystemTime> {
    certificates(&files.certificate).ok()?.first().and_then(leaf::valid_until)
}

/// The certificates in a file, at least one.
///
/// # Errors
/// [`TlsError::Unreadable`]; [`TlsError::NotPem`].
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let content = watched::read_small(file);
    let content = content.map_err(|source| TlsError::Unreadable { file: file.to_owned(), source })?;
    let read = CertificateDer::pem_slice_iter(&content).collect::<Result<Vec<_>, _>>().ok();
    let not_pem = || TlsError::NotPem { file: file.to_owned(), wanted: "certificates" };
    read.filter(|certificates| !certificates.is_empty()).ok_or_else(not_pem)
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.current()))
    }
}

impl watched::Look for Certificate {
    fn look(&self) {
        self.0.look();
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey as Made, generate_simple_self_signed};

    use super::*;

    #[test]
    fn a_certificate_without_its_own_key_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let made = || generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (Made { cert, signing_key }, other) = (made(), made());
        let (certificate, key) = (directory.path().join("c"), directory.path().join("k"));
        let files = || TlsFiles { certificate: certificate.clone(), key: key.clone() };
        assert!(matches!(open(files()), Err(TlsError::Unreadable { .. })));
        for (c, k, works) in [
            (cert.pem(), signing_key.serialize_pem(), true),
            (cert.pem(), other.signing_key.serialize_pem(), false),
            (cert.pem(), cert.pem(), false),
            (String::new(), signing_key.serialize_pem(), false),
        ] {
            std::fs::write(&certificate, c).unwrap();
            std::fs::write(&key, k).unwrap();
            assert_eq!(open(files()).is_ok(), works);
        }
    }
}
