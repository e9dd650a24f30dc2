//! Tokens: what an application must be and prove to get one.

use std::time::Duration;

use leasehold_cloudsim::azure::Cloud;
use leasehold_cloudsim::azure::edits::Edit;
use leasehold_cloudsim::control::azure::model::{AppSpec, DirectorySpec};
use leasehold_cloudsim::log::{CallDecision, CallQuery};
use serde_json::json;

use super::client::{LOGIN, World, client, send};

const STRANGER: &str = "30000000-0000-4000-8000-00000000ffff";

#[tokio::test]
async fn a_token_names_its_directory_application_and_audience() {
    let world = World::start().await;
    let answer = world.request_token(world.tenant(0).directory.as_str(), &[]).await;
    assert_eq!((answer.status, &answer.json["expires_in"]), (200, &json!(3599)), "{}", answer.json);
    let token = answer.json["access_token"].as_str().unwrap();
    let payload = token.split('.').nth(1).unwrap();
    let claims: serde_json::Value =
        serde_json::from_slice(&data_encoding::BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap()).unwrap();
    let directory = world.tenant(0).directory.as_str();
    assert_eq!(claims["aud"], "https://vault.azure.net");
    assert_eq!(claims["iss"], format!("https://sts.windows.net/{directory}/"));
    assert_eq!((&claims["tid"], &claims["appid"]), (&json!(directory), &json!(world.scenario.client_id)));
    let by_domain = world.request_token(&world.tenant(0).domain, &[]).await;
    assert_eq!(by_domain.status, 200, "a verified domain names the directory as its id does");
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused_with_their_codes() {
    let world = World::start().await;
    let directory = world.tenant(0).directory.clone();
    let cases: [(&str, (&str, &str), &str, u64); 9] = [
        (directory.as_str(), ("grant_type", ""), "invalid_request", 900144),
        (directory.as_str(), ("grant_type", "password"), "unsupported_grant_type", 70003),
        (directory.as_str(), ("client_id", ""), "invalid_request", 900144),
        (directory.as_str(), ("client_secret", ""), "invalid_client", 7000216),
        (directory.as_str(), ("scope", "https://vault.azure.net"), "invalid_scope", 1002012),
        (directory.as_str(), ("scope", "https://vault.example.net/.default"), "invalid_resource", 500011),
        ("20000000-0000-4000-8000-00000000dead", ("", ""), "invalid_request", 90002),
        ("nobody.onmicrosoft.com", ("", ""), "invalid_request", 90002),
        ("common", ("", ""), "invalid_request", 50059),
    ];
    for (directory, more, error, code) in cases {
        let answer = world.request_token(directory, &[more]).await;
        assert_eq!((&answer.json["error"], answer.aadsts()), (&json!(error), code), "{more:?}");
        let description = answer.json["error_description"].as_str().unwrap();
        assert!(description.starts_with(&format!("AADSTS{code}: ")), "{description}");
        let lines: Vec<_> = description.split("\r\n").collect();
        assert!(lines.len() == 4 && lines[1].starts_with("Trace ID: "), "{description}");
        assert_eq!(answer.json["trace_id"], json!(answer.request_id));
    }
}

#[tokio::test]
async fn an_application_without_consent_is_not_found_in_the_directory() {
    let world = World::unknown_to_tenants().await;
    let tenant = world.tenant(0);
    let refused = world.request_token(tenant.directory.as_str(), &[]).await;
    assert_eq!((refused.status, refused.aadsts()), (400, 700016));
    assert_eq!(refused.json["error"], "unauthorized_client");
    assert_eq!(
        world.request_token(tenant.directory.as_str(), &[("client_id", STRANGER)]).await.aadsts(),
        700016
    );
    world.azure().consent(&tenant.directory, &tenant.app).unwrap();
    assert_eq!(world.request_token(tenant.directory.as_str(), &[]).await.status, 200);
    assert_eq!(world.request_token(world.tenant(1).directory.as_str(), &[]).await.aadsts(), 700016);
    world.azure().delete_service_principal(&tenant.directory, &tenant.app).unwrap();
    assert_eq!(world.request_token(tenant.directory.as_str(), &[]).await.aadsts(), 700016);
    let denied = CallQuery { error_code: Some("AADSTS700016".to_owned()), ..CallQuery::default() };
    let calls = world.control().calls(&denied);
    assert!(calls.iter().all(|call| call.decision == CallDecision::Denied) && calls.len() == 4);
}

#[tokio::test]
async fn an_application_in_its_own_directory_needs_a_principal_too() {
    let world = World::start().await;
    let home = &world.scenario.directory;
    assert_eq!(world.request_token(home.as_str(), &[]).await.status, 200);
    world.azure().delete_service_principal(home, &world.scenario.client_id).unwrap();
    assert_eq!(world.request_token(home.as_str(), &[]).await.aadsts(), 7000229);
}

#[tokio::test]
async fn a_single_tenant_application_is_unknown_elsewhere_and_cannot_be_consented_to() {
    let world = World::start().await;
    let app = STRANGER.parse().unwrap();
    let spec = AppSpec {
        name: "single".to_owned(),
        directory: world.scenario.directory.clone(),
        multi_tenant: false,
        enabled: true,
    };
    world.azure().put_app(&app, spec).unwrap();
    let secret = world.azure().add_secret(&app, None).unwrap();
    let as_it = [("client_id", STRANGER), ("client_secret", secret.value.expose())];
    assert_eq!(world.request_token(world.scenario.directory.as_str(), &as_it).await.status, 200);
    let tenant = &world.tenant(0).directory;
    assert_eq!(world.request_token(tenant.as_str(), &as_it).await.aadsts(), 700016);
    assert!(world.azure().consent(tenant, &app).is_err());
}

#[tokio::test]
async fn a_wrong_a_removed_and_an_expired_secret_are_told_apart() {
    let world = World::start().await;
    let directory = world.tenant(0).directory.as_str();
    let wrong = world.request_token(directory, &[("client_secret", "wrong")]).await;
    assert_eq!((wrong.status, wrong.aadsts()), (401, 7000215));
    assert_eq!(wrong.json["error"], "invalid_client");
    let hour = Some(Duration::from_secs(3600));
    let second = world.azure().add_secret(&world.scenario.client_id, hour).unwrap();
    let with_second = [("client_secret", second.value.expose())];
    assert_eq!(world.request_token(directory, &with_second).await.status, 200);
    world.control().advance(Duration::from_secs(3600));
    assert_eq!(world.request_token(directory, &with_second).await.aadsts(), 7000222);
    world.azure().remove_secret(&world.scenario.client_id, &second.id).unwrap();
    assert_eq!(world.request_token(directory, &with_second).await.aadsts(), 7000215);
    let edit = world.azure().edit(Edit::ExpireSecret { app: world.scenario.client_id.clone() }).unwrap();
    assert_eq!(world.request_token(directory, &[]).await.aadsts(), 7000222);
    world.azure().undo(edit).unwrap();
    assert_eq!(world.request_token(directory, &[]).await.status, 200);
}

#[tokio::test]
async fn disabled_and_blocked_principals_and_applications_get_no_new_tokens_and_keep_the_old() {
    let world = World::start().await;
    let tenant = world.tenant(0).clone();
    let token = world.token(0).await;
    let request = || world.request_token(tenant.directory.as_str(), &[]);
    let (directory, app) = (tenant.directory.clone(), tenant.app.clone());
    for (edit, code) in [
        (Edit::DisableServicePrincipal { directory: directory.clone(), app: app.clone() }, 7000112),
        (Edit::ConditionalAccessBlock { directory: directory.clone(), app: app.clone() }, 53003),
        (Edit::RemoveConsent { directory: directory.clone(), app: app.clone() }, 700016),
    ] {
        let edit = world.azure().edit(edit).unwrap();
        assert_eq!(request().await.aadsts(), code);
        assert_eq!(world.get_key(&token, 0).await.status, 200, "a token that was issued lives on");
        world.azure().undo(edit).unwrap();
        assert_eq!(request().await.status, 200);
    }
    world.azure().set_service_principal_enabled(&directory, &app, false).unwrap();
    assert_eq!(request().await.aadsts(), 7000112);
    world.azure().set_service_principal_enabled(&directory, &app, true).unwrap();
    world.azure().set_app_enabled(&app, false).unwrap();
    assert_eq!(request().await.aadsts(), 7000112);
}

#[tokio::test]
async fn a_sovereign_cloud_knows_its_own_directories_alone() {
    let world = World::start().await;
    let government = "40000000-0000-4000-8000-000000000001";
    let directory = DirectorySpec {
        name: "Bureau".to_owned(),
        domains: Vec::new(),
        cloud: Cloud::UsGovernment,
        subscription: None,
    };
    let id = government.parse().unwrap();
    world.azure().put_directory(&id, directory).unwrap();
    world.azure().consent(&id, &world.scenario.client_id).unwrap();
    let scope = [("scope", "https://vault.usgovcloudapi.net/.default")];
    assert_eq!(world.request_token(government, &scope).await.aadsts(), 90002);
    let there = "https://login.microsoftonline.us";
    assert_eq!(world.request_token_at(there, government, &scope).await.status, 200);
    assert_eq!(world.request_token_at(there, government, &[]).await.aadsts(), 500011);
    let tenant = world.tenant(0).directory.as_str();
    assert_eq!(world.request_token_at(there, tenant, &[]).await.aadsts(), 90002);
}

#[tokio::test]
async fn clients_find_endpoints_and_keys_under_the_name_that_they_called() {
    let world = World::start().await;
    let directory = world.tenant(0).directory.as_str();
    let base = world.simulator.endpoints().azure.clone();
    for base in [LOGIN, &base] {
        let url = format!("{base}/{}/v2.0/.well-known/openid-configuration", world.tenant(0).domain);
        let found = send(world.http.get(url)).await;
        assert_eq!(found.json["token_endpoint"], format!("{base}/{directory}/oauth2/v2.0/token"));
        assert_eq!(found.json["issuer"], format!("{LOGIN}/{directory}/v2.0"));
        let keys = send(world.http.get(found.json["jwks_uri"].as_str().unwrap())).await;
        assert_eq!(keys.json["keys"][0]["kty"], "RSA");
    }
    let url = format!("{LOGIN}/nobody.example/v2.0/.well-known/openid-configuration");
    let unknown = send(world.http.get(url)).await;
    assert_eq!((&unknown.json["error"], unknown.aadsts()), (&json!("invalid_tenant"), 90002));
    let url = format!(
        "{LOGIN}/common/discovery/instance?api-version=1.1&authorization_endpoint={LOGIN}/{directory}/oauth2/authorize"
    );
    let instance = send(world.http.get(url)).await;
    assert_eq!(instance.json["metadata"][0]["aliases"][0], "login.microsoftonline.com");
    assert!(instance.json["tenant_discovery_endpoint"].as_str().unwrap().contains(directory));
}

#[tokio::test]
async fn the_listener_is_trusted_by_its_own_authority_alone_and_each_simulator_has_its_own() {
    let (world, other) = (World::start().await, World::start().await);
    assert_ne!(world.simulator.endpoints().azure_ca, other.simulator.endpoints().azure_ca);
    let endpoints = world.simulator.endpoints();
    let untrusting = reqwest::Client::new().get(&endpoints.azure).send().await.unwrap_err();
    assert!(untrusting.is_connect(), "{untrusting:?}");
    let trusting = client(&world.simulator, &[]);
    let url = format!("{}/{}/discovery/v2.0/keys", endpoints.azure, world.tenant(0).directory);
    assert_eq!(send(trusting.get(url)).await.status, 200);
    let elsewhere = trusting.get(other.simulator.endpoints().azure.clone()).send().await.unwrap_err();
    assert!(elsewhere.is_connect(), "{elsewhere:?}");
}

#[tokio::test]
async fn a_consent_takes_effect_after_its_propagation_delay() {
    let world = World::unknown_to_tenants().await;
    let propagation = serde_json::from_value(json!({"principal_ms": 60_000})).unwrap();
    world.azure().set_propagation(propagation);
    let tenant = world.tenant(0);
    world.azure().consent(&tenant.directory, &tenant.app).unwrap();
    assert_eq!(world.request_token(tenant.directory.as_str(), &[]).await.aadsts(), 700016);
    world.control().advance(Duration::from_secs(60));
    assert_eq!(world.request_token(tenant.directory.as_str(), &[]).await.status, 200);
}
