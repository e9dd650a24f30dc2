//! What a vault's owner does through the data plane.

use leasehold_cloudsim::azure::scenario::CHALLENGE_TAG;
use leasehold_cloudsim::control::azure::model::VaultSpec;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::{ADMINISTRATOR, Answer, World, send};

const VAULT: &str = "https://acme-vault.vault.azure.net";

async fn call(world: &World, token: &str, method: Method, path: &str, body: Value) -> Answer {
    send(world.vault_request(method, token, &format!("{VAULT}{path}")).body(body.to_string())).await
}

#[tokio::test]
async fn keys_are_made_changed_and_rotated() {
    let world = World::start().await;
    let admin = world.admin(0).await;
    let body =
        json!({"kty": "RSA", "key_ops": ["wrapKey"], "tags": {"a": "1"}, "attributes": {"enabled": false}});
    let made = call(&world, &admin, Method::POST, "/keys/second/create", body).await;
    assert_eq!(made.status, 200, "{}", made.json);
    assert_eq!(made.json["key"]["key_ops"], json!(["wrapKey"]));
    assert_eq!((&made.json["attributes"]["enabled"], &made.json["tags"]["a"]), (&json!(false), &json!("1")));
    let change = json!({"attributes": {"enabled": true, "exp": 4_000_000_000_i64}, "tags": {"b": "2"}});
    let changed = call(&world, &admin, Method::PATCH, "/keys/second", change).await;
    assert_eq!(
        (&changed.json["attributes"]["enabled"], &changed.json["tags"]),
        (&json!(true), &json!({"b": "2"}))
    );
    assert_eq!(changed.json["attributes"]["exp"], 4_000_000_000_i64);
    let rotated = call(&world, &admin, Method::POST, "/keys/second/rotate", json!({})).await;
    assert_ne!(rotated.json["key"]["kid"], made.json["key"]["kid"]);
    assert_eq!(rotated.json["tags"], json!({"b": "2"}));
    for body in [json!({"kty": "oct"}), json!({"kty": "RSA", "key_size": 1024})] {
        let refused = call(&world, &admin, Method::POST, "/keys/third/create", body).await;
        assert_eq!((refused.status, refused.code().0), (400, "BadParameter"));
    }
    let token = world.token(0).await;
    let refused = call(&world, &token, Method::PATCH, "/keys/main", json!({"tags": {}})).await;
    assert_eq!(refused.code().1, "ForbiddenByRbac", "whoever uses a key does not own it");
}

#[tokio::test]
async fn a_new_version_that_its_owner_makes_has_no_tags_but_those_given() {
    let world = World::start().await;
    let admin = world.admin(0).await;
    let made = call(&world, &admin, Method::POST, "/keys/main/create", json!({"kty": "RSA"})).await;
    assert_eq!((made.status, &made.json["tags"]), (200, &Value::Null));
    let listed = call(&world, &admin, Method::GET, "/keys/main/versions", Value::Null).await;
    assert_eq!(listed.json["value"][0]["tags"][CHALLENGE_TAG], "lh-challenge-1");
    assert_eq!(listed.json["value"][1]["tags"], Value::Null);
}

#[tokio::test]
async fn deleted_keys_are_recovered_or_purged_as_the_vault_permits() {
    let world = World::start().await;
    let admin = world.admin(0).await;
    let deleted = call(&world, &admin, Method::DELETE, "/keys/main", Value::Null).await;
    assert_eq!(deleted.status, 200, "{}", deleted.json);
    assert_eq!(deleted.json["recoveryId"], format!("{VAULT}/deletedkeys/main"));
    assert_eq!(call(&world, &admin, Method::GET, "/keys/main", Value::Null).await.status, 404);
    let listed = call(&world, &admin, Method::GET, "/deletedkeys", Value::Null).await;
    assert_eq!(listed.json["value"].as_array().unwrap().len(), 1);
    let again = call(&world, &admin, Method::POST, "/keys/main/create", json!({"kty": "RSA"})).await;
    assert_eq!((again.status, again.code()), (409, ("Conflict", "ObjectIsDeletedButRecoverable")));
    let purge = call(&world, &admin, Method::DELETE, "/deletedkeys/main", Value::Null).await;
    assert_eq!((purge.status, purge.code().0), (403, "Forbidden"), "the vault has purge protection");
    let recovered = call(&world, &admin, Method::POST, "/deletedkeys/main/recover", Value::Null).await;
    assert_eq!(recovered.status, 200, "{}", recovered.json);
    assert_eq!(call(&world, &admin, Method::GET, "/keys/main", Value::Null).await.status, 200);
    assert_eq!(call(&world, &admin, Method::GET, "/deletedkeys/main", Value::Null).await.status, 404);
    // Deleted once more and not recovered in time, it is gone for good.
    call(&world, &admin, Method::DELETE, "/keys/main", Value::Null).await;
    world.control().advance(std::time::Duration::from_secs(90 * 24 * 3600));
    world.azure().set_token_lifetime(3599);
    let app = "30000000-0000-4000-8000-000000000000".parse().unwrap();
    let secret = world.azure().add_secret(&app, None).unwrap();
    let form =
        [("client_id", "30000000-0000-4000-8000-000000000000"), ("client_secret", secret.value.expose())];
    let admin = world.token_with(0, &form).await;
    assert_eq!(call(&world, &admin, Method::GET, "/deletedkeys/main", Value::Null).await.status, 404);
}

#[tokio::test]
async fn an_unprotected_vault_purges_at_once() {
    let world = World::start().await;
    let admin = world.admin(0).await;
    let spec =
        VaultSpec { purge_protection: false, ..VaultSpec::in_directory(world.tenant(0).directory.clone()) };
    let third = world.azure().put_vault(&"third-vault".parse().unwrap(), spec).unwrap();
    let app = "30000000-0000-4000-8000-000000000000".parse().unwrap();
    let principal = world.azure().consent(&world.tenant(0).directory, &app).unwrap();
    let scope = world.tenant(0).key_scope.replace("acme-vault/keys/main", "third-vault");
    world.assign(ADMINISTRATOR, principal.as_str(), &scope);
    let made = world.post(&admin, &format!("{third}/keys/main/create"), json!({"kty": "RSA"})).await;
    assert_eq!(made.json["attributes"]["recoveryLevel"], "Recoverable+Purgeable");
    let delete = |path: &str| send(world.vault_request(Method::DELETE, &admin, &format!("{third}{path}")));
    assert_eq!(delete("/keys/main").await.status, 200);
    assert_eq!(delete("/deletedkeys/main").await.status, 204);
    assert_eq!(delete("/deletedkeys/main").await.status, 404);
    let anew = world.post(&admin, &format!("{third}/keys/main/create"), json!({"kty": "RSA"})).await;
    assert_eq!(anew.status, 200, "its name is free again");
}

#[tokio::test]
async fn lists_come_in_pages() {
    let world = World::start().await;
    let admin = world.admin(0).await;
    for name in ["a", "b"] {
        call(&world, &admin, Method::POST, &format!("/keys/{name}/create"), json!({"kty": "RSA"})).await;
    }
    let first = call(&world, &admin, Method::GET, "/keys?maxresults=2", Value::Null).await;
    assert_eq!(first.json["value"].as_array().unwrap().len(), 2);
    let next = first.json["nextLink"].as_str().unwrap();
    let request = world.http.get(next).header("authorization", format!("Bearer {admin}"));
    let second = send(request).await;
    assert_eq!(
        (second.json["value"][0]["kid"].clone(), &second.json["nextLink"]),
        (json!(format!("{VAULT}/keys/main")), &Value::Null)
    );
    let refused = call(&world, &admin, Method::GET, "/keys?maxresults=26", Value::Null).await;
    assert_eq!(refused.code().0, "BadParameter");
}
