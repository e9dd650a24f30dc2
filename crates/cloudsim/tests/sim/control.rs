//! The control interface over HTTP, and how edits propagate.

use std::time::Duration;

use leasehold_cloudsim::aws::Propagation;
use leasehold_cloudsim::aws::edits::Edit;
use serde_json::{Value, json};

use crate::client::World;

async fn call(world: &World, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let url = format!("{}{path}", world.simulator.endpoints().control);
    let mut request = world.http.request(method.parse().unwrap(), url);
    if let Some(body) = body {
        request = request.body(body.to_string());
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
}

#[tokio::test]
async fn an_edit_takes_effect_after_its_propagation_delay_and_so_does_its_undoing() {
    let world = World::start().await;
    let propagation = Propagation { trust_policy_ms: 60_000, ..Propagation::default() };
    world.aws().set_propagation(propagation);
    let principal = world.scenario.base_role.account.root_arn();
    let role = world.scenario.tenants[0].role.clone();
    let assume = || async { world.assume(&world.user(), &world.role(0), &[]).await.status };
    let edit = world.aws().edit(Edit::TrustRemovePrincipal { role, principal }).unwrap();
    assert_eq!(assume().await, 200);
    world.control().advance(Duration::from_secs(60));
    assert_eq!(assume().await, 403);
    world.aws().undo(edit).unwrap();
    assert_eq!(assume().await, 403);
    world.control().advance(Duration::from_secs(60));
    assert_eq!(assume().await, 200);
}

#[tokio::test]
async fn a_whole_tenant_can_be_made_revoked_and_restored_over_http() {
    let world = World::start().await;
    let role = "arn:aws:iam::300000000001:role/theirs";
    assert_eq!(call(&world, "PUT", "/aws/accounts/300000000001", None).await.0, 200);
    let everyone = json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    });
    let path = format!("/aws/roles?arn={role}");
    assert_eq!(call(&world, "PUT", &path, Some(json!({"trust_policy": everyone}))).await.0, 200);
    assert_eq!(world.assume(&world.user(), role, &[]).await.status, 200);
    let edit = json!({"kind": "trust_remove_principal", "role": role, "principal": "*"});
    let (status, made) = call(&world, "POST", "/aws/edits", Some(edit)).await;
    assert_eq!(status, 200, "{made}");
    assert_eq!(world.assume(&world.user(), role, &[]).await.status, 403);
    let undo = format!("/aws/edits/{}", made["id"]);
    assert_eq!(call(&world, "DELETE", &undo, None).await.0, 200);
    assert_eq!(world.assume(&world.user(), role, &[]).await.status, 200);
    assert_eq!(call(&world, "DELETE", &undo, None).await.0, 404);
    let external_id = json!({"principal": world.scenario.base_user, "external_id": "other"});
    let path = format!("/aws/roles/external-id?arn={role}");
    assert_eq!(call(&world, "PUT", &path, Some(external_id)).await.0, 200);
    assert_eq!(world.assume(&world.user(), role, &[]).await.status, 403);
    assert_eq!(world.assume(&world.user(), role, &[("ExternalId", "other")]).await.status, 200);
}

#[tokio::test]
async fn faults_calls_and_clock_are_reached_over_http() {
    let world = World::start().await;
    let fault = json!({"match": {"service": "sts", "operation": "AssumeRole"}, "effect": {"kind": "throttle"}, "count": 1});
    let (status, made) = call(&world, "POST", "/faults", Some(fault)).await;
    assert_eq!(status, 200, "{made}");
    assert_eq!(call(&world, "GET", "/faults", None).await.1.as_array().unwrap().len(), 1);
    assert_eq!(world.assume(&world.user(), &world.role(0), &[]).await.code(), "Throttling");
    let (_, calls) = call(&world, "GET", "/calls?service=sts&decision=faulted&limit=5", None).await;
    assert_eq!(
        (&calls[0]["operation"], &calls[0]["error_code"]),
        (&json!("AssumeRole"), &json!("Throttling"))
    );
    assert_eq!(call(&world, "GET", "/calls?colour=red", None).await.0, 400);
    assert_eq!(call(&world, "DELETE", "/calls", None).await.0, 200);
    assert_eq!(call(&world, "GET", "/calls", None).await.1, json!([]));
    let (_, clock) = call(&world, "POST", "/clock/advance", Some(json!({"seconds": 90}))).await;
    assert_eq!(clock["offset_seconds"], 90.0);
    assert_eq!(call(&world, "POST", "/clock/advance", Some(json!({"seconds": -1}))).await.0, 400);
}

#[tokio::test]
async fn keys_are_made_and_changed_over_http_and_the_world_shows_no_secret() {
    let world = World::start().await;
    let input = json!({"account": "200000000001", "region": "eu-central-1", "aliases": ["alias/second"]});
    let (status, made) = call(&world, "POST", "/aws/keys", Some(input.clone())).await;
    assert_eq!(status, 200, "{made}");
    assert_eq!(call(&world, "POST", "/aws/keys", Some(input)).await.0, 409, "the alias is taken");
    let arn = made["arn"].as_str().unwrap();
    assert_eq!(
        call(&world, "PUT", &format!("/aws/keys/state?arn={arn}"), Some(json!("Disabled"))).await.0,
        200
    );
    assert_eq!(
        call(&world, "PUT", &format!("/aws/keys/state?arn={arn}"), Some(json!("Broken"))).await.0,
        400
    );
    assert_eq!(call(&world, "POST", &format!("/aws/keys/rotate?arn={arn}"), None).await.0, 200);
    let (_, shown) = call(&world, "GET", "/aws/world", None).await;
    let key = shown["keys"].as_array().unwrap().iter().find(|key| key["arn"] == arn).unwrap();
    assert_eq!((&key["state"], &key["generations"]), (&json!("Disabled"), &json!(2)));
    assert!(!shown.to_string().contains(&world.user().secret));
    assert_eq!(call(&world, "DELETE", &format!("/aws/keys?arn={arn}"), None).await.0, 200);
    assert_eq!(call(&world, "DELETE", &format!("/aws/keys?arn={arn}"), None).await.0, 404);
}

#[tokio::test]
async fn shutdown_closes_every_listener() {
    let World { simulator, http, .. } = World::start().await;
    let endpoints = simulator.endpoints().clone();
    assert!(http.get(format!("{}/aws/world", endpoints.control)).send().await.is_ok());
    simulator.shutdown().await;
    for url in [endpoints.aws, endpoints.imds, endpoints.container, endpoints.control] {
        assert!(http.get(url).send().await.unwrap_err().is_connect());
    }
}
