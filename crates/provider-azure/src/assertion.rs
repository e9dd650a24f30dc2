//! Proving with a certificate who our application is: a JWT that we sign.
//!
//! The SDK's own certificate credential would bring openssl. The TLS stack that we have anyway reads the files, checks that
//! they belong together and signs: a JWT around its signature is two texts and two dots.
//! <https://learn.microsoft.com/entra/identity-platform/certificate-credentials>

use std::path::{Path, PathBuf};
use std::time::Duration;

use azure_core::time::OffsetDateTime;
use data_encoding::BASE64URL_NOPAD;
use rustls::SignatureScheme;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::ids::ClientId;

/// How long an assertion is good for. 5 min: what Entra recommends at most for clocks that differ; each is used once, at
/// once.
const LIFETIME: Duration = Duration::from_secs(300);

/// How an assertion is signed. <https://www.rfc-editor.org/rfc/rfc7515#section-4.1>
#[derive(serde::Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(rename = "x5t#S256")]
    thumbprint: &'a str,
}

/// What an assertion says. <https://www.rfc-editor.org/rfc/rfc7523#section-3>
#[derive(serde::Serialize)]
struct Claims<'a> {
    aud: &'a str,
    iss: &'a str,
    sub: &'a str,
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// A certificate and its key, read from files each time.
#[derive(Debug, Clone)]
pub(crate) struct CertificateFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// What the files hold at the moment.
pub(crate) struct Signer {
    signer: Box<dyn rustls::sign::Signer>,
    /// SHA-256 of the certificate, by which Entra finds it among those registered.
    thumbprint: String,
}

impl CertificateFiles {
    /// Reads both files and checks that they belong together, so that a renewal that is half written is noticed here and
    /// not taken for a refusal.
    pub(crate) async fn load(&self) -> Result<Signer, String> {
        let pem = read(&self.certificate).await?;
        let certificate = CertificateDer::from_pem_slice(&pem)
            .map_err(|_| format!("{} does not hold a PEM certificate", self.certificate.display()))?;
        let pem = read(&self.key).await?;
        let der = PrivateKeyDer::from_pem_slice(&pem)
            .map_err(|_| format!("{} does not hold a PEM private key", self.key.display()))?;
        let thumbprint = BASE64URL_NOPAD.encode(&Sha256::digest(&certificate));
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let certified = CertifiedKey::from_der(vec![certificate], der, &provider).map_err(|_| {
            format!("{} is not the key of {}", self.key.display(), self.certificate.display())
        })?;
        // PSS, because Entra recommends it over PKCS #1 v1.5. As TLS uses it, it is what JWTs call PS256.
        let signer = certified.key.choose_scheme(&[SignatureScheme::RSA_PSS_SHA256]);
        let signer = signer
            .ok_or_else(|| format!("{} is not an RSA key, and Entra takes no other", self.key.display()))?;
        Ok(Signer { signer, thumbprint })
    }
}

impl Signer {
    /// A new assertion that `client` may show to `audience`, a token endpoint.
    pub(crate) fn sign(
        &self,
        client: &ClientId,
        audience: &str,
        now: OffsetDateTime,
    ) -> Result<Zeroizing<String>, String> {
        let now = now.unix_timestamp();
        let lifetime = i64::try_from(LIFETIME.as_secs()).unwrap_or(i64::MAX);
        let claims = Claims {
            aud: audience,
            iss: client.as_str(),
            sub: client.as_str(),
            jti: uuid::Uuid::new_v4().to_string(),
            iat: now,
            nbf: now,
            exp: now.saturating_add(lifetime),
        };
        let header = Header { alg: "PS256", typ: "JWT", thumbprint: &self.thumbprint };
        let unsigned = format!("{}.{}", encoded(&header)?, encoded(&claims)?);
        let signature = self.signer.sign(unsigned.as_bytes()).map_err(|_| UNSIGNED)?;
        Ok(Zeroizing::new(format!("{unsigned}.{}", BASE64URL_NOPAD.encode(&signature))))
    }
}

const UNSIGNED: &str = "the client assertion could not be signed";

fn encoded(part: &impl serde::Serialize) -> Result<String, String> {
    serde_json::to_vec(part).map(|json| BASE64URL_NOPAD.encode(&json)).map_err(|_| UNSIGNED.to_owned())
}

/// A file's bytes, wiped when dropped.
pub(crate) async fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let bytes = tokio::fs::read(path).await;
    bytes.map(Zeroizing::new).map_err(|e| format!("cannot read {}: {}", path.display(), e.kind()))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SignatureAlgorithm};
    use serde_json::Value;

    use super::*;

    const CLIENT: &str = "00000000-1111-2222-3333-444444444444";
    const AUDIENCE: &str = "https://login.microsoftonline.com/d/oauth2/v2.0/token";

    /// A certificate and its key in files.
    struct Made {
        folder: tempfile::TempDir,
        pair: KeyPair,
        files: CertificateFiles,
    }

    impl Made {
        fn new(algorithm: &'static SignatureAlgorithm) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let pair = KeyPair::generate_for(algorithm).unwrap();
            let parameters = CertificateParams::new(vec!["leasehold.example".to_owned()]).unwrap();
            let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
            std::fs::write(&certificate, parameters.self_signed(&pair).unwrap().pem()).unwrap();
            std::fs::write(&key, pair.serialize_pem()).unwrap();
            Self { folder, pair, files: CertificateFiles { certificate, key } }
        }
    }

    #[tokio::test]
    async fn an_assertion_is_signed_by_the_certificate_that_it_names() {
        let made = Made::new(&PKCS_RSA_SHA256);
        let now = OffsetDateTime::now_utc();
        let signed = made.files.load().await.unwrap().sign(&CLIENT.parse().unwrap(), AUDIENCE, now).unwrap();
        let header = jsonwebtoken::decode_header(signed.as_bytes()).unwrap();
        let der = CertificateDer::from_pem_file(&made.files.certificate).unwrap();
        assert_eq!(header.x5t_s256, Some(BASE64URL_NOPAD.encode(&Sha256::digest(&der))));

        let mut validation = Validation::new(Algorithm::PS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[CLIENT]);
        let key = DecodingKey::from_rsa_der(made.pair.public_key_raw());
        let claims = jsonwebtoken::decode::<Value>(signed.as_bytes(), &key, &validation).unwrap().claims;
        assert_eq!(claims["sub"], CLIENT);
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["nbf"].as_i64().unwrap(), 300);
    }

    #[tokio::test]
    async fn no_two_assertions_have_the_same_id() {
        let signer = Made::new(&PKCS_RSA_SHA256).files.load().await.unwrap();
        let id = || {
            let signed = signer.sign(&CLIENT.parse().unwrap(), AUDIENCE, OffsetDateTime::UNIX_EPOCH).unwrap();
            let claims = BASE64URL_NOPAD.decode(signed.split('.').nth(1).unwrap().as_bytes()).unwrap();
            serde_json::from_slice::<Value>(&claims).unwrap()["jti"].to_string()
        };
        assert_ne!(id(), id());
    }

    #[tokio::test]
    async fn files_that_do_not_belong_together_are_refused_by_name() {
        let (rsa, other, elliptic) =
            (Made::new(&PKCS_RSA_SHA256), Made::new(&PKCS_RSA_SHA256), Made::new(&PKCS_ECDSA_P256_SHA256));
        let none = rsa.folder.path().join("none.pem");
        for (certificate, key, part) in [
            (&rsa.files.certificate, &other.files.key, "is not the key of"),
            (&rsa.files.key, &rsa.files.key, "does not hold a PEM certificate"),
            (&rsa.files.certificate, &rsa.files.certificate, "does not hold a PEM private key"),
            (&none, &rsa.files.key, "cannot read"),
            (&elliptic.files.certificate, &elliptic.files.key, "is not an RSA key"),
        ] {
            let files = CertificateFiles { certificate: certificate.clone(), key: key.clone() };
            let why = files.load().await.err().unwrap();
            assert!(why.contains(part), "{why}");
        }
    }
}
