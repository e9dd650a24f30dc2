//! AssumeRoleWithWebIdentity with tokens that are really signed and really checked.

use std::collections::BTreeMap;
use std::time::Duration;

use leasehold_cloudsim::aws::arn::RoleArn;
use leasehold_cloudsim::aws::issuer::{TestIssuer, TokenAlgorithm};
use leasehold_cloudsim::control::OidcProviderSpec;
use serde_json::{Value, json};

use crate::client::{Answer, World};

const ISSUER: &str = "https://oidc.example.com/cluster";
const ROLE: &str = "arn:aws:iam::100000000001:role/irsa";
const SUBJECT: &str = "system:serviceaccount:leasehold:server";

async fn world() -> World {
    let world = World::start().await;
    let account = &world.scenario.base_role.account;
    world.aws().put_test_issuer(ISSUER).unwrap();
    let audiences = vec!["sts.amazonaws.com".to_owned()];
    let provider = OidcProviderSpec { issuer: ISSUER.to_owned(), audiences, jwks: None };
    world.aws().put_oidc_provider(account, provider).unwrap();
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Federated": format!("arn:aws:iam::{account}:oidc-provider/oidc.example.com/cluster")},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {
                "oidc.example.com/cluster:sub": SUBJECT,
                "oidc.example.com/cluster:aud": "sts.amazonaws.com",
            }},
        }],
    });
    let role: RoleArn = ROLE.parse().unwrap();
    world.aws().put_role(&role, serde_json::from_value(json!({"trust_policy": trust})).unwrap()).unwrap();
    world
}

fn claims(change: &[(&str, Value)]) -> BTreeMap<String, Value> {
    let mut claims = BTreeMap::from([
        ("sub".to_owned(), json!(SUBJECT)),
        ("aud".to_owned(), json!(["sts.amazonaws.com"])),
    ]);
    claims.extend(change.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    claims
}

async fn assume(world: &World, token: &str) -> Answer {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", ROLE),
            ("RoleSessionName", "server"),
            ("WebIdentityToken", token),
        ])
        .finish();
    let response = world.http.post(&world.simulator.endpoints().aws).body(body).send().await.unwrap();
    Answer { status: response.status().as_u16(), text: response.text().await.unwrap() }
}

#[tokio::test]
async fn tokens_of_both_algorithms_open_the_role_and_the_session_works() {
    let world = world().await;
    for algorithm in [TokenAlgorithm::RS256, TokenAlgorithm::ES256] {
        let token = world.aws().mint_token(ISSUER, algorithm, claims(&[])).unwrap();
        let assumed = assume(&world, &token).await;
        assert_eq!(assumed.status, 200, "{}", assumed.text);
        assert_eq!(assumed.element("SubjectFromWebIdentityToken"), SUBJECT);
        let identity = world.sts(&assumed.credentials(), &[("Action", "GetCallerIdentity")]).await;
        assert_eq!(identity.element("Arn"), "arn:aws:sts::100000000001:assumed-role/irsa/server");
    }
}

#[tokio::test]
async fn tokens_with_a_wrong_signature_issuer_audience_or_time_are_refused() {
    let world = world().await;
    let impostor = TestIssuer::new(ISSUER).unwrap();
    let expires = world.control().clock().now().unix_seconds() + 3600;
    let forged = impostor.mint(TokenAlgorithm::RS256, &claims(&[("exp", json!(expires))])).unwrap();
    assert_eq!(assume(&world, &forged).await.code(), "InvalidIdentityToken");
    let mint = |change: &[(&str, Value)]| {
        world.aws().mint_token(ISSUER, TokenAlgorithm::ES256, claims(change)).unwrap()
    };
    let stranger = mint(&[("iss", json!("https://elsewhere.example.com"))]);
    assert!(assume(&world, &stranger).await.element("Message").contains("No OpenIDConnect provider found"));
    let audience = assume(&world, &mint(&[("aud", json!("other"))])).await;
    assert_eq!(
        (audience.code().as_str(), audience.element("Message")),
        ("InvalidIdentityToken", "Incorrect token audience")
    );
    let token = mint(&[]);
    assert_eq!(assume(&world, &format!("{token}x")).await.code(), "InvalidIdentityToken");
    assert_eq!(assume(&world, "no.jwt.at-all").await.code(), "InvalidIdentityToken");
    world.control().advance(Duration::from_secs(3600 + 61));
    assert_eq!(assume(&world, &token).await.code(), "ExpiredTokenException");
}

#[tokio::test]
async fn a_good_token_of_the_wrong_subject_is_refused_by_the_trust_policy() {
    let world = world().await;
    let token =
        world.aws().mint_token(ISSUER, TokenAlgorithm::RS256, claims(&[("sub", json!("other"))])).unwrap();
    let refused = assume(&world, &token).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "AccessDenied"));
}
