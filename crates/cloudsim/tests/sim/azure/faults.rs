//! Injected faults as Azure's clients feel them, and what the call log holds.

use std::time::Duration;

use leasehold_cloudsim::faults::FaultSpec;
use leasehold_cloudsim::log::{CallDecision, CallMatch, CallQuery};
use serde_json::{Value, json};

use super::client::{Answer, World};
use super::identity::JWT_BEARER;

fn inject(world: &World, fault: Value) {
    let fault: FaultSpec = serde_json::from_value(fault).unwrap();
    world.control().inject(fault);
}

/// GetKey by the bare client, as it comes.
async fn get(world: &World, token: &str, limit: Duration) -> Result<(u16, String), reqwest::Error> {
    let url = world.tenant(0).key.to_string();
    let request = world.vault_request(reqwest::Method::GET, token, &url).timeout(limit);
    let response = request.send().await?;
    let status = response.status().as_u16();
    Ok((status, response.text().await?))
}

#[tokio::test]
async fn throttling_is_each_services_own_error_with_its_retry_after() {
    let world = World::start().await;
    let token = world.token(0).await;
    for service in ["entra", "key_vault", "azure_identity"] {
        inject(&world, json!({"match": {"service": service}, "effect": {"kind": "throttle"}, "count": 1}));
    }
    let entra = world.request_token(world.tenant(0).directory.as_str(), &[]).await;
    assert_eq!((entra.status, entra.aadsts(), entra.retry_after.as_deref()), (429, 90055, Some("60")));
    let vault = world.get_key(&token, 0).await;
    assert_eq!((vault.status, vault.code().0, vault.retry_after.as_deref()), (429, "Throttled", Some("10")));
    let identity = world.identity("/metadata/identity/oauth2/token", &[]).await;
    assert_eq!((identity.status, identity.retry_after.is_some()), (429, true));
    assert_eq!(world.get_key(&token, 0).await.status, 200);
}

#[tokio::test]
async fn an_injected_error_has_its_status_and_codes() {
    let world = World::start().await;
    let token = world.token(0).await;
    let error = |code: &str| json!({"kind": "error", "status": 503, "code": code, "message": "m"});
    inject(&world, json!({"match": {"operation": "Token"}, "effect": error("AADSTS90033"), "count": 1}));
    let entra = world.request_token(world.tenant(0).directory.as_str(), &[]).await;
    assert_eq!((entra.status, entra.aadsts(), &entra.json["error"]), (503, 90033, &json!("server_error")));
    inject(
        &world,
        json!({"match": {"operation": "GetKey"}, "effect": error("Forbidden/KeyDisabled"), "count": 1}),
    );
    let vault = world.get_key(&token, 0).await;
    assert_eq!((vault.status, vault.code(), vault.message()), (503, ("Forbidden", "KeyDisabled"), "m"));
    inject(&world, json!({"match": {"service": "azure_identity"}, "effect": error("gateway"), "count": 1}));
    let identity = world.identity("/metadata/identity/oauth2/token", &[]).await;
    assert_eq!((identity.status, &identity.json["error"]), (503, &json!("gateway")));
}

#[tokio::test]
async fn black_holes_resets_and_cut_answers_are_felt_through_tls() {
    let world = World::start().await;
    let token = world.token(0).await;
    let (brief, patient) = (Duration::from_millis(300), Duration::from_secs(20));
    let fault = |kind: &str, count: Value| {
        inject(&world, json!({"match": {"operation": "GetKey"}, "effect": {"kind": kind}, "count": count}));
    };
    for kind in ["drop", "drop_answer"] {
        fault(kind, json!(1));
        assert!(get(&world, &token, brief).await.unwrap_err().is_timeout(), "{kind}");
    }
    fault("truncate", json!(1));
    let cut = get(&world, &token, patient).await.unwrap_err();
    assert!(cut.is_body() || cut.is_decode(), "{cut:?}");
    // A client may try a reset connection once more, hence more than one.
    fault("reset", Value::Null);
    let reset = get(&world, &token, patient).await.unwrap_err();
    assert!(!reset.is_timeout(), "{reset:?}");
    world.control().clear_faults();
    fault("corrupt", json!(1));
    let (status, text) = get(&world, &token, patient).await.unwrap();
    assert_eq!(status, 200);
    assert!(serde_json::from_str::<Value>(&text).is_err());
    assert_eq!(get(&world, &token, patient).await.unwrap().0, 200);
}

#[tokio::test]
async fn faults_single_out_a_directory_a_key_a_version_or_an_application() {
    let world = World::start().await;
    let (first, second) = (world.token(0).await, world.token(1).await);
    let wrapped = [world.wrap(&first, 0).await.json, world.wrap(&second, 1).await.json];
    let version = wrapped[0]["kid"].as_str().unwrap().rsplit('/').next().unwrap();
    for (matching, hit) in [
        (json!({"account": world.tenant(0).directory}), [429, 200]),
        (json!({"key": world.tenant(0).key}), [429, 200]),
        (json!({"key_version": version}), [429, 200]),
        (json!({"role": world.scenario.client_id, "operation": "UnwrapKey"}), [429, 429]),
        (json!({"principal": "30000000-0000-4000-8000-00000000ffff"}), [200, 200]),
    ] {
        let fault = json!({"match": matching, "effect": {"kind": "throttle"}});
        let id = world.control().inject(serde_json::from_value(fault).unwrap());
        let felt =
            [world.unwrap(&first, &wrapped[0]).await.status, world.unwrap(&second, &wrapped[1]).await.status];
        assert_eq!(felt, hit, "{matching}");
        world.control().clear_fault(id).unwrap();
    }
}

#[tokio::test]
async fn the_call_log_names_who_what_and_where_and_holds_no_secret() {
    let world = World::start().await;
    let path = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=api://AzureADTokenExchange";
    let identity = world.identity(path, &[("metadata", "true")]).await;
    let assertion = identity.json["access_token"].as_str().unwrap().to_owned();
    let form = [
        ("client_secret", ""),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", assertion.as_str()),
    ];
    let token = world.token_with(0, &form).await;
    let by_secret = world.token(0).await;
    let wrapped = world.wrap(&token, 0).await.json;
    world.unwrap(&token, &wrapped).await;
    world.request_token(world.tenant(0).directory.as_str(), &[("client_secret", "a-wrong-secret")]).await;
    world.get_key("a.wrong.token", 0).await;
    let matching = CallMatch { operation: Some("UnwrapKey".to_owned()), ..CallMatch::default() };
    let call = world.control().calls(&CallQuery { matching, ..CallQuery::default() }).remove(0);
    assert_eq!(call.decision, CallDecision::Allowed);
    let app = Some(world.scenario.client_id.to_string());
    assert_eq!(
        (call.facts.service.as_str(), &call.facts.role, &call.facts.principal),
        ("key_vault", &app, &app)
    );
    assert_eq!(call.facts.account, Some(world.tenant(0).directory.to_string()));
    assert_eq!(call.facts.key, Some(world.tenant(0).key.to_string()));
    assert!(wrapped["kid"].as_str().unwrap().ends_with(call.facts.key_version.as_deref().unwrap()));
    let all = serde_json::to_string(&world.control().calls(&CallQuery::default())).unwrap();
    let management = CallQuery { management: true, ..CallQuery::default() };
    let all = all + &serde_json::to_string(&world.control().calls(&management)).unwrap();
    let signature = |token: &str| token.rsplit('.').next().unwrap().to_owned();
    for secret in [
        world.scenario.client_secret.expose(),
        world.simulator.endpoints().azure_identity_header.expose(),
        &assertion,
        &signature(&assertion),
        &signature(&token),
        &signature(&by_secret),
        "a-wrong-secret",
        "a.wrong.token",
        "aGVsbG8",
        wrapped["value"].as_str().unwrap(),
    ] {
        assert!(!all.contains(secret));
    }
}

#[tokio::test]
async fn a_call_is_logged_with_the_id_that_its_caller_was_given() {
    let world = World::start().await;
    let token = world.token(0).await;
    let answer: Answer = world.get_key(&token, 0).await;
    let call = world.control().calls(&CallQuery::default()).pop().unwrap();
    assert_eq!(Some(call.request_id), answer.request_id);
    assert_eq!((call.status, call.facts.operation.as_str()), (200, "GetKey"));
}
