//! Each way of showing who we are: that it works, that files are read anew, and that a broken one is never a denial.

use std::time::Duration;

use leasehold_cloudsim::control::azure::model::{
    CertificateSpec, FederatedCredentialSpec, ManagedIdentitySpec,
};
use leasehold_provider::{Fault, KeyProvider};
use leasehold_provider_azure::{AzureConfigError, AzureProvider, Identity};
use serde_json::json;

use crate::tenant::Tenant;
use crate::world::World;

impl World {
    /// Lets our application be shown by the platform's managed identity, again.
    pub(crate) fn federate(&self, name: &str) {
        let scenario = &self.scenario;
        let credential = FederatedCredentialSpec {
            name: name.to_owned(),
            issuer: format!("https://login.microsoftonline.com/{}/v2.0", scenario.directory),
            subject: scenario.managed_identity_principal.to_string(),
            audiences: vec!["api://AzureADTokenExchange".to_owned()],
            jwks: None,
        };
        self.azure().put_federated_credential(&scenario.client_id, credential).unwrap();
    }
}

#[tokio::test]
async fn a_managed_identity_can_be_chosen_by_its_client_id() {
    let world = World::start().await;
    let chosen = "10000000-0000-4000-8000-0000000000b2";
    let spec = ManagedIdentitySpec { directory: world.scenario.directory.clone() };
    world.azure().put_managed_identity(&chosen.parse().unwrap(), spec).unwrap();
    let mine = Some(world.scenario.managed_identity.to_string().parse().unwrap());
    let provider = world.provider_as(Identity::ManagedIdentity { client_id: mine }).await;
    assert!(provider.own_identity().await.is_ok());
    // It is one of this machine's, but our application does not trust it.
    let other = world.provider_as(Identity::ManagedIdentity { client_id: chosen.parse().ok() }).await;
    let error = other.own_identity().await.unwrap_err();
    assert_eq!((error.fault(), error.code()), (&Fault::OwnIdentity, Some("AADSTS700213")));
    let unknown = "10000000-0000-4000-8000-0000000000ff".parse().ok();
    let none = world.provider_as(Identity::ManagedIdentity { client_id: unknown }).await;
    assert_eq!(
        none.own_identity().await.unwrap_err().fault(),
        &Fault::OwnIdentity,
        "not one of this machine's"
    );
}

#[tokio::test]
async fn the_platforms_token_is_fetched_once_and_every_vault_token_anew() {
    let world = World::start().await;
    let provider = world.provider_as(Identity::ManagedIdentity { client_id: None }).await;
    let tenant = Tenant::onboard(&world, &provider, "acme", 1).await;
    let before = world.calls("Token").len();
    for _ in 0..3 {
        provider.assume(&tenant.binding).await.unwrap();
    }
    assert_eq!(world.calls("Token").len(), before + 3);
    assert_eq!(world.calls_of("azure_identity", "Token").len(), 1);
}

#[tokio::test]
async fn a_service_accounts_token_is_read_from_its_file_each_time() {
    let world = World::start().await;
    let issuer = Issuer::new();
    let credential = FederatedCredentialSpec {
        name: "cluster".to_owned(),
        issuer: ISSUER.to_owned(),
        subject: "system:serviceaccount:leasehold:leasehold".to_owned(),
        audiences: vec!["api://AzureADTokenExchange".to_owned()],
        jwks: Some(issuer.jwks()),
    };
    world.azure().put_federated_credential(&world.scenario.client_id, credential).unwrap();
    let file = world.file("token");
    std::fs::write(
        &file,
        issuer.token("system:serviceaccount:leasehold:leasehold", "api://AzureADTokenExchange"),
    )
    .unwrap();
    let provider = world.provider_as(Identity::WorkloadIdentity { token_file: Some(file.clone()) }).await;
    assert!(provider.own_identity().await.is_ok());
    for (subject, audience, code) in [
        ("system:serviceaccount:other:other", "api://AzureADTokenExchange", "AADSTS700213"),
        ("system:serviceaccount:leasehold:leasehold", "https://kubernetes.default.svc", "AADSTS700212"),
    ] {
        std::fs::write(&file, issuer.token(subject, audience)).unwrap();
        let error = provider.own_identity().await.unwrap_err();
        assert_eq!((error.fault(), error.code()), (&Fault::OwnIdentity, Some(code)));
    }
    std::fs::remove_file(&file).unwrap();
    let error = provider.own_identity().await.unwrap_err();
    assert_eq!((error.fault(), error.code()), (&Fault::OwnIdentity, None));
}

#[tokio::test]
async fn a_secret_that_was_replaced_in_its_file_is_used_at_once() {
    let world = World::start().await;
    let provider = world.provider().await;
    assert!(provider.own_identity().await.is_ok());
    std::fs::write(world.file("secret"), "not-the-secret").unwrap();
    let error = provider.own_identity().await.unwrap_err();
    assert_eq!((error.fault(), error.code()), (&Fault::OwnIdentity, Some("AADSTS7000215")));
    let short = world.azure().add_secret(&world.scenario.client_id, Some(Duration::from_secs(60))).unwrap();
    std::fs::write(world.file("secret"), short.value.expose()).unwrap();
    assert!(provider.own_identity().await.is_ok());
    world.control().advance(Duration::from_secs(61));
    let error = provider.own_identity().await.unwrap_err();
    assert_eq!((error.fault(), error.code()), (&Fault::OwnIdentity, Some("AADSTS7000222")));
    assert!(!format!("{error} {error:?} {provider:?}").contains(short.value.expose()));
}

#[tokio::test]
async fn a_certificate_that_was_renewed_is_used_at_once() {
    let world = World::start().await;
    world.certify();
    let provider = world.provider_as(world.certificate()).await;
    assert!(provider.own_identity().await.is_ok());
    let pem = world.write_certificate();
    let error = provider.own_identity().await.unwrap_err();
    assert_eq!(
        (error.fault(), error.code()),
        (&Fault::OwnIdentity, Some("AADSTS700027")),
        "not registered yet"
    );
    let spec = CertificateSpec { pem, expires_in_seconds: None };
    world.azure().add_certificate(&world.scenario.client_id, &spec).unwrap();
    assert!(provider.own_identity().await.is_ok());
    // Half of a renewal: the key of another certificate.
    std::fs::write(world.file("app.key"), rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let error = provider.own_identity().await.unwrap_err();
    assert_eq!((error.fault(), error.code()), (&Fault::OwnIdentity, None));
    assert!(error.detail().contains("is not the key of"), "{error}");
}

#[tokio::test]
async fn an_application_that_is_not_there_is_our_own_affair_at_home_and_no_consent_elsewhere() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::onboard(&world, &provider, "acme", 1).await;
    let mut config = world.config(world.secret());
    config.client_id = "10000000-0000-4000-8000-00000000dead".parse().unwrap();
    let stranger = AzureProvider::build(config, world.arena.clone()).await.unwrap();
    assert_eq!(stranger.own_identity().await.unwrap_err().fault(), &Fault::OwnIdentity);
    let error = stranger.assume(&tenant.binding).await.unwrap_err();
    assert!(matches!(error.fault(), Fault::Denied { .. }), "{error}");
}

#[tokio::test]
async fn files_that_are_missing_or_wrong_are_refused_at_start() {
    let world = World::start().await;
    let missing = world.file("none");
    for identity in [
        Identity::Secret { file: missing.clone() },
        Identity::WorkloadIdentity { token_file: Some(missing.clone()) },
        Identity::Certificate { certificate_file: missing.clone(), key_file: missing.clone() },
        Identity::Certificate { certificate_file: world.file("ca.pem"), key_file: world.file("ca.pem") },
    ] {
        let built = AzureProvider::build(world.config(identity), world.arena.clone()).await;
        assert!(matches!(built, Err(AzureConfigError::BadIdentity { .. })), "{built:?}");
    }
    let mut config = world.config(world.secret());
    config.extra_root_cas = vec![world.file("secret")];
    let built = AzureProvider::build(config, world.arena.clone()).await;
    assert!(matches!(built, Err(AzureConfigError::BadRoots { .. })), "{built:?}");
}

#[tokio::test]
async fn without_the_simulators_authority_nobody_is_told_anything() {
    let world = World::start().await;
    let mut config = world.config(world.secret());
    config.extra_root_cas.clear();
    let provider = AzureProvider::build(config, world.arena.clone()).await.unwrap();
    let error = provider.own_identity().await.unwrap_err();
    assert_eq!(error.fault(), &Fault::Unavailable);
    assert!(world.calls("Token").is_empty(), "the certificate is checked before the secret is sent");
}

const ISSUER: &str = "https://cluster.example/issuer";

/// A cluster's issuer of service account tokens.
struct Issuer(rcgen::KeyPair);

impl Issuer {
    fn new() -> Self {
        Self(rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap())
    }

    fn jwks(&self) -> serde_json::Value {
        let (modulus, exponent) = rsa_parts(self.0.public_key_raw());
        let encoded = |bytes: &[u8]| data_encoding::BASE64URL_NOPAD.encode(bytes);
        json!({ "keys": [{
            "kty": "RSA", "alg": "RS256", "use": "sig", "kid": "cluster", "n": encoded(modulus), "e": encoded(exponent),
        }] })
    }

    fn token(&self, subject: &str, audience: &str) -> String {
        let now = jsonwebtoken::get_current_timestamp();
        let claims = json!({
            "iss": ISSUER, "sub": subject, "aud": [audience], "iat": now, "nbf": now, "exp": now + 3600,
        });
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256);
        header.kid = Some("cluster".to_owned());
        // The private key inside of its PKCS #8 wrapping, which begins after 26 bytes for RSA.
        let key = jsonwebtoken::EncodingKey::from_rsa_der(&self.0.serialize_der()[26..]);
        jsonwebtoken::encode(&header, &claims, &key).unwrap()
    }
}

/// Modulus and exponent of an RSA public key: a sequence of two integers.
fn rsa_parts(der: &[u8]) -> (&[u8], &[u8]) {
    let (modulus, rest) = integer(&der[4..]);
    (modulus, integer(rest).0)
}

/// The bytes of the DER integer at the start, without a leading zero, and what comes after it.
fn integer(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, start) = match der[1] {
        0x82 => (usize::from(der[2]) << 8 | usize::from(der[3]), 4),
        short => (usize::from(short), 2),
    };
    let (value, rest) = der[start..].split_at(length);
    (value.strip_prefix(&[0]).unwrap_or(value), rest)
}
