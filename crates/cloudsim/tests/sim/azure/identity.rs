//! Managed identities: the machine's tokens, and what an application can prove with them.

use std::time::Duration;

use leasehold_cloudsim::control::azure::model::{FederatedCredentialSpec, ManagedIdentitySpec};
use serde_json::json;

use super::client::World;

const EXCHANGE: &str =
    "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=api://AzureADTokenExchange";
const METADATA: (&str, &str) = ("metadata", "true");
pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

async fn assertion(world: &World) -> String {
    let answer = world.identity(EXCHANGE, &[METADATA]).await;
    assert_eq!(answer.status, 200, "{}", answer.json);
    answer.json["access_token"].as_str().unwrap().to_owned()
}

fn presenting(assertion: &str) -> [(&str, &str); 3] {
    [("client_secret", ""), ("client_assertion_type", JWT_BEARER), ("client_assertion", assertion)]
}

#[tokio::test]
async fn the_applications_managed_identity_stands_in_for_a_secret() {
    let world = World::start().await;
    let token = assertion(&world).await;
    let granted = world.token_with(0, &presenting(&token)).await;
    assert_eq!(world.get_key(&granted, 0).await.status, 200);
    let directory = world.tenant(0).directory.as_str();
    let mut untyped = presenting(&token);
    untyped[1].1 = "";
    assert_eq!(world.request_token(directory, &untyped).await.aadsts(), 50027);
    world.azure().remove_federated_credential(&world.scenario.client_id, "managed-identity").unwrap();
    assert_eq!(world.request_token(directory, &presenting(&token)).await.aadsts(), 700211);
}

#[tokio::test]
async fn a_federated_credential_has_to_match_in_issuer_subject_and_audience() {
    let world = World::start().await;
    let token = assertion(&world).await;
    let app = &world.scenario.client_id;
    let credential = |subject: &str, audience: &str| FederatedCredentialSpec {
        name: "managed-identity".to_owned(),
        issuer: format!("https://login.microsoftonline.com/{}/v2.0", world.scenario.directory),
        subject: subject.to_owned(),
        audiences: vec![audience.to_owned()],
        jwks: None,
    };
    let subject = world.scenario.managed_identity_principal.as_str();
    for (subject, audience, code) in [
        ("30000000-0000-4000-8000-00000000ffff", "api://AzureADTokenExchange", 700213),
        (subject, "api://AzureADTokenExchangeUSGov", 700212),
    ] {
        world.azure().put_federated_credential(app, credential(subject, audience)).unwrap();
        let refused = world.request_token(world.tenant(0).directory.as_str(), &presenting(&token)).await;
        assert_eq!((refused.status, refused.aadsts()), (401, code));
    }
    world.azure().put_federated_credential(app, credential(subject, "api://AzureADTokenExchange")).unwrap();
    world.token_with(0, &presenting(&token)).await;
}

#[tokio::test]
async fn an_assertion_that_is_old_or_forged_or_for_a_vault_is_refused() {
    let world = World::start().await;
    let directory = world.tenant(0).directory.as_str();
    let token = assertion(&world).await;
    let vault = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://vault.azure.net";
    let vault = world.identity(vault, &[METADATA]).await.json["access_token"].as_str().unwrap().to_owned();
    let (signed, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", vault.rsplit_once('.').unwrap().1);
    for (presented, code) in [(vault.as_str(), 700211), (forged.as_str(), 50013), ("rubbish", 50027)] {
        let refused = world.request_token(directory, &presenting(presented)).await;
        assert_eq!(refused.aadsts(), code, "{}", refused.json);
    }
    // A day, and the five minutes that clocks may differ.
    world.control().advance(Duration::from_secs(24 * 3600 + 270));
    world.token_with(0, &presenting(&token)).await;
    world.control().advance(Duration::from_secs(30));
    assert_eq!(world.request_token(directory, &presenting(&token)).await.aadsts(), 700024);
    let fresh = assertion(&world).await;
    assert_eq!(world.request_token(directory, &presenting(&fresh)).await.status, 200);
    world.azure().expire_tokens();
    assert_eq!(world.request_token(directory, &presenting(&fresh)).await.aadsts(), 700024);
}

#[tokio::test]
async fn the_platform_hands_out_the_same_token_until_it_is_nearly_over() {
    let world = World::start().await;
    let first = assertion(&world).await;
    world.control().advance(Duration::from_secs(22 * 3600));
    assert_eq!(assertion(&world).await, first);
    world.control().advance(Duration::from_secs(3600 + 1));
    assert_ne!(assertion(&world).await, first);
}

#[tokio::test]
async fn an_issuer_of_somebody_elses_is_trusted_by_its_registered_keys() {
    let world = World::start().await;
    let issuer = "https://oidc.example.test/cluster-1";
    let jwks = world.control().aws().put_test_issuer(issuer).unwrap();
    let mint = |exp: Option<i64>| {
        let mut claims = std::collections::BTreeMap::from([
            ("sub".to_owned(), json!("system:serviceaccount:leasehold:server")),
            ("aud".to_owned(), json!(["api://AzureADTokenExchange"])),
        ]);
        claims.extend(exp.map(|exp| ("exp".to_owned(), json!(exp))));
        world.control().aws().mint_token(issuer, Default::default(), claims).unwrap()
    };
    let directory = world.tenant(0).directory.as_str();
    assert_eq!(world.request_token(directory, &presenting(&mint(None))).await.aadsts(), 700211);
    let credential = FederatedCredentialSpec {
        name: "cluster".to_owned(),
        issuer: issuer.to_owned(),
        subject: "system:serviceaccount:leasehold:server".to_owned(),
        audiences: vec!["api://AzureADTokenExchange".to_owned()],
        jwks: Some(jwks),
    };
    let unknown =
        FederatedCredentialSpec { jwks: None, issuer: "https://x.test".to_owned(), ..credential.clone() };
    assert!(world.azure().put_federated_credential(&world.scenario.client_id, unknown).is_err());
    world.azure().put_federated_credential(&world.scenario.client_id, credential).unwrap();
    world.token_with(0, &presenting(&mint(None))).await;
    let past = world.control().clock().now().unix_seconds() - 301;
    assert_eq!(world.request_token(directory, &presenting(&mint(Some(past)))).await.aadsts(), 700024);
}

#[tokio::test]
async fn the_metadata_service_asks_for_its_header_its_version_and_a_known_identity() {
    let world = World::start().await;
    let base = "/metadata/identity/oauth2/token";
    for (path, headers, status) in [
        (EXCHANGE.to_owned(), vec![], 400),
        (EXCHANGE.to_owned(), vec![METADATA, ("x-forwarded-for", "10.0.0.1")], 400),
        (format!("{base}?resource=https://vault.azure.net"), vec![METADATA], 400),
        (format!("{base}?api-version=2018-02-01"), vec![METADATA], 400),
        (format!("{base}?api-version=2018-02-01&resource=https://example.test"), vec![METADATA], 400),
        (format!("{EXCHANGE}&client_id=30000000-0000-4000-8000-00000000ffff"), vec![METADATA], 400),
        (format!("{EXCHANGE}&client_id={}", world.scenario.managed_identity), vec![METADATA], 200),
        (format!("{EXCHANGE}&object_id={}", world.scenario.managed_identity_principal), vec![METADATA], 200),
        ("/metadata/instance".to_owned(), vec![METADATA], 404),
    ] {
        let answer = world.identity(&path, &headers).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.json);
    }
    world.azure().set_default_identity(None).unwrap();
    let nobody = world.identity(EXCHANGE, &[METADATA]).await;
    assert_eq!(nobody.json["error_description"], "Identity not found");
}

#[tokio::test]
async fn app_services_endpoint_asks_for_its_secret_header() {
    let world = World::start().await;
    let path = "/msi/token?api-version=2019-08-01&resource=https://vault.azure.net";
    let secret = world.simulator.endpoints().azure_identity_header.expose().to_owned();
    assert_eq!(world.identity(path, &[("x-identity-header", "wrong")]).await.status, 401);
    assert_eq!(world.identity(path, &[METADATA]).await.status, 401);
    let answer = world.identity(path, &[("x-identity-header", &secret)]).await;
    assert_eq!((answer.status, &answer.json["token_type"]), (200, &json!("Bearer")), "{}", answer.json);
    let expires: i64 = answer.json["expires_on"].as_str().unwrap().parse().unwrap();
    assert!(expires > world.control().clock().now().unix_seconds() + 23 * 3600);
}

#[tokio::test]
async fn a_second_identity_is_another_subject() {
    let world = World::start().await;
    let second = "30000000-0000-4000-8000-0000000000b2".parse().unwrap();
    let spec = ManagedIdentitySpec { directory: world.scenario.directory.clone() };
    world.azure().put_managed_identity(&second, spec).unwrap();
    let answer = world.identity(&format!("{EXCHANGE}&client_id={second}"), &[METADATA]).await;
    let token = answer.json["access_token"].as_str().unwrap();
    let refused = world.request_token(world.tenant(0).directory.as_str(), &presenting(token)).await;
    assert_eq!(refused.aadsts(), 700213);
    world.azure().delete_service_principal(&world.scenario.directory, &second).unwrap();
    world.azure().expire_tokens();
    let gone = world.identity(&format!("{EXCHANGE}&client_id={second}"), &[METADATA]).await;
    assert_eq!(gone.status, 400);
}
