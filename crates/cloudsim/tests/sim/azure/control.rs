//! The control interface of Azure over HTTP, and edits undone in any order.

use leasehold_cloudsim::azure::edits::Edit;
use serde_json::{Value, json};

use super::client::{CHALLENGE, World, assignment};

async fn call(world: &World, method: &str, path: &str, body: Value) -> (u16, Value) {
    let url = format!("{}/azure{path}", world.simulator.endpoints().control);
    let request = world.http.request(method.parse().unwrap(), url);
    let request = if body.is_null() { request } else { request.body(body.to_string()) };
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
}

async fn done(world: &World, method: &str, path: &str, body: Value) -> Value {
    let (status, answer) = call(world, method, path, body).await;
    assert_eq!(status, 200, "{method} {path}: {answer}");
    answer
}

#[tokio::test]
async fn a_whole_tenant_is_made_revoked_and_restored_over_http() {
    let world = World::start().await;
    let directory = "50000000-0000-4000-8000-000000000001";
    let app = world.scenario.client_id.as_str();
    let spec = json!({"name": "Third", "domains": ["third.example"]});
    let made = done(&world, "PUT", &format!("/directories/{directory}"), spec.clone()).await;
    assert_eq!(call(&world, "PUT", &format!("/directories/{directory}"), spec).await.0, 409);
    let vault = done(&world, "PUT", "/vaults/third-vault", json!({"directory": directory})).await;
    let key =
        done(&world, "POST", "/keys", json!({"vault": "third-vault", "name": "main"})).await["key"].clone();
    let key = key.as_str().unwrap();
    assert_eq!(key, format!("{}/keys/main", vault["url"].as_str().unwrap()));
    let principals = format!("/directories/{directory}/principals/{app}");
    let principal = done(&world, "PUT", &principals, Value::Null).await["object_id"].clone();
    let scope = format!("/subscriptions/{}", made["subscription"].as_str().unwrap());
    let role = assignment("e147488a-f6f5-4113-8e2d-b22465e65bf6", principal.as_str().unwrap(), &scope);
    let role = done(&world, "POST", "/role-assignments", role).await["name"].clone();
    done(&world, "PUT", &format!("/keys/tags?key={key}"), json!({"leasehold-challenge": "c"})).await;
    let granted = world.request_token("third.example", &[]).await;
    let token =
        granted.json["access_token"].as_str().unwrap_or_else(|| panic!("{}", granted.json)).to_owned();
    assert_eq!(world.get(&token, key).await.json["tags"]["leasehold-challenge"], "c");
    for (edit, status) in [
        (json!({"kind": "key_disabled", "key": key}), 403),
        (json!({"kind": "remove_role_assignments", "directory": directory, "app": app}), 403),
        (json!({"kind": "firewall", "vault": "third-vault"}), 403),
        (json!({"kind": "key_deleted", "key": key}), 404),
    ] {
        let id = done(&world, "POST", "/edits", edit.clone()).await["id"].clone();
        let body = json!({"alg": "RSA-OAEP-256", "value": "aGVsbG8"});
        let wrap = world.post(&token, &format!("{key}/wrapkey"), body).await;
        assert_eq!(wrap.status, status, "{edit}");
        assert_eq!(done(&world, "GET", "/edits", Value::Null).await[0]["kind"], edit["kind"]);
        done(&world, "DELETE", &format!("/edits/{id}"), Value::Null).await;
        assert_eq!(call(&world, "DELETE", &format!("/edits/{id}"), Value::Null).await.0, 404);
        assert_eq!(world.get(&token, key).await.status, 200);
    }
    done(&world, "PUT", &format!("/keys/enabled?key={key}"), json!(false)).await;
    assert_eq!(world.get(&token, key).await.json["attributes"]["enabled"], false);
    done(&world, "PUT", &format!("/keys/enabled?key={key}"), json!(true)).await;
    let version =
        done(&world, "POST", &format!("/keys/rotate?key={key}"), Value::Null).await["version"].clone();
    let expired = json!({"expires_in_seconds": -1});
    let path = format!("/keys/validity?key={key}&version={}", version.as_str().unwrap());
    done(&world, "PUT", &path, expired).await;
    assert!(world.get(&token, key).await.json["attributes"]["exp"].is_i64());
    done(&world, "DELETE", &format!("/role-assignments/{}", role.as_str().unwrap()), Value::Null).await;
    assert_eq!(world.get(&token, key).await.code().1, "ForbiddenByRbac");
    done(&world, "PUT", &format!("{principals}/enabled"), json!(false)).await;
    assert_eq!(world.request_token(directory, &[]).await.aadsts(), 7000112);
    done(&world, "DELETE", &principals, Value::Null).await;
    assert_eq!(world.request_token(directory, &[]).await.aadsts(), 700016);
}

#[tokio::test]
async fn a_scenario_is_built_and_onboarded_over_http_and_the_world_shows_no_secret() {
    let world = World::unknown_to_tenants().await;
    let tenant = serde_json::to_value(world.tenant(0)).unwrap();
    let principal = done(&world, "POST", "/onboard", json!({"tenant": tenant, "challenge": CHALLENGE})).await;
    let token = world.token(0).await;
    assert_eq!(world.get_key(&token, 0).await.status, 200);
    let secrets = format!("/apps/{}/secrets", world.scenario.client_id);
    let second = done(&world, "POST", &secrets, json!({"expires_in_seconds": 60})).await;
    let shown = done(&world, "GET", "/world", Value::Null).await;
    assert_eq!(shown["role_assignments"][0]["principal"], principal["principal"]);
    let shown = shown.to_string();
    assert!(shown.contains(second["id"].as_str().unwrap()));
    assert!(!shown.contains(second["value"].as_str().unwrap()));
    assert!(!shown.contains(world.scenario.client_secret.expose()));
    let propagation = json!({"principal_ms": 1, "rbac_ms": 2, "key_state_ms": 3});
    done(&world, "PUT", "/propagation", propagation.clone()).await;
    assert_eq!(done(&world, "GET", "/propagation", Value::Null).await, propagation);
    done(&world, "DELETE", "/tokens", Value::Null).await;
    assert_eq!(world.get_key(&token, 0).await.status, 401);
    assert_eq!(call(&world, "POST", "/edits", json!({"kind": "nonsense"})).await.0, 400);
    let nobody = json!({"kind": "key_disabled", "key": "https://nobody.vault.azure.net/keys/main"});
    assert_eq!(call(&world, "POST", "/edits", nobody).await.0, 404);
}

#[tokio::test]
async fn edits_of_one_thing_are_undone_in_any_order() {
    let world = World::start().await;
    let token = world.token(0).await;
    let key = world.tenant(0).key.clone();
    let version = world.get_key(&token, 0).await.json["key"]["kid"]
        .as_str()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    let first = world.azure().edit(Edit::KeyDisabled { key: key.clone() }).unwrap();
    let second = world.azure().edit(Edit::KeyVersionDisabled { key: key.clone(), version }).unwrap();
    world.azure().undo(first).unwrap();
    assert_eq!(world.wrap(&token, 0).await.code().1, "KeyDisabled");
    world.azure().undo(second).unwrap();
    assert_eq!(world.wrap(&token, 0).await.status, 200);
    let tag = "leasehold-challenge".to_owned();
    let edit = world.azure().edit(Edit::RemoveTag { key: key.clone(), tag: tag.clone() }).unwrap();
    assert_eq!(world.get_key(&token, 0).await.json["tags"], Value::Null);
    world.azure().put_tag(&key, "other", "1").unwrap();
    world.azure().undo(edit).unwrap();
    let tags = world.get_key(&token, 0).await.json["tags"].clone();
    assert_eq!(tags, json!({"leasehold-challenge": CHALLENGE, "other": "1"}));
    assert!(world.azure().edit(Edit::RemoveTag { key, tag: "missing".to_owned() }).is_err());
}
