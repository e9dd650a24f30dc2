//! Keys: what a vault says of them, and what their states permit.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use leasehold_cloudsim::azure::KeyKind;
use leasehold_cloudsim::azure::edits::Edit;
use leasehold_cloudsim::azure::scenario::CHALLENGE_TAG;
use leasehold_cloudsim::control::azure::model::{KeySpec, KeyValidity};
use serde_json::json;

use super::client::{Answer, CHALLENGE, World, send};

#[tokio::test]
async fn an_onboarded_application_wraps_and_unwraps_with_the_tenants_key() {
    let world = World::start().await;
    let token = world.token(0).await;
    let key = world.get_key(&token, 0).await;
    assert_eq!(key.status, 200, "{}", key.json);
    assert_eq!(key.json["tags"][CHALLENGE_TAG], CHALLENGE);
    assert_eq!(key.json["attributes"]["recoveryLevel"], "Recoverable");
    let wrapped = world.wrap(&token, 0).await;
    assert_eq!(wrapped.status, 200, "{}", wrapped.json);
    assert_eq!(wrapped.json["kid"], key.json["key"]["kid"]);
    let opened = world.unwrap(&token, &wrapped.json).await;
    assert_eq!(opened.json["value"], "aGVsbG8", "{}", opened.json);
    let modulus = BASE64URL_NOPAD.decode(key.json["key"]["n"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(modulus.len(), 256);
}

#[tokio::test]
async fn what_was_wrapped_opens_only_under_its_own_version_and_unharmed() {
    let world = World::start().await;
    let token = world.token(0).await;
    let wrapped = world.wrap(&token, 0).await.json;
    let second = world.azure().rotate_key(&world.tenant(0).key).unwrap();
    assert_eq!(world.unwrap(&token, &wrapped).await.status, 200, "an old version goes on unwrapping");
    let now = world.wrap(&token, 0).await.json;
    assert_eq!(now["kid"], format!("{}/{second}", world.tenant(0).key));
    let crossed = json!({"kid": now["kid"], "value": wrapped["value"]});
    let refused = world.unwrap(&token, &crossed).await;
    assert_eq!((refused.status, refused.code()), (400, ("BadParameter", "")), "{}", refused.json);
    let mut bytes = BASE64URL_NOPAD.decode(now["value"].as_str().unwrap().as_bytes()).unwrap();
    bytes[17] ^= 1;
    let harmed = json!({"kid": now["kid"], "value": BASE64URL_NOPAD.encode(&bytes)});
    assert_eq!(world.unwrap(&token, &harmed).await.code().0, "BadParameter");
}

#[tokio::test]
async fn versions_are_listed_and_each_is_disabled_by_itself() {
    let world = World::start().await;
    let token = world.token(0).await;
    let key = &world.tenant(0).key;
    let old = world.wrap(&token, 0).await.json;
    world.azure().rotate_key(key).unwrap();
    let listed = world.get(&token, &format!("{key}/versions")).await;
    let versions = listed.json["value"].as_array().unwrap().clone();
    assert_eq!(versions.len(), 2, "{}", listed.json);
    assert_eq!(versions[1]["tags"][CHALLENGE_TAG], CHALLENGE, "a rotation keeps the tags");
    let first = versions[0]["kid"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let edit = Edit::KeyVersionDisabled { key: key.clone(), version: first.clone() };
    let edit = world.azure().edit(edit).unwrap();
    let refused = world.unwrap(&token, &old).await;
    assert_eq!((refused.status, refused.code()), (403, ("Forbidden", "KeyDisabled")));
    assert_eq!(refused.message(), "Operation unwrapKey is not allowed on a disabled key.");
    let new = world.wrap(&token, 0).await.json;
    assert_eq!(world.unwrap(&token, &new).await.status, 200);
    let described = world.get(&token, &format!("{key}/{first}")).await;
    assert_eq!(described.json["attributes"]["enabled"], false, "a disabled version can be looked at");
    world.azure().undo(edit).unwrap();
    assert_eq!(world.unwrap(&token, &old).await.status, 200);
    let missing = world.get(&token, &format!("{key}/00000000000000000000000000000000")).await;
    assert_eq!((missing.status, missing.code().0), (404, "KeyNotFound"));
}

#[tokio::test]
async fn a_disabled_key_refuses_all_work_and_an_expired_one_all_but_unwrapping() {
    let world = World::start().await;
    let token = world.token(0).await;
    let key = world.tenant(0).key.clone();
    let wrapped = world.wrap(&token, 0).await.json;
    let disabled = world.azure().edit(Edit::KeyDisabled { key: key.clone() }).unwrap();
    for refused in [world.wrap(&token, 0).await, world.unwrap(&token, &wrapped).await] {
        assert_eq!((refused.status, refused.code()), (403, ("Forbidden", "KeyDisabled")));
    }
    world.azure().undo(disabled).unwrap();
    let expired = world.azure().edit(Edit::KeyExpired { key: key.clone() }).unwrap();
    let refused = world.wrap(&token, 0).await;
    assert_eq!((refused.status, refused.code()), (403, ("Forbidden", "KeyExpired")));
    assert_eq!(world.unwrap(&token, &wrapped).await.status, 200, "Key Vault unwraps with expired keys");
    assert!(world.get_key(&token, 0).await.json["attributes"]["exp"].is_i64());
    world.azure().undo(expired).unwrap();
    let validity = KeyValidity { not_before_in_seconds: Some(60), expires_in_seconds: Some(120) };
    world.azure().set_key_validity(&key, None, validity).unwrap();
    assert_eq!(world.wrap(&token, 0).await.code(), ("Forbidden", "KeyNotYetValid"));
    world.control().advance(Duration::from_secs(61));
    assert_eq!(world.wrap(&token, 0).await.status, 200);
    world.control().advance(Duration::from_secs(60));
    assert_eq!(world.wrap(&token, 0).await.code(), ("Forbidden", "KeyExpired"));
}

#[tokio::test]
async fn a_key_permits_the_operations_that_it_was_made_for_and_no_others() {
    let world = World::start().await;
    let token = world.token(0).await;
    let key = world.tenant(0).key.clone();
    let wrapped = world.wrap(&token, 0).await.json;
    world.azure().set_key_ops(&key, &["wrapKey".to_owned()]).unwrap();
    assert_eq!(world.wrap(&token, 0).await.status, 200);
    let refused = world.unwrap(&token, &wrapped).await;
    assert_eq!((refused.status, refused.code()), (403, ("Forbidden", "KeyOperationForbidden")));
}

#[tokio::test]
async fn other_algorithms_kinds_of_key_and_sizes_of_value_are_refused() {
    let world = World::start().await;
    let (token, admin) = (world.token(0).await, world.admin(0).await);
    let url = format!("{}/wrapkey", world.tenant(0).key);
    let refused = |answer: Answer| assert_eq!((answer.status, answer.code().0), (400, "BadParameter"));
    for algorithm in ["RSA1_5", "RSA-OAEP", "A256KW", "none"] {
        refused(world.post(&token, &url, json!({"alg": algorithm, "value": "aGVsbG8"})).await);
    }
    refused(world.post(&token, &url, json!({"value": "aGVsbG8"})).await);
    refused(world.post(&token, &url, json!({"alg": "RSA-OAEP-256", "value": "not base64url!"})).await);
    for (length, status) in [(190, 200), (191, 400)] {
        let value = BASE64URL_NOPAD.encode(&vec![7; length]);
        let answer = world.post(&token, &url, json!({"alg": "RSA-OAEP-256", "value": value})).await;
        assert_eq!(answer.status, status, "{length} bytes");
    }
    let spec = KeySpec {
        vault: world.tenant(0).vault.clone(),
        name: "curve".to_owned(),
        kind: KeyKind::Ec,
        key_size: 256,
        key_ops: Some(vec!["wrapKey".to_owned()]),
        tags: Default::default(),
    };
    let curve = world.azure().create_key(spec).unwrap();
    assert_eq!(world.get(&admin, &curve.to_string()).await.json["key"]["crv"], "P-256");
    refused(
        world
            .post(&admin, &format!("{curve}/wrapkey"), json!({"alg": "RSA-OAEP-256", "value": "aGVsbG8"}))
            .await,
    );
}

#[tokio::test]
async fn larger_and_hardware_keys_are_what_they_say() {
    let world = World::start().await;
    let admin = world.admin(0).await;
    for (name, kind, bits, limit) in
        [("large", KeyKind::RsaHsm, 3072, 318), ("largest", KeyKind::Rsa, 4096, 446)]
    {
        let spec = KeySpec {
            vault: world.tenant(0).vault.clone(),
            name: name.to_owned(),
            kind,
            key_size: bits,
            key_ops: None,
            tags: Default::default(),
        };
        let key = world.azure().create_key(spec).unwrap();
        let value = BASE64URL_NOPAD.encode(&vec![7; limit]);
        let body = json!({"alg": "RSA-OAEP-256", "value": value});
        let wrapped = world.post(&admin, &format!("{key}/wrapkey"), body).await;
        assert_eq!(wrapped.status, 200, "{}", wrapped.json);
        assert_eq!(world.unwrap(&admin, &wrapped.json).await.json["value"], value);
        let kty = world.get(&admin, &key.to_string()).await.json["key"]["kty"].clone();
        assert_eq!(kty, if kind == KeyKind::RsaHsm { "RSA-HSM" } else { "RSA" });
    }
}

#[tokio::test]
async fn api_versions_paths_and_names_are_checked() {
    let world = World::start().await;
    let token = world.token(0).await;
    let key = &world.tenant(0).key;
    let bearer = format!("Bearer {token}");
    for (url, status, code) in [
        (key.to_string(), 400, "BadParameter"),
        (format!("{key}?api-version=1999-01-01"), 400, "BadParameter"),
        (format!("{key}//?api-version=2025-07-01"), 200, ""),
        (format!("{key}/?api-version=7.4"), 200, ""),
    ] {
        let answer = send(world.http.get(&url).header("authorization", &bearer)).await;
        assert_eq!((answer.status, answer.code().0), (status, code), "{url}");
    }
    let admin = world.admin(0).await;
    let missing = world.get(&admin, "https://acme-vault.vault.azure.net/keys/missing").await;
    assert_eq!((missing.status, missing.code().0), (404, "KeyNotFound"));
    assert!(missing.message().starts_with("A key with (name/id) missing was not found in this key vault."));
    let malformed = world.get(&admin, "https://acme-vault.vault.azure.net/keys/a_b").await;
    assert_eq!(malformed.code().0, "BadParameter");
    let unknown = world.post(&admin, &format!("{key}/sign"), json!({})).await;
    assert_eq!(unknown.status, 405);
    let nobody = world.http.get("https://nobody-vault.vault.azure.net/keys/main").send().await.unwrap_err();
    assert!(nobody.is_request(), "a vault that does not exist does not answer: {nobody:?}");
}

#[tokio::test]
async fn a_deleted_key_is_gone_until_it_is_recovered() {
    let world = World::start().await;
    let token = world.token(0).await;
    let key = world.tenant(0).key.clone();
    let wrapped = world.wrap(&token, 0).await.json;
    let edit = world.azure().edit(Edit::KeyDeleted { key: key.clone() }).unwrap();
    for gone in
        [world.get_key(&token, 0).await, world.wrap(&token, 0).await, world.unwrap(&token, &wrapped).await]
    {
        assert_eq!((gone.status, gone.code().0), (404, "KeyNotFound"));
    }
    world.azure().undo(edit).unwrap();
    assert_eq!(world.unwrap(&token, &wrapped).await.status, 200);
    world.azure().delete_key(&key).unwrap();
    assert_eq!(world.get_key(&token, 0).await.status, 404);
    assert!(world.azure().purge_key(&key).is_err(), "the vault has purge protection");
    world.azure().recover_key(&key).unwrap();
    assert_eq!(world.unwrap(&token, &wrapped).await.status, 200);
}
