//! The control interface over HTTP, and what neither it nor the log ever shows.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use leasehold_cloudsim::issuer::TokenAlgorithm;
use leasehold_cloudsim::log::CallQuery;
use serde_json::{Value, json};

use super::client::{PLAINTEXT, World, answer};

async fn call(world: &World, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let url = format!("{}/gcp{path}", world.simulator.endpoints().control);
    let mut request = world.http.request(method.parse().unwrap(), url);
    if let Some(body) = body {
        request = request.body(body.to_string());
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
}

async fn done(world: &World, method: &str, path: &str, body: Option<Value>) -> Value {
    let (status, answer) = call(world, method, path, body).await;
    assert_eq!(status, 200, "{method} {path}: {answer}");
    answer
}

#[tokio::test]
async fn a_whole_tenant_can_be_made_let_in_revoked_and_restored_over_http() {
    let world = World::without_onboarding().await;
    let spec =
        json!({"platform": "other-platform", "tenants": [{"name": "initech", "project": "initech-keys"}]});
    let made = done(&world, "POST", "/scenario", Some(spec)).await;
    let tenant = &made["tenants"][0];
    let (account, key) = (tenant["service_account"].as_str().unwrap(), tenant["key"].as_str().unwrap());
    let email = account.parse().unwrap();
    let generate = || async {
        let base = world.base().await;
        world.generate(&base, &email, json!({})).await.status
    };
    assert_eq!(generate().await, 403);
    done(&world, "POST", "/onboard", Some(json!({"tenant": tenant, "challenge": "c"}))).await;
    assert_eq!(generate().await, 200);
    let member = format!("serviceAccount:{}", made["base"].as_str().unwrap());
    let edit = json!({"kind": "remove_token_creator", "service_account": account, "member": member});
    let id = done(&world, "POST", "/edits", Some(edit)).await["id"].clone();
    assert_eq!(generate().await, 403);
    done(&world, "DELETE", &format!("/edits/{id}"), None).await;
    assert_eq!(generate().await, 200);
    assert_eq!(call(&world, "DELETE", &format!("/edits/{id}"), None).await.0, 404);
    let policy = done(&world, "GET", &format!("/policies?service_account={account}"), None).await;
    assert_eq!(policy["bindings"][0]["members"], json!([member]));
    done(&world, "PUT", &format!("/policies?service_account={account}"), Some(json!({"bindings": []}))).await;
    assert_eq!(generate().await, 403);
    let grant = json!({"role": "roles/iam.serviceAccountTokenCreator", "member": member});
    done(&world, "POST", &format!("/policies/grant?service_account={account}"), Some(grant)).await;
    assert_eq!(generate().await, 200);
    done(&world, "PUT", &format!("/service-accounts/disabled?service_account={account}"), Some(json!(true)))
        .await;
    assert_eq!(generate().await, 400);
    assert_eq!(call(&world, "PUT", "/policies?nothing=x", Some(json!({}))).await.0, 400);
    assert_eq!(call(&world, "PUT", "/policies?key=x", Some(json!({}))).await.0, 400);
    let missing = format!("/policies?key={}", key.replace("leasehold", "missing"));
    assert_eq!(call(&world, "GET", &missing, None).await.0, 404);
}

#[tokio::test]
async fn keys_roles_providers_and_the_machine_are_changed_over_http() {
    let world = World::start().await;
    let key = world.key(0).to_string();
    let name = format!("{}/cryptoKeys/second", world.key(0).ring);
    done(&world, "POST", "/keys", Some(json!({"name": name, "protection_level": "HSM"}))).await;
    assert_eq!(call(&world, "POST", "/keys", Some(json!({"name": name}))).await.0, 409);
    assert_eq!(done(&world, "POST", &format!("/keys/rotate?key={key}"), None).await["version"], 2);
    assert_eq!(
        done(&world, "POST", &format!("/keys/versions?key={key}"), Some(json!("DISABLED"))).await["version"],
        3
    );
    done(&world, "PUT", &format!("/keys/primary?key={key}"), Some(json!(1))).await;
    done(&world, "PUT", &format!("/keys/versions/2/state?key={key}"), Some(json!("DESTROY_SCHEDULED"))).await;
    done(&world, "PUT", &format!("/keys/labels?key={key}"), Some(json!({"a": "b"}))).await;
    assert_eq!(call(&world, "PUT", &format!("/keys/labels?key={key}"), Some(json!({"A": "b"}))).await.0, 400);
    done(&world, "PUT", &format!("/keys/external?key={name}"), Some(json!("UNREACHABLE"))).await;
    let project = world.tenant(0).project.clone();
    let role = json!({"title": "t", "includedPermissions": ["cloudkms.cryptoKeys.get"]});
    let role_path = format!("/roles?name=projects/{project}/roles/reader");
    done(&world, "PUT", &role_path, Some(role)).await;
    assert_eq!(call(&world, "PUT", &role_path, Some(json!({"permissions": []}))).await.0, 400);
    let deny = json!({"rules": [{"denyRule": {
        "deniedPrincipals": ["principalSet://goog/public:all"],
        "deniedPermissions": ["cloudkms.googleapis.com/cryptoKeys.get"],
    }}]});
    done(&world, "PUT", &format!("/projects/{project}/deny-policies/d"), Some(deny)).await;
    let pool = done(&world, "PUT", &format!("/projects/{project}/pools/pool"), None).await["pool"].clone();
    done(&world, "PUT", "/issuers", Some(json!({"issuer": "https://i.example"}))).await;
    let provider = format!("/providers?provider={}/providers/cluster", pool.as_str().unwrap());
    let spec =
        json!({"issuer": "https://i.example", "attribute_mapping": {"google.subject": "assertion.sub"}});
    done(&world, "PUT", &provider, Some(spec)).await;
    let shown = done(&world, "GET", "/world", None).await;
    let shown = &shown["projects"][project.as_str()];
    let first = &shown["keys"][0];
    assert_eq!((&first["primary"], &first["labels"]), (&json!(1), &json!({"a": "b"})));
    let states: Vec<_> =
        first["versions"].as_array().unwrap().iter().map(|version| &version["state"]).collect();
    assert_eq!(states, ["ENABLED", "DESTROY_SCHEDULED", "DISABLED"]);
    assert_eq!(shown["deny_policies"]["d"]["rules"].as_array().unwrap().len(), 1);
    assert_eq!(shown["pools"][pool.as_str().unwrap()], json!(["cluster"]));
    done(&world, "DELETE", &format!("/projects/{project}/deny-policies/d"), None).await;
    done(&world, "DELETE", &role_path, None).await;
    done(&world, "DELETE", &provider, None).await;
    done(&world, "DELETE", &format!("/keys?key={name}"), None).await;
    done(&world, "PUT", "/propagation", Some(json!({"key_state_ms": 5}))).await;
    assert_eq!(done(&world, "GET", "/propagation", None).await["key_state_ms"], 5);
    done(&world, "PUT", "/instance/service-account", Some(json!(world.tenant(0).service_account))).await;
    assert_eq!(world.metadata("project/project-id").await.text, project.to_string());
    done(&world, "DELETE", &format!("/projects/{project}"), None).await;
    assert_eq!(call(&world, "DELETE", &format!("/projects/{project}"), None).await.0, 404);
}

#[tokio::test]
async fn neither_the_log_nor_the_world_ever_shows_a_secret() {
    let world = World::start().await;
    let base = world.base().await;
    let session = world.session(0).await;
    let sealed = world.encrypt(&session, 0).await.ok();
    world.decrypt(&session, 0, &sealed["ciphertext"]).await.ok();
    let file = world.gcp().create_service_account_key(&world.scenario.base).unwrap();
    let file: Value = serde_json::from_str(file.expose()).unwrap();
    let user = world.gcp().put_user("u@example.com").unwrap();
    let user: Value = serde_json::from_str(user.expose()).unwrap();
    let claims = BTreeMap::from([
        ("sub".to_owned(), json!(world.scenario.subject)),
        ("aud".to_owned(), json!(format!("//iam.googleapis.com/{}", world.scenario.provider))),
    ]);
    let subject_token =
        world.gcp().mint_token(&world.scenario.issuer, TokenAlgorithm::ES256, claims).unwrap();
    let exchange = json!({
        "grantType": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": format!("//iam.googleapis.com/{}", world.scenario.provider),
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "requestedTokenType": "urn:ietf:params:oauth:token-type:access_token",
        "subjectToken": subject_token,
        "subjectTokenType": "urn:ietf:params:oauth:token-type:jwt",
    });
    let federated = world.post("", "/v1/token", exchange).await.ok();
    let refresh = json!({
        "grant_type": "refresh_token",
        "client_id": user["client_id"],
        "client_secret": user["client_secret"],
        "refresh_token": user["refresh_token"],
    });
    let of_user = world.post("", "/token", refresh).await.ok();
    let assertion =
        json!({"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": subject_token});
    world.post("", "/token", assertion).await;
    let identity = world.metadata("instance/service-accounts/default/identity?audience=a").await.text;
    let calls = world.control().calls(&CallQuery::default());
    assert!(calls.len() > 8);
    let events = world.control().calls(&CallQuery { management: true, ..CallQuery::default() });
    let shown = [serde_json::to_string(&calls).unwrap(), serde_json::to_string(&events).unwrap()];
    let over_http =
        answer(world.http.get(format!("{}/gcp/world", world.simulator.endpoints().control))).await.text;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let secrets = [
        base,
        session,
        subject_token,
        identity,
        BASE64.encode(PLAINTEXT),
        String::from_utf8(PLAINTEXT.to_vec()).unwrap(),
        text(&federated["access_token"]),
        text(&of_user["access_token"]),
        text(&user["client_secret"]),
        text(&user["refresh_token"]),
        text(&file["private_key"])[40..100].to_owned(),
    ];
    for secret in &secrets {
        assert!(secret.len() >= 20, "{secret:?} is too short to be found by chance");
        for place in shown.iter().chain([&over_http]) {
            assert!(!place.contains(secret.as_str()));
        }
    }
    assert!(!format!("{:?} {:?}", world.simulator, world.scenario).contains(&secrets[10]));
}
