//! Assertions that an application signs with its own certificate.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use data_encoding::BASE64URL_NOPAD;
use leasehold_cloudsim::control::azure::model::CertificateSpec;
use serde_json::{Value, json};

use super::client::{Answer, LOGIN, World};
use super::identity::JWT_BEARER;

/// A certificate and the key in it.
struct Certificate {
    key: RsaKeyPair,
    pem: String,
    thumbprint: String,
}

impl Certificate {
    fn generate() -> Self {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der().unwrap();
        let der = rustls::pki_types::PrivatePkcs8KeyDer::from(der.as_ref());
        let signing = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256).unwrap();
        let params = rcgen::CertificateParams::new(vec!["leasehold.example".to_owned()]).unwrap();
        let certificate = params.self_signed(&signing).unwrap();
        let thumbprint = BASE64URL_NOPAD.encode(digest(&SHA256, certificate.der()).as_ref());
        Self { key, pem: certificate.pem(), thumbprint }
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "RS256", "typ": "JWT", "x5t#S256": self.thumbprint});
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&header), part(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
    }
}

fn claims(world: &World) -> Value {
    let now = world.control().clock().wall().unix_seconds();
    json!({
        "aud": format!("{LOGIN}/{}/oauth2/v2.0/token", world.tenant(0).directory),
        "iss": world.scenario.client_id,
        "sub": world.scenario.client_id,
        "jti": "9c1cbd8a",
        "nbf": now,
        "exp": now + 600,
    })
}

async fn present(world: &World, assertion: &str) -> Answer {
    let form =
        [("client_secret", ""), ("client_assertion_type", JWT_BEARER), ("client_assertion", assertion)];
    world.request_token(world.tenant(0).directory.as_str(), &form).await
}

fn register(world: &World, certificate: &Certificate, expires_in_seconds: Option<u64>) {
    let spec = CertificateSpec { pem: certificate.pem.clone(), expires_in_seconds };
    world.azure().add_certificate(&world.scenario.client_id, &spec).unwrap();
}

#[tokio::test]
async fn every_claim_of_a_certificates_assertion_counts() {
    let world = World::start().await;
    let certificate = Certificate::generate();
    register(&world, &certificate, None);
    let now = world.control().clock().wall().unix_seconds();
    let other = &world.tenant(1).directory;
    for (name, value, code) in [
        ("aud", json!(format!("{LOGIN}/{other}/oauth2/v2.0/token")), 700023),
        ("aud", json!("api://AzureADTokenExchange"), 700023),
        ("aud", json!("https://login.microsoftonline.us/x/oauth2/v2.0/token"), 700023),
        ("iss", json!("30000000-0000-4000-8000-00000000ffff"), 700021),
        ("sub", json!("30000000-0000-4000-8000-00000000ffff"), 700021),
        ("jti", json!(null), 50027),
        ("exp", json!(null), 50027),
        ("exp", json!(now - 330), 700024),
        ("nbf", json!(now + 330), 700024),
    ] {
        let mut changed = claims(&world);
        changed[name] = value;
        let refused = present(&world, &certificate.sign(&changed)).await;
        assert_eq!(refused.aadsts(), code, "{changed}: {}", refused.json);
    }
    let issuer = json!(format!("{LOGIN}/{}/v2.0", world.tenant(0).directory));
    let mut by_issuer = claims(&world);
    by_issuer["aud"] = issuer;
    for accepted in [claims(&world), by_issuer] {
        let granted = present(&world, &certificate.sign(&accepted)).await;
        assert_eq!(granted.status, 200, "{}", granted.json);
    }
    // The client signs with a clock that nobody advances.
    world.control().advance(Duration::from_secs(7200));
    assert_eq!(present(&world, &certificate.sign(&claims(&world))).await.status, 200);
}

#[tokio::test]
async fn a_certificate_has_to_be_registered_unexpired_and_the_one_that_signed() {
    let world = World::start().await;
    let (first, second) = (Certificate::generate(), Certificate::generate());
    let unregistered = present(&world, &first.sign(&claims(&world))).await;
    assert_eq!((unregistered.status, unregistered.aadsts()), (401, 700027));
    register(&world, &first, None);
    let confused = Certificate { thumbprint: first.thumbprint.clone(), ..second };
    let refused = present(&world, &confused.sign(&claims(&world))).await;
    assert_eq!(refused.aadsts(), 700027);
    assert!(refused.json["error_description"].as_str().unwrap().contains("verify the signature failed"));
    let expired = Certificate::generate();
    register(&world, &expired, Some(0));
    let refused = present(&world, &expired.sign(&claims(&world))).await;
    assert!(refused.json["error_description"].as_str().unwrap().contains("expired"), "{}", refused.json);
    let rubbish = CertificateSpec { pem: "rubbish".to_owned(), expires_in_seconds: None };
    assert!(world.azure().add_certificate(&world.scenario.client_id, &rubbish).is_err());
}
