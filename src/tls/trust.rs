//! Which authorities may vouch for which callers.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use leasehold_authz::Identity;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use tokio::sync::watch;

use super::TlsError;
use super::certificate::certificates;
use super::leaf::{self, LeafError};
use crate::config::{Authority, VouchesFor};
use crate::watched::{Look, Watched};

type Verifiers = Vec<Arc<dyn ClientCertVerifier>>;

/// The authorities, as their files have them now.
pub(super) struct Trust {
    /// Whom each may vouch for, in the order of `verifiers`.
    vouch_for: Vec<VouchesFor>,
    verifiers: Watched<Verifiers, TlsError>,
    provider: Arc<CryptoProvider>,
}

/// Why a certificate that may be in order is not good enough.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum NotTrusted {
    #[error("the certificate is no caller's: {0}")]
    Leaf(LeafError),
    #[error("no authority is configured that may vouch for {0}")]
    NoAuthority(Identity),
}

impl Trust {
    /// Reads the authorities.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(super) fn open(authorities: Vec<Authority>) -> Result<Arc<Self>, TlsError> {
        let (files, vouch_for) = authorities.into_iter().map(|a| (a.ca_file, a.vouches_for)).unzip();
        let verifiers = Watched::open(files, read, None)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Ok(Arc::new(Self { vouch_for, verifiers, provider }))
    }

    /// Whose certificate it is, if it is valid at `time` for authenticating a client and an authority signed it that may
    /// vouch for who it says.
    ///
    /// # Errors
    /// Why it is not good enough.
    pub(super) fn identify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        time: UnixTime,
    ) -> Result<Identity, Error> {
        let identity = leaf::identity(leaf).map_err(|error| refused(NotTrusted::Leaf(error)))?;
        let verifiers = self.verifiers.current();
        let vouched = self.vouch_for.iter().zip(&*verifiers).find(|(who, _)| who.cover(&identity));
        let (_, verifier) = vouched.ok_or_else(|| refused(NotTrusted::NoAuthority(identity.clone())))?;
        verifier.verify_client_cert(leaf, intermediates, time)?;
        Ok(identity)
    }

    /// Is told whenever the authorities may be others.
    pub(super) fn changes(&self) -> watch::Receiver<Arc<Verifiers>> {
        self.verifiers.changes()
    }
}

fn refused(why: NotTrusted) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))))
}

fn read(files: &[PathBuf]) -> Result<Verifiers, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = |file: &PathBuf| {
        let unusable = |what: String| TlsError::Authorities { file: file.clone(), what };
        let mut roots = RootCertStore::empty();
        for authority in certificates(file)? {
            roots.add(authority).map_err(|error| unusable(error.to_string()))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        builder.build().map_err(|error| unusable(error.to_string()))
    };
    files.iter().map(verifier).collect()
}

impl ClientCertVerifier for Trust {
    /// None: they would tell anybody whom we trust, and change while the process runs.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.identify(leaf, intermediates, now).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl Look for Trust {
    fn look(&self) {
        self.verifiers.look();
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("vouch_for", &self.vouch_for).finish_non_exhaustive()
    }
}
