//! Workload identity federation with tokens that are really signed and really checked.

use std::collections::BTreeMap;
use std::time::Duration;

use leasehold_cloudsim::control::gcp::{PolicyPlace, ProviderSpec};
use leasehold_cloudsim::gcp::name::ProviderName;
use leasehold_cloudsim::issuer::{TestIssuer, TokenAlgorithm};
use serde_json::{Value, json};

use super::client::{Answer, SCOPE, World, answer, denied, refused};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

fn audience(provider: &ProviderName) -> String {
    format!("//iam.googleapis.com/{provider}")
}

fn mint(world: &World, change: &[(&str, Value)]) -> String {
    let mut claims = BTreeMap::from([
        ("sub".to_owned(), json!(world.scenario.subject)),
        ("aud".to_owned(), json!(audience(&world.scenario.provider))),
    ]);
    claims.extend(change.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    world.gcp().mint_token(&world.scenario.issuer, TokenAlgorithm::RS256, claims).unwrap()
}

async fn exchange(world: &World, token: &str, change: &[(&str, &str)]) -> Answer {
    let audience = audience(&world.scenario.provider);
    let mut form = BTreeMap::from([
        ("grant_type", GRANT),
        ("audience", &audience),
        ("scope", SCOPE),
        ("requested_token_type", ACCESS_TOKEN),
        ("subject_token", token),
        ("subject_token_type", JWT),
    ]);
    form.extend(change.iter().copied());
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let url = format!("{}/v1/token", world.simulator.endpoints().gcp);
    let kind = "application/x-www-form-urlencoded";
    answer(world.http.post(url).header("content-type", kind).body(body)).await
}

async fn federated(world: &World) -> String {
    let answer = exchange(world, &mint(world, &[]), &[]).await.ok();
    answer["access_token"].as_str().unwrap().to_owned()
}

fn provider(world: &World, change: Value) {
    let mut spec = json!({
        "issuer": world.scenario.issuer,
        "attribute_mapping": {"google.subject": "assertion.sub"},
    });
    spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    let spec: ProviderSpec = serde_json::from_value(spec).unwrap();
    world.gcp().put_provider(&world.scenario.provider, spec).unwrap();
}

#[tokio::test]
async fn a_token_of_the_cluster_becomes_the_platforms_service_account() {
    let world = World::start().await;
    let token = federated(&world).await;
    let base = world.generate(&token, &world.scenario.base, json!({})).await.ok();
    let base = base["accessToken"].as_str().unwrap();
    world.generate(base, &world.tenant(0).service_account, json!({})).await.ok();
    let direct = world.generate(&token, &world.tenant(0).service_account, json!({})).await;
    assert_eq!(direct.error(), denied());
    let body = json!({
        "grantType": GRANT,
        "audience": audience(&world.scenario.provider),
        "scope": SCOPE,
        "requestedTokenType": ACCESS_TOKEN,
        "subjectToken": mint(&world, &[]),
        "subjectTokenType": JWT,
    });
    let url = format!("{}/v1/token", world.simulator.endpoints().gcp);
    let as_json = answer(world.http.post(url).json(&body)).await.ok();
    assert_eq!((&as_json["token_type"], &as_json["expires_in"]), (&json!("Bearer"), &json!(3600)));
    let log = world.control().calls(&Default::default());
    let pool = &world.scenario.provider.pool;
    let principal = format!("principal://iam.googleapis.com/{pool}/subject/{}", world.scenario.subject);
    assert_eq!(log.last().unwrap().facts.principal.as_ref(), Some(&principal));
}

#[tokio::test]
async fn tokens_with_a_wrong_signature_issuer_audience_or_time_are_refused() {
    let world = World::start().await;
    let now = world.control().clock().now().unix_seconds();
    let impostor = TestIssuer::new(world.scenario.issuer.clone()).unwrap();
    let claims = BTreeMap::from([
        ("sub".to_owned(), json!(world.scenario.subject)),
        ("aud".to_owned(), json!(audience(&world.scenario.provider))),
        ("iat".to_owned(), json!(now)),
        ("exp".to_owned(), json!(now + 3600)),
    ]);
    let forged = impostor.mint(TokenAlgorithm::RS256, &claims).unwrap();
    let good = mint(&world, &[]);
    let altered = format!("{}x", mint(&world, &[]));
    for (token, part) in [
        (forged, "signature"),
        (altered, "signature"),
        ("nonsense".to_owned(), "parse"),
        (mint(&world, &[("iss", json!("https://elsewhere.example"))]), "issuer"),
        (mint(&world, &[("aud", json!("other"))]), "audience"),
        (mint(&world, &[("iat", json!(now - 90_000)), ("exp", json!(now - 86_400))]), "stale"),
        (mint(&world, &[("iat", json!(now - 90_000)), ("exp", json!(now + 60))]), "stale"),
        (mint(&world, &[("exp", json!(now + 90_000))]), "stale"),
        (mint(&world, &[("iat", json!(now + 600))]), "not valid yet"),
        (mint(&world, &[("nbf", json!(now + 600))]), "not valid yet"),
        (mint(&world, &[("sub", json!(""))]), "google.subject"),
        (mint(&world, &[("sub", json!("s".repeat(128)))]), "google.subject"),
        (mint(&world, &[("sub", json!(7))]), "google.subject"),
    ] {
        let refusal = exchange(&world, &token, &[]).await;
        assert_eq!(refusal.error(), refused(400, "invalid_grant", ""), "{part}");
        assert!(refusal.message().contains(part), "{part}: {}", refusal.text);
    }
    exchange(&world, &good, &[]).await.ok();
    let with_scheme = format!("https:{}", audience(&world.scenario.provider));
    exchange(&world, &mint(&world, &[("aud", json!([with_scheme, "b"]))]), &[]).await.ok();
    world.control().advance(Duration::from_secs(3661));
    assert_eq!(exchange(&world, &good, &[]).await.error().1, "invalid_grant");
}

#[tokio::test]
async fn requests_that_are_no_token_exchange_are_refused() {
    let world = World::start().await;
    let token = mint(&world, &[]);
    let number = world.scenario.provider.pool.project_number;
    let elsewhere = format!(
        "//iam.googleapis.com/projects/{number}/locations/global/workloadIdentityPools/nowhere/providers/cluster"
    );
    for (change, code) in [
        (("grant_type", "password"), "unsupported_grant_type"),
        (("requested_token_type", "x"), "invalid_request"),
        (("subject_token_type", "urn:ietf:params:aws:token-type:aws4_request"), "invalid_request"),
        (("subject_token", ""), "invalid_request"),
        (("scope", ""), "invalid_request"),
        (("audience", "cluster"), "invalid_request"),
        (("audience", elsewhere.as_str()), "invalid_target"),
    ] {
        assert_eq!(exchange(&world, &token, &[change]).await.error(), refused(400, code, ""), "{change:?}");
    }
}

#[tokio::test]
async fn a_disabled_pool_ends_its_tokens_and_a_disabled_provider_only_exchanges() {
    let world = World::start().await;
    let token = federated(&world).await;
    let become_base = || world.generate(&token, &world.scenario.base, json!({}));
    let pool = &world.scenario.provider.pool;
    provider(&world, json!({"disabled": true}));
    assert_eq!(exchange(&world, &mint(&world, &[]), &[]).await.error().1, "invalid_target");
    assert_eq!(become_base().await.status, 200);
    provider(&world, json!({}));
    world.gcp().set_pool_disabled(pool, true).unwrap();
    assert_eq!(exchange(&world, &mint(&world, &[]), &[]).await.error().1, "invalid_target");
    assert_eq!(become_base().await.error().2, "ACCOUNT_STATE_INVALID");
    world.gcp().set_pool_disabled(pool, false).unwrap();
    assert_eq!(become_base().await.status, 200);
    world.gcp().delete_provider(&world.scenario.provider).unwrap();
    assert_eq!(exchange(&world, &mint(&world, &[]), &[]).await.error().1, "invalid_target");
}

#[tokio::test]
async fn mapping_and_condition_decide_who_a_token_is() {
    let world = World::start().await;
    provider(
        &world,
        json!({
            "allowed_audiences": ["leasehold"],
            "attribute_mapping": {
                "google.subject": "'repo:' + assertion.repository",
                "google.groups": "assertion.groups",
                "attribute.owner": "assertion.owner",
            },
            "attribute_condition": "assertion.owner == 'leasehold' && google.subject.startsWith('repo:')",
        }),
    );
    let mint = |owner: &str, audience: &str| {
        let change = [
            ("repository", json!("leasehold/server")),
            ("owner", json!(owner)),
            ("groups", json!(["deployers"])),
            ("aud", json!(audience)),
        ];
        mint(&world, &change)
    };
    let refusal = exchange(&world, &mint("someone", "leasehold"), &[]).await;
    assert_eq!(refusal.error(), refused(400, "unauthorized_client", ""));
    assert_eq!(refusal.message(), "The given credential is rejected by the attribute condition.");
    let own = audience(&world.scenario.provider);
    assert_eq!(exchange(&world, &mint("leasehold", &own), &[]).await.error().1, "invalid_grant");
    let token = exchange(&world, &mint("leasehold", "leasehold"), &[]).await.ok();
    let token = token["access_token"].as_str().unwrap();
    let pool = format!("iam.googleapis.com/{}", world.scenario.provider.pool);
    let place = PolicyPlace::ServiceAccount(world.scenario.base.clone());
    for (member, status) in [
        (format!("principal://{pool}/subject/repo:leasehold/server"), 200),
        (format!("principal://{pool}/subject/repo:leasehold"), 403),
        (format!("principalSet://{pool}/group/deployers"), 200),
        (format!("principalSet://{pool}/group/admins"), 403),
        (format!("principalSet://{pool}/attribute.owner/leasehold"), 200),
        (format!("principalSet://{pool}/attribute.owner/lease"), 403),
        (format!("principalSet://{pool}/*"), 200),
        (format!("principalSet://{}/*", pool.replace("leasehold", "lease")), 403),
    ] {
        let policy = json!({"bindings": [{"role": "roles/iam.workloadIdentityUser", "members": [member]}]});
        world.gcp().set_policy(&place, &policy).unwrap();
        assert_eq!(world.generate(token, &world.scenario.base, json!({})).await.status, status, "{member}");
    }
}

#[tokio::test]
async fn providers_that_cannot_be_evaluated_are_refused() {
    let world = World::start().await;
    for change in [
        json!({"attribute_mapping": {"attribute.a": "assertion.sub"}}),
        json!({"attribute_mapping": {"google.subject": "request.time"}}),
        json!({"attribute_mapping": {"google.subject": "assertion.sub", "google.posix_username": "assertion.sub"}}),
        json!({"attribute_mapping": {"google.subject": "assertion.sub"}, "attribute_condition": "assertion.sub.matches('a')"}),
        json!({"attribute_mapping": {"google.subject": "assertion.sub"}, "issuer": "https://unknown.example"}),
    ] {
        let mut spec = json!({"issuer": world.scenario.issuer});
        spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let spec: ProviderSpec = serde_json::from_value(spec).unwrap();
        assert!(world.gcp().put_provider(&world.scenario.provider, spec).is_err(), "{change}");
    }
}
