//! The kit, taken at its word: what it says to paste works, none of it is superfluous, and every lever does what it says.

use std::collections::BTreeMap;

use leasehold_cloudsim::aws::KeyState;
use leasehold_envelope::{EncryptionContext, HeaderDigest, KeyVersion, Purpose};
use leasehold_provider::{Ciphertext, Edge, Fault, KeyProvider, Lever, ProviderError, Session, WrapContext};
use leasehold_provider_aws::AwsProvider;
use leasehold_secret::KeyLength;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::tenant::{Documents, Tenant, written};
use crate::world::World;

const ACCOUNT: &str = "200000000001";

/// Settings of tenants whose roles and keys are spread over accounts in every way that matters to a kit.
fn spreads() -> [Value; 4] {
    [
        json!({}),
        json!({ "role_arn": "arn:aws:iam::300000000003:role/elsewhere" }),
        json!({ "chain": [{ "role_arn": "arn:aws:iam::200000000001:role/hop", "external_id": "hop-id" }] }),
        json!({
            "role_arn": "arn:aws:iam::300000000003:role/elsewhere",
            "chain": [
                { "role_arn": "arn:aws:iam::300000000001:role/first", "external_id": "id-of-the-first" },
                { "role_arn": "arn:aws:iam::300000000002:role/second" },
            ],
            "session_tags": { "service": "leasehold" },
            "source_identity": "leasehold-test",
        }),
    ]
}

/// All that a binding is for.
async fn use_it(provider: &AwsProvider, tenant: &Tenant) -> Result<(Session, Ciphertext), ProviderError> {
    let session = provider.assume(&tenant.binding).await?.value;
    provider.describe(&session).await?;
    let made = generate(provider, &session).await?;
    unwrap(provider, &session, &made).await?;
    Ok((session, made))
}

async fn generate(provider: &AwsProvider, session: &Session) -> Result<Ciphertext, ProviderError> {
    let (header, context) = (HeaderDigest::from_bytes([0; 32]), EncryptionContext::empty());
    let context = WrapContext { purpose: Purpose::Dek, header: &header, context: &context };
    let made =
        provider.generate_without_plaintext(session, KeyLength::B32, &KeyVersion::none(), context).await?;
    Ok(made.value)
}

async fn unwrap(
    provider: &AwsProvider,
    session: &Session,
    wrapped: &Ciphertext,
) -> Result<(), ProviderError> {
    let (header, context) = (HeaderDigest::from_bytes([0; 32]), EncryptionContext::empty());
    let context = WrapContext { purpose: Purpose::Dek, header: &header, context: &context };
    provider.unwrap(session, wrapped, context).await.map(drop)
}

/// The same documents less one, or less one statement of one, in every way.
fn lessened(documents: &Documents) -> Vec<(String, Documents)> {
    let mut all = Vec::new();
    for (title, document) in &documents.0 {
        let mut without = documents.clone();
        without.0.remove(title);
        all.push((format!("without: {title}"), without));
        for index in 0..document["Statement"].as_array().map_or(0, Vec::len) {
            let mut less = documents.clone();
            less.0.get_mut(title).unwrap()["Statement"].as_array_mut().unwrap().remove(index);
            all.push((format!("without statement {index} of: {title}"), less));
        }
    }
    all
}

#[tokio::test]
async fn what_the_kit_says_works_and_no_statement_of_it_is_superfluous() {
    for extra in spreads() {
        let world = World::start().await;
        let provider = world.provider().await;
        let tenant = Tenant::onboard_with(&world, &provider, "acme", ACCOUNT, &extra).await;
        use_it(&provider, &tenant).await.unwrap();
        let documents = Documents::of(&tenant.kit(&provider).await);
        let lessened = lessened(&documents);
        assert!(lessened.len() >= 3, "{extra}");
        for (what, less) in lessened {
            tenant.paste(&world, &less);
            let used = use_it(&provider, &tenant).await;
            assert!(used.is_err_and(|error| error.is_denial()), "{what}, {extra}");
        }
        tenant.paste(&world, &documents);
        use_it(&provider, &tenant).await.unwrap();
    }
}

/// EKS Pod Identity tags its sessions, and its tags travel along every chain.
#[tokio::test]
async fn the_kit_lets_in_a_platform_whose_own_sessions_have_transitive_tags() {
    let world = World::start().await;
    let tags = BTreeMap::from([("kubernetes-namespace".to_owned(), "leasehold".to_owned())]);
    world.aws().set_container_role(Some(world.scenario.base_role.clone()), tags);
    let mut config = world.config();
    config.base = container_credentials(&world).await;
    let provider = AwsProvider::build(config, world.arena.clone()).await.unwrap();
    for extra in spreads() {
        let tenant = Tenant::onboard_with(&world, &provider, "acme", ACCOUNT, &extra).await;
        use_it(&provider, &tenant).await.unwrap();
        let session = provider.assume(&tenant.binding).await.unwrap().value;
        provider.check_deputy(&tenant.binding, &session).await.unwrap();
    }
}

async fn container_credentials(world: &World) -> leasehold_provider_aws::BaseIdentity {
    let endpoints = world.simulator.endpoints();
    let (host, path) = endpoints.container.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let token = endpoints.container_token.expose();
    let request = format!(
        "GET /{path} HTTP/1.1\r\nhost: {host}\r\nauthorization: {token}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let given: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let of = |name: &str| given[name].as_str().unwrap().to_owned();
    let token = Some(of("Token"));
    let credentials =
        aws_credential_types::Credentials::new(of("AccessKeyId"), of("SecretAccessKey"), token, None, "test");
    leasehold_provider_aws::BaseIdentity::Fixed(credentials)
}

// === levers ===

async fn lever(provider: &AwsProvider, tenant: &Tenant, title: &str) -> Lever {
    let kit = tenant.kit(provider).await;
    kit.levers.into_iter().find(|lever| lever.title == title).unwrap()
}

struct Scene {
    world: World,
    provider: AwsProvider,
    tenant: Tenant,
    session: Session,
    wrapped: Ciphertext,
}

impl Scene {
    async fn new() -> Self {
        let world = World::start().await;
        let provider = world.provider().await;
        let elsewhere = &spreads()[1];
        let tenant = Tenant::onboard_with(&world, &provider, "acme", ACCOUNT, elsewhere).await;
        let (session, wrapped) = use_it(&provider, &tenant).await.unwrap();
        Self { world, provider, tenant, session, wrapped }
    }

    /// What the session from before the lever was pulled gets.
    async fn older_session(&self) -> Result<(), ProviderError> {
        unwrap(&self.provider, &self.session, &self.wrapped).await
    }

    async fn works_again(&self) {
        use_it(&self.provider, &self.tenant).await.unwrap();
        self.older_session().await.unwrap();
    }
}

fn denied_at_key<T: std::fmt::Debug>(outcome: Result<T, ProviderError>) {
    assert_eq!(outcome.unwrap_err().fault(), &Fault::Denied { edge: Edge::Key });
}

#[tokio::test]
async fn disabling_the_key_stops_sessions_that_exist() {
    let scene = Scene::new().await;
    let lever = lever(&scene.provider, &scene.tenant, "Disable the key").await;
    assert!(
        lever
            .revoke
            .contains(&format!("aws kms disable-key --region eu-central-1 --key-id {}", scene.tenant.key))
    );
    scene.world.aws().set_key_state(&scene.tenant.key, KeyState::Disabled).unwrap();
    assert!(matches!(scene.older_session().await.unwrap_err().fault(), Fault::KeyUnusable(_)));
    assert!(lever.restore.contains("aws kms enable-key"));
    scene.world.aws().set_key_state(&scene.tenant.key, KeyState::Enabled).unwrap();
    scene.works_again().await;
}

#[tokio::test]
async fn denying_the_role_in_the_key_policy_stops_sessions_that_exist() {
    let scene = Scene::new().await;
    let lever = lever(&scene.provider, &scene.tenant, "Deny the role in the key's policy").await;
    let denial = written(&lever.revoke, "key-denial.json");
    let documents = Documents::of(&scene.tenant.kit(&scene.provider).await);
    let mut policy = crate::tenant::key_policy(&scene.tenant.key);
    let title = format!("Statement to add to the policy of the key {}", scene.tenant.key);
    let statements = policy["Statement"].as_array_mut().unwrap();
    statements.push(documents.0[&title].clone());
    let before = policy.clone();
    policy["Statement"].as_array_mut().unwrap().push(denial.clone());
    scene.world.aws().set_key_policy(&scene.tenant.key, policy).unwrap();
    denied_at_key(scene.older_session().await);
    denied_at_key(use_it(&scene.provider, &scene.tenant).await.map(drop));
    // What restores takes out the statement with the Sid of the one that was added.
    assert!(lever.restore.contains(&format!("--arg sid {}", denial["Sid"].as_str().unwrap())));
    scene.world.aws().set_key_policy(&scene.tenant.key, before).unwrap();
    scene.works_again().await;
}

#[tokio::test]
async fn denying_the_key_on_the_role_stops_sessions_that_exist() {
    let scene = Scene::new().await;
    let lever = lever(&scene.provider, &scene.tenant, "Deny the key in a policy of the role").await;
    let role = scene.tenant.role();
    let documents = Documents::of(&scene.tenant.kit(&scene.provider).await);
    let permissions = documents.0[&format!("Permissions of the role {role}")].clone();
    let mut policies = BTreeMap::from([("leasehold".to_owned(), permissions)]);
    let before = policies.clone();
    policies.insert("leasehold-revoked".to_owned(), written(&lever.revoke, "role-denial"));
    scene.world.aws().set_identity_policies(role, policies).unwrap();
    denied_at_key(scene.older_session().await);
    denied_at_key(use_it(&scene.provider, &scene.tenant).await.map(drop));
    assert!(
        lever.restore.contains("delete-role-policy --role-name elsewhere --policy-name leasehold-revoked")
    );
    scene.world.aws().set_identity_policies(role, before).unwrap();
    scene.works_again().await;
}

#[tokio::test]
async fn letting_nobody_become_the_role_stops_the_next_proof_and_not_sessions_that_exist() {
    let scene = Scene::new().await;
    let lever = lever(&scene.provider, &scene.tenant, "Let nobody become the role").await;
    let role = scene.tenant.role();
    scene.world.aws().set_trust_policy(role, written(&lever.revoke, "trust-nobody")).unwrap();
    let refused = scene.provider.assume(&scene.tenant.binding).await.unwrap_err();
    assert_eq!(refused.fault(), &Fault::Denied { edge: Edge::Trust { hop: 0 } });
    scene.older_session().await.unwrap();
    scene.world.aws().set_trust_policy(role, written(&lever.restore, "trust-")).unwrap();
    scene.works_again().await;
}

#[tokio::test]
async fn ending_sessions_stops_those_that_exist_as_well() {
    let scene = Scene::new().await;
    let title = "Let nobody become the role, and end the sessions that exist";
    let lever = lever(&scene.provider, &scene.tenant, title).await;
    let role = scene.tenant.role();
    scene.world.aws().set_trust_policy(role, written(&lever.revoke, "trust-nobody")).unwrap();
    // The shell puts the moment in; here it is one after all that happened so far.
    let date = r#"'"$(date -u +%Y-%m-%dT%H:%M:%SZ)"'"#;
    assert!(lever.revoke.contains(date));
    let older = written(&lever.revoke.replace(date, "2099-01-01T00:00:00Z"), "older-sessions");
    let documents = Documents::of(&scene.tenant.kit(&scene.provider).await);
    let permissions = documents.0[&format!("Permissions of the role {role}")].clone();
    let mut policies = BTreeMap::from([("leasehold".to_owned(), permissions)]);
    let before = policies.clone();
    policies.insert("AWSRevokeOlderSessions".to_owned(), older);
    scene.world.aws().set_identity_policies(role, policies).unwrap();
    denied_at_key(scene.older_session().await);
    assert!(scene.provider.assume(&scene.tenant.binding).await.is_err());
    scene.world.aws().set_trust_policy(role, written(&lever.restore, "trust-")).unwrap();
    assert!(lever.restore.contains("--policy-name AWSRevokeOlderSessions"));
    scene.world.aws().set_identity_policies(role, before).unwrap();
    scene.works_again().await;
}
