//! Authorities, the certificates that they sign, and the files that those are in.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use leasehold::config::Listen;
use leasehold_client::{Endpoint, TlsFiles};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// Somebody who signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate and its key.
pub(crate) struct Signed {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let params = Self::params(name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Somebody whom this one lets sign, with something changed.
    pub(crate) fn intermediate(&self, name: &str, adapt: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = Self::params(name);
        adapt(&mut params);
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params
    }

    /// The certificate of a caller of these names, as it should be.
    pub(crate) fn caller(&self, names: &[&str]) -> Signed {
        self.sign(names, |_| {})
    }

    /// The same with something changed.
    pub(crate) fn sign(&self, names: &[&str], adapt: impl FnOnce(&mut CertificateParams)) -> Signed {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.iter().map(|name| san(name)).collect();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        adapt(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Signed { certificate, key: key.serialize_pem() }
    }

    /// The certificate of the service on loopback.
    pub(crate) fn service(&self) -> Signed {
        self.sign(&["127.0.0.1"], |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        })
    }
}

fn san(name: &str) -> SanType {
    match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) if name.contains(':') => SanType::URI(name.try_into().unwrap()),
        Err(_) => SanType::DnsName(name.try_into().unwrap()),
    }
}

/// The files of a service, and of its callers.
pub(crate) struct Files(tempfile::TempDir);

impl Files {
    /// Those of a service whose certificate is signed by `service`, and which has `prod` vouch for the trust domain of that
    /// name and `dns` for names.
    pub(crate) fn new(service: &Authority, prod: &Authority, dns: &Authority) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.put("service-ca", &service.pem);
        files.put("prod-ca", &prod.pem);
        files.put("dns-ca", &dns.pem);
        files.put_signed("service", &service.service());
        files
    }

    pub(crate) fn directory(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file that only we can read, and puts it in its place at once.
    pub(crate) fn put(&self, name: &str, text: &str) {
        let new = self.path("new");
        std::fs::write(&new, text).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
    }

    pub(crate) fn put_signed(&self, name: &str, signed: &Signed) {
        self.put(&format!("{name}-cert"), &signed.certificate);
        self.put(&format!("{name}-key"), &signed.key);
    }

    /// Where the service listens: with certificates, and on a socket for whoever sets the world up.
    pub(crate) fn listen(&self, more: &str) -> Listen {
        let path = |name: &str| self.path(name).display().to_string();
        let text = format!(
            "tcp = []\nunix = ['{}']\n[tls]\naddresses = ['127.0.0.1:0']\ncertificate_file = '{}'\nkey_file = '{}'\n{more}\n\
             [[tls.authorities]]\nca_file = '{}'\nvouches_for = 'spiffe://prod'\n\
             [[tls.authorities]]\nca_file = '{}'\nvouches_for = 'dns'\n",
            path("socket"),
            path("service-cert"),
            path("service-key"),
            path("prod-ca"),
            path("dns-ca"),
        );
        toml::from_str(&text).unwrap()
    }

    /// The endpoint at `url` for the caller whose files begin so.
    pub(crate) fn endpoint(&self, url: &str, caller: &str) -> Endpoint {
        let endpoint: Endpoint = url.parse().unwrap();
        let (certificate, key) = (self.path(&format!("{caller}-cert")), self.path(&format!("{caller}-key")));
        endpoint
            .with_tls(TlsFiles { ca: self.path("service-ca"), certificate, key, server_name: None })
            .unwrap()
    }
}
