//! The certificate of the listener: official clients insist on TLS.

use std::fmt;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::clouds::Cloud;
use crate::error::SimError;

/// An authority made for one simulator, and what serves under the one certificate that it signed.
pub(crate) struct Certificate {
    /// The authority's certificate in PEM.
    pub(crate) authority: String,
    pub(crate) acceptor: TlsAcceptor,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Certificate").finish_non_exhaustive()
    }
}

impl Certificate {
    /// Makes both. The authority's key is forgotten at once: it can sign nothing else.
    pub(crate) fn generate() -> Result<Self, SimError> {
        let made = |_: rcgen::Error| SimError::KeyMaterial;
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "cloudsim: NO SECURITY");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(made)?;
        let authority = CertifiedIssuer::self_signed(authority, key).map_err(made)?;

        let mut served = CertificateParams::new(Cloud::host_patterns()).map_err(made)?;
        served.distinguished_name.push(DnType::CommonName, "cloudsim");
        served.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        served.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        served.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(made)?;
        let certificate = served.signed_by(&key, &authority).map_err(made)?;

        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|config| {
                config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key)
            })
            .map_err(|_| SimError::KeyMaterial)?;
        Ok(Self { authority: authority.pem(), acceptor: TlsAcceptor::from(Arc::new(config)) })
    }
}
