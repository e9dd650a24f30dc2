//! Who we are before we become anybody: every source of the default chain, caching, and what the environment may not do.
//!
//! The chain reads the process's environment, which a test must not change under the others. So each case runs this
//! very binary again, as a child with the environment of that case.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use leasehold_cloudsim::aws::issuer::TokenAlgorithm;
use leasehold_cloudsim::control::OidcProviderSpec;
use leasehold_provider::{Fault, KeyProvider};
use leasehold_provider_aws::{AwsConfig, AwsConfigError, AwsProvider, BaseIdentity, Endpoints};
use leasehold_secret::{Arena, ArenaConfig};
use serde_json::json;

use crate::tenant::Tenant;
use crate::world::{REGION, World};

const EXPECT: &str = "LEASEHOLD_TEST_EXPECT";
const URL: &str = "LEASEHOLD_TEST_URL";
const DANGER: &str = "LEASEHOLD_TEST_DANGER";

/// Not a test by itself: what a child does. Expects to be the principal that its environment says, or `OwnIdentity`.
#[tokio::test]
#[ignore = "run by the other tests of this file, as a child with an environment of its own"]
async fn child() {
    let url = std::env::var(URL).ok();
    let config = AwsConfig {
        endpoints: Endpoints { sts: url.clone(), kms: url },
        danger_allow_endpoint_overrides: std::env::var(DANGER).is_ok(),
        ..AwsConfig::default()
    };
    let arena = Arena::new(ArenaConfig { bytes: ArenaConfig::MIN_BYTES, ..ArenaConfig::default() }).unwrap();
    let provider = AwsProvider::build(config, arena).await.unwrap();
    let outcome = match provider.own_identity().await {
        Ok(own) => own.principal,
        Err(error) => format!("{:?}", error.fault()),
    };
    assert_eq!(outcome, std::env::var(EXPECT).unwrap());
}

async fn in_child(expect: &str, environment: &[(&str, &str)]) {
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "base::child", "--ignored", "--nocapture"]);
    // Nothing of the machine's own, so that a developer's profile is not taken.
    command.env_clear().env("HOME", "/nonexistent").env("AWS_REGION", REGION).env(EXPECT, expect);
    command.env("AWS_EC2_METADATA_DISABLED", "true").envs(environment.iter().copied());
    let output = command.output().await.unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn role(world: &World) -> String {
    world.scenario.base_role.to_string()
}

#[tokio::test]
async fn the_environment_is_a_source() {
    let world = World::start().await;
    let key = &world.scenario.access_key;
    in_child(
        &world.scenario.base_user,
        &[
            (URL, &world.simulator.endpoints().aws),
            ("AWS_ACCESS_KEY_ID", &key.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", key.secret_access_key.expose()),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_profile_is_a_source() {
    let world = World::start().await;
    let (directory, key) = (tempfile::tempdir().unwrap(), &world.scenario.access_key);
    let file = directory.path().join("credentials");
    let (id, secret) = (&key.access_key_id, key.secret_access_key.expose());
    let text = format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let url = &world.simulator.endpoints().aws;
    in_child(&world.scenario.base_user, &[(URL, url), ("AWS_SHARED_CREDENTIALS_FILE", file)]).await;
}

#[tokio::test]
async fn the_instance_metadata_service_is_a_source() {
    let world = World::start().await;
    let endpoints = world.simulator.endpoints();
    in_child(
        &role(&world),
        &[
            (URL, &endpoints.aws),
            ("AWS_EC2_METADATA_DISABLED", "false"),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &endpoints.imds),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_containers_credentials_are_a_source() {
    let world = World::start().await;
    let endpoints = world.simulator.endpoints();
    in_child(
        &role(&world),
        &[
            (URL, &endpoints.aws),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &endpoints.container),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", endpoints.container_token.expose()),
        ],
    )
    .await;
}

/// A world with a role for whoever holds a token of a test issuer, and such a token in a file.
fn web_identity(world: &World) -> (tempfile::TempDir, String, String) {
    let issuer = "https://oidc.example.com/cluster";
    let account = &world.scenario.base_role.account;
    world.aws().put_test_issuer(issuer).unwrap();
    let audiences = vec!["sts.amazonaws.com".to_owned()];
    let oidc = OidcProviderSpec { issuer: issuer.to_owned(), audiences, jwks: None };
    world.aws().put_oidc_provider(account, oidc).unwrap();
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
            "Principal": { "Federated": format!("arn:aws:iam::{account}:oidc-provider/oidc.example.com/cluster") },
        }],
    });
    let role = format!("arn:aws:iam::{account}:role/irsa");
    crate::tenant::put_role(world, &role.parse().unwrap(), trust, BTreeMap::new());
    let claims = BTreeMap::from([
        ("sub".to_owned(), json!("system:serviceaccount:leasehold:server")),
        ("aud".to_owned(), json!(["sts.amazonaws.com"])),
    ]);
    let token = world.aws().mint_token(issuer, TokenAlgorithm::RS256, claims).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, token).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (directory, file, role)
}

#[tokio::test]
async fn a_web_identity_is_a_source() {
    let world = World::start().await;
    let (_directory, file, role) = web_identity(&world);
    let url = &world.simulator.endpoints().aws;
    in_child(
        &role,
        &[
            (URL, url),
            (DANGER, "1"),
            ("AWS_ENDPOINT_URL_STS", url),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", &file),
            ("AWS_ROLE_ARN", &role),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_environment_cannot_have_our_web_identity_token_sent_elsewhere() {
    let world = World::start().await;
    let (_directory, file, role) = web_identity(&world);
    let url = &world.simulator.endpoints().aws;
    in_child(
        "OwnIdentity",
        &[
            (URL, url),
            ("AWS_ENDPOINT_URL_STS", url),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", &file),
            ("AWS_ROLE_ARN", &role),
        ],
    )
    .await;
    assert!(world.calls("AssumeRoleWithWebIdentity").is_empty());
}

#[tokio::test]
async fn the_environment_cannot_redirect_our_calls() {
    let world = World::start().await;
    let key = &world.scenario.access_key;
    // Nobody listens there: a call that followed these would fail.
    let nowhere = "http://127.0.0.1:9";
    in_child(
        &world.scenario.base_user,
        &[
            (URL, &world.simulator.endpoints().aws),
            ("AWS_ENDPOINT_URL", nowhere),
            ("AWS_ENDPOINT_URL_STS", nowhere),
            ("AWS_ENDPOINT_URL_KMS", nowhere),
            ("AWS_ACCESS_KEY_ID", &key.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", key.secret_access_key.expose()),
        ],
    )
    .await;
}

#[tokio::test]
async fn without_any_source_it_is_our_own_identity_that_failed() {
    let world = World::start().await;
    in_child("OwnIdentity", &[(URL, &world.simulator.endpoints().aws)]).await;
}

/// Gives out the same credentials with a life of its choosing, and counts.
#[derive(Debug, Clone)]
struct Counting {
    credentials: Credentials,
    life: Duration,
    loads: Arc<AtomicUsize>,
}

impl ProvideCredentials for Counting {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let mut credentials = self.credentials.clone();
        #[expect(clippy::disallowed_methods, reason = "the SDK compares with the wall clock")]
        let now = SystemTime::now();
        *credentials.expiry_mut() = Some(now + self.life);
        future::ProvideCredentials::ready(Ok(credentials))
    }
}

/// How often base credentials of this life are loaded for three assumes.
async fn loads(life: Duration) -> usize {
    let world = World::start().await;
    let loads = Arc::new(AtomicUsize::new(0));
    let source = Counting { credentials: world.base(), life, loads: Arc::clone(&loads) };
    let base = BaseIdentity::Source(SharedCredentialsProvider::new(source));
    let provider =
        AwsProvider::build(AwsConfig { base, ..world.config() }, world.arena.clone()).await.unwrap();
    let tenant = Tenant::onboard(&world, &provider, "acme", "200000000001").await;
    let before = loads.load(Ordering::SeqCst);
    for _ in 0..3 {
        provider.assume(&tenant.binding).await.unwrap();
    }
    loads.load(Ordering::SeqCst) - before
}

#[tokio::test]
async fn our_own_credentials_are_kept_while_they_last_and_loaded_anew_before_they_end() {
    assert_eq!(loads(Duration::from_secs(3600)).await, 0, "loaded once, before");
    assert_eq!(loads(Duration::from_secs(1)).await, 3, "about to end: loaded each time");
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_at_the_start() {
    let world = World::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| -> PathBuf {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let roots = |path: PathBuf| AwsConfig { extra_root_cas: vec![path], ..world.config() };
    let build = |config| AwsProvider::build(config, world.arena.clone());
    let pem = include_str!("root.pem");
    let mangled = pem.replace("MIIB", "AAAA");
    assert_ne!(mangled, pem);
    for bad in [file("empty", ""), file("text", "not PEM"), file("mangled", &mangled)] {
        assert!(matches!(build(roots(bad)).await, Err(AwsConfigError::BadRoots { .. })));
    }
    let absent = directory.path().join("absent");
    assert!(matches!(build(roots(absent)).await, Err(AwsConfigError::UnreadableRoots { .. })));
    assert!(build(roots(file("good", pem))).await.is_ok());
    let foreign = AwsConfig { allowed_regions: vec!["cn-north-1".parse().unwrap()], ..world.config() };
    assert!(matches!(build(foreign).await, Err(AwsConfigError::ForeignRegion { .. })));
}

#[tokio::test]
async fn a_source_that_fails_is_our_own_identity_and_is_asked_again() {
    let world = World::start().await;
    let dead = aws_credential_types::credential_fn::provide_credentials_fn(|| async {
        Err(aws_credential_types::provider::error::CredentialsError::provider_error("down"))
    });
    let base = BaseIdentity::Source(SharedCredentialsProvider::new(dead));
    let provider =
        AwsProvider::build(AwsConfig { base, ..world.config() }, world.arena.clone()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(provider.own_identity().await.unwrap_err().fault(), &Fault::OwnIdentity);
    }
    assert!(world.calls("GetCallerIdentity").is_empty());
}
