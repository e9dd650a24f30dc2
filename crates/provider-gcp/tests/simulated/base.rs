//! Who we are before we become anybody: what each source answers, and what the environment may not do.
//!
//! The environment of this process must not change under the other tests. So what depends on it runs this very binary
//! again, as a child with the environment of that case.

use leasehold_provider::{Fault, KeyProvider, ProviderError, Throttler};
use leasehold_provider_gcp::{BaseIdentity, Endpoints, GcpConfig, GcpConfigError, GcpProvider};
use leasehold_secret::{Arena, ArenaConfig};
use serde_json::json;

use crate::binding::binding;
use crate::tenant::Tenant;
use crate::wire::Wire;
use crate::world::World;

const EMAIL: &str = "leasehold@our-platform.iam.gserviceaccount.com";
const EXPECT: &str = "LEASEHOLD_TEST_EXPECT";
const URL: &str = "LEASEHOLD_TEST_URL";
const METADATA: &str = "LEASEHOLD_TEST_METADATA";
const KEY: &str = "LEASEHOLD_TEST_KEY";
const ACCOUNT: &str = "LEASEHOLD_TEST_ACCOUNT";

fn arena() -> Arena {
    Arena::new(ArenaConfig { bytes: ArenaConfig::MIN_BYTES, ..ArenaConfig::default() }).unwrap()
}

async fn with_metadata(wire: &Wire) -> GcpProvider {
    let endpoints = Endpoints { metadata: Some(wire.url.clone()), ..Endpoints::default() };
    let config = GcpConfig { identity: BaseIdentity::Metadata, endpoints, ..GcpConfig::default() };
    GcpProvider::build(config, arena()).await.unwrap()
}

fn token() -> String {
    json!({ "access_token": "ya29.own", "expires_in": 3599, "token_type": "Bearer" }).to_string()
}

async fn refused(provider: &GcpProvider) -> ProviderError {
    provider.own_identity().await.unwrap_err()
}

#[tokio::test]
async fn the_metadata_server_says_who_we_are_and_gives_a_token() {
    let wire = Wire::start().await;
    let provider = with_metadata(&wire).await;
    assert!(wire.requests().is_empty(), "nothing is asked at the start");
    wire.answer_flavored(200, format!("{EMAIL}\n"));
    wire.answer_flavored(200, token());
    let own = provider.own_identity().await.unwrap();
    assert_eq!((own.principal, own.account), (format!("serviceAccount:{EMAIL}"), "our-platform".to_owned()));
    for seen in wire.requests() {
        assert_eq!(seen.header("metadata-flavor"), Some("Google"), "{seen:?}");
    }
    assert!(wire.requests()[1].line.contains("/token?scopes="), "{:?}", wire.requests());
}

#[tokio::test]
async fn p3_what_the_metadata_server_says_is_told_from_its_being_away() {
    let wire = Wire::start().await;
    let provider = with_metadata(&wire).await;
    for (status, body, fault) in [
        (404, "", Fault::OwnIdentity),
        (403, "The service account is disabled.", Fault::OwnIdentity),
        (403, "Permission 'iam.serviceAccounts.getAccessToken' denied", Fault::OwnIdentity),
        (403, "", Fault::Unavailable),
        (500, "", Fault::Unavailable),
        (503, "", Fault::Unavailable),
        (429, "", Fault::Throttled { by: Throttler::Cloud, retry_after: None }),
        (200, "not json", Fault::Unavailable),
        (200, "{}", Fault::Unavailable),
    ] {
        wire.answer_flavored(200, EMAIL);
        wire.answer_flavored(status, body);
        assert_eq!(refused(&provider).await.fault(), &fault, "token: {status} {body}");
    }
    for (status, body, fault) in [
        (404, "", Fault::OwnIdentity),
        (403, "", Fault::Unavailable),
        (503, "", Fault::Unavailable),
        (200, "<html>", Fault::Unavailable),
    ] {
        wire.answer_flavored(status, body);
        assert_eq!(refused(&provider).await.fault(), &fault, "email: {status} {body}");
    }
    wire.answer_flavored(200, EMAIL);
    wire.answer_flavored(200, token());
    assert!(provider.own_identity().await.is_ok(), "no refusal is remembered");
}

#[tokio::test]
async fn an_answer_without_googles_mark_is_not_the_metadata_servers() {
    let wire = Wire::start().await;
    let provider = with_metadata(&wire).await;
    for mark in ["", "metadata-flavor: Amazon"] {
        for status in [200, 404, 403] {
            wire.answer_with(mark, status, EMAIL);
            let error = refused(&provider).await;
            assert_eq!(
                (error.fault(), error.code()),
                (&Fault::Unavailable, Some("NOT_GOOGLES_METADATA_SERVER")),
                "email: {mark} {status}"
            );
        }
        wire.answer_flavored(200, EMAIL);
        wire.answer_with(mark, 200, token());
        assert_eq!(refused(&provider).await.code(), Some("NOT_GOOGLES_METADATA_SERVER"), "token: {mark}");
    }
}

#[tokio::test]
async fn a_workload_identity_pool_is_not_who_we_are() {
    let wire = Wire::start().await;
    let provider = with_metadata(&wire).await;
    wire.answer_flavored(200, "our-platform.svc.id.goog");
    let error = refused(&provider).await;
    assert_eq!(error.fault(), &Fault::OwnIdentity);
    assert!(error.detail().contains("set gcp.principal"), "{error}");
}

#[tokio::test]
async fn a_metadata_server_that_is_not_there_is_unavailability() {
    let endpoints = Endpoints { metadata: Some("127.0.0.1:9".to_owned()), ..Endpoints::default() };
    let config = GcpConfig { identity: BaseIdentity::Metadata, endpoints, ..GcpConfig::default() };
    let provider = GcpProvider::build(config, arena()).await.unwrap();
    assert_eq!(refused(&provider).await.fault(), &Fault::Unavailable);
}

/// A provider whose subject token is in a file, with a Security Token Service that answers as told.
async fn federated(wire: &Wire, directory: &tempfile::TempDir) -> GcpProvider {
    let (subject, file) = (directory.path().join("subject"), directory.path().join("credentials.json"));
    std::fs::write(&subject, "subject-token").unwrap();
    let credentials = json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": { "file": subject },
    });
    std::fs::write(&file, credentials.to_string()).unwrap();
    let principal =
        "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/subject/s";
    let config = GcpConfig {
        identity: BaseIdentity::WorkloadIdentityFederation { file },
        principal: Some(principal.parse().unwrap()),
        own_projects: vec!["our-platform".parse().unwrap()],
        endpoints: Endpoints { sts: Some(wire.url.clone()), ..Endpoints::default() },
        ..GcpConfig::default()
    };
    GcpProvider::build(config, arena()).await.unwrap()
}

#[tokio::test]
async fn a_federated_identity_is_exchanged_at_the_security_token_service() {
    let (wire, directory) = (Wire::start().await, tempfile::tempdir().unwrap());
    let provider = federated(&wire, &directory).await;
    let exchanged = json!({
        "access_token": "federated", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer", "expires_in": 3600,
    });
    wire.answer(200, exchanged.to_string());
    assert_eq!(provider.own_identity().await.unwrap().account, "our-platform");
    let seen = &wire.requests()[0];
    assert!(seen.line.starts_with("POST /v1/token "), "{}", seen.line);
    assert!(String::from_utf8_lossy(&seen.body).contains("subject_token=subject-token"));
}

#[tokio::test]
async fn a_broken_federation_is_our_own_affair_and_no_secret_is_told() {
    let (wire, directory) = (Wire::start().await, tempfile::tempdir().unwrap());
    let provider = federated(&wire, &directory).await;
    for (status, code, fault) in [
        (400, "invalid_grant", Fault::OwnIdentity),
        (400, "invalid_target", Fault::OwnIdentity),
        (400, "invalid_request", Fault::OwnIdentity),
        (400, "unauthorized_client", Fault::OwnIdentity),
        (401, "invalid_client", Fault::OwnIdentity),
        (403, "polarity_reversed", Fault::Unavailable),
        (503, "temporarily_unavailable", Fault::Unavailable),
        (429, "slow_down", Fault::Throttled { by: Throttler::Cloud, retry_after: None }),
    ] {
        let body = json!({ "error": code, "error_description": "of subject-token" }).to_string();
        wire.answer(status, body);
        let error = refused(&provider).await;
        assert_eq!(error.fault(), &fault, "{status} {code}");
        assert!(*error.fault() != Fault::OwnIdentity || error.code() == Some(code), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("subject-token"), "{error:?}");
    }
    std::fs::remove_file(directory.path().join("subject")).unwrap();
    assert_eq!(refused(&provider).await.fault(), &Fault::OwnIdentity, "no subject token");
}

/// Not a test by itself: what a child does. Expects the kind of error that its environment names, or `Ok`.
#[tokio::test]
#[ignore = "run by the other tests of this file, as a child with an environment of its own"]
async fn child() {
    let outcome = match GcpProvider::build(GcpConfig::default(), arena()).await {
        Ok(_) => "Ok",
        Err(GcpConfigError::RedirectedMetadata) => "RedirectedMetadata",
        Err(GcpConfigError::PlaintextLogging) => "PlaintextLogging",
        Err(GcpConfigError::UnreadableCredentials { .. }) => "UnreadableCredentials",
        Err(GcpConfigError::ForeignEndpoint { .. }) => "ForeignEndpoint",
        Err(GcpConfigError::Proxied { .. }) => "Proxied",
        Err(GcpConfigError::NoOwnProject) => "NoOwnProject",
        Err(GcpConfigError::Client(_)) => "Client",
        Err(error) => panic!("{error}"),
    };
    assert_eq!(outcome, std::env::var(EXPECT).unwrap());
}

/// Not a test by itself either: becomes the service account that its environment names, with ambient credentials.
#[tokio::test]
#[ignore = "run by the other tests of this file, as a child with an environment of its own"]
async fn assuming_child() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let url = || std::env::var(URL).ok();
    let metadata = std::env::var(METADATA).ok();
    let endpoints = Endpoints { kms: url(), iam_credentials: url(), metadata, ..Endpoints::default() };
    let provider =
        GcpProvider::build(GcpConfig { endpoints, ..GcpConfig::default() }, arena()).await.unwrap();
    assert_eq!(provider.own_identity().await.unwrap().principal, variable(EXPECT));
    let settings = json!({ "service_account": variable(ACCOUNT) });
    let session = provider.assume(&binding("acme", &variable(KEY), &settings)).await.unwrap().value;
    provider.describe(&session).await.unwrap();
}

/// Nor is this: asks who we are, with ambient credentials that Google does not take.
#[tokio::test]
#[ignore = "run by the other tests of this file, as a child with an environment of its own"]
async fn refused_child() {
    let url = std::env::var(URL).ok();
    let endpoints = Endpoints { iam_credentials: url, ..Endpoints::default() };
    let provider =
        GcpProvider::build(GcpConfig { endpoints, ..GcpConfig::default() }, arena()).await.unwrap();
    let error = refused(&provider).await;
    assert_eq!((error.fault(), error.code()), (&Fault::OwnIdentity, std::env::var(EXPECT).ok().as_deref()));
}

async fn in_child(expect: &str, environment: &[(&str, &str)]) {
    run("base::child", expect, environment).await;
}

async fn run(test: &str, expect: &str, environment: &[(&str, &str)]) {
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    // Nothing of the machine's own, so that a developer's credentials are not taken.
    command.env_clear().env("HOME", "/nonexistent").env(EXPECT, expect).envs(environment.iter().copied());
    let output = command.output().await.unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[tokio::test]
async fn without_any_credentials_the_metadata_server_is_the_source() {
    in_child("Ok", &[]).await;
}

#[tokio::test]
async fn the_environment_cannot_redirect_us() {
    in_child("RedirectedMetadata", &[("GCE_METADATA_HOST", "127.0.0.1:9")]).await;
    in_child("Ok", &[("GCE_METADATA_HOST", "169.254.169.254")]).await;
    in_child("Ok", &[("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "evil.example")]).await;
}

#[tokio::test]
async fn p4_the_environment_cannot_make_the_sdk_log_keys() {
    in_child("PlaintextLogging", &[("GOOGLE_CLOUD_RUST_LOGGING", "true")]).await;
}

#[tokio::test]
async fn ambient_credentials_are_checked_at_the_start() {
    in_child("UnreadableCredentials", &[("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/key.json")]).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key.json");
    let hostile = json!({ "type": "service_account", "token_uri": "https://evil.example/token" });
    std::fs::write(&file, hostile.to_string()).unwrap();
    in_child("ForeignEndpoint", &[("GOOGLE_APPLICATION_CREDENTIALS", file.to_str().unwrap())]).await;
}

#[tokio::test]
async fn p8_no_proxy_of_the_environment_sees_a_token_or_a_key() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key.json");
    std::fs::write(&file, json!({ "type": "service_account", "client_email": EMAIL }).to_string()).unwrap();
    let file = ("GOOGLE_APPLICATION_CREDENTIALS", file.to_str().unwrap());
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        in_child("Proxied", &[file, (name, "http://127.0.0.1:9")]).await;
    }
    in_child("Ok", &[file, ("HTTPS_PROXY", "http://127.0.0.1:9"), ("NO_PROXY", "googleapis.com")]).await;

    let world = World::start().await;
    let tenant = Tenant::onboard(&world, &world.provider().await, "acme", "tenant-project").await;
    let endpoints = world.simulator.endpoints();
    run(
        "base::assuming_child",
        &format!("serviceAccount:{}", world.scenario.base),
        &[
            (URL, &endpoints.gcp),
            (METADATA, &endpoints.gcp_metadata),
            (KEY, &tenant.key.to_string()),
            (ACCOUNT, &tenant.account().to_string()),
            // Nobody is there: whatever went through it would fail.
            ("HTTP_PROXY", "http://127.0.0.1:9"),
            ("ALL_PROXY", "http://127.0.0.1:9"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_service_accounts_key_is_an_ambient_source() {
    let world = World::start().await;
    let tenant = Tenant::onboard(&world, &world.provider().await, "acme", "tenant-project").await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key.json");
    std::fs::write(&file, world.scenario.service_account_key.expose()).unwrap();
    run(
        "base::assuming_child",
        &format!("serviceAccount:{}", world.scenario.base),
        &[
            (URL, &world.simulator.endpoints().gcp),
            (KEY, &tenant.key.to_string()),
            (ACCOUNT, &tenant.account().to_string()),
            ("GOOGLE_APPLICATION_CREDENTIALS", file.to_str().unwrap()),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_key_that_google_does_not_take_is_no_identity() {
    let world = World::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key.json");
    std::fs::write(&file, world.scenario.service_account_key.expose()).unwrap();
    world.gcp().set_service_account_disabled(&world.scenario.base, true).unwrap();
    let environment = [
        (URL, world.simulator.endpoints().gcp.as_str()),
        ("GOOGLE_APPLICATION_CREDENTIALS", file.to_str().unwrap()),
    ];
    run("base::refused_child", "UNAUTHENTICATED/ACCOUNT_STATE_INVALID", &environment).await;
}
