//! The platform's own keys, for tenants that bring none.

use leasehold_cloudsim::aws::KeyState;
use leasehold_cloudsim::aws::arn::KeyArn;
use leasehold_envelope::{EncryptionContext, HeaderDigest, KeyVersion, Purpose};
use leasehold_provider::{
    Depth, Edge, FailedStage, Fault, KeyProvider, KeyState as Unusable, KitFormat, Stage, Verdict,
    WrapContext,
};
use leasehold_provider_aws::{AwsConfigError, AwsProvider};
use leasehold_secret::{KeyLength, PlaintextKey};
use leasehold_tenant::Binding;
use serde_json::{Value, json};

use crate::tenant::{key_policy, kit_request, new_key, written};
use crate::world::{World, binding};

struct Platform {
    world: World,
    provider: AwsProvider,
    key: KeyArn,
    binding: Binding,
}

impl Platform {
    async fn new() -> Self {
        let world = World::start().await;
        let account = world.scenario.base_role.account.to_string();
        let key = new_key(&world, &account, json!({}));
        world.aws().set_key_policy(&key, Self::policy(&world, &key)).unwrap();
        let keys = vec![key.to_string().parse().unwrap()];
        let provider = AwsProvider::build_operator(world.config(), keys, world.arena.clone()).await.unwrap();
        let binding = binding("acme", &key.to_string(), &json!({}));
        Self { world, provider, key, binding }
    }

    fn policy(world: &World, key: &KeyArn) -> Value {
        let mut policy = key_policy(key);
        let statement = json!({
            "Effect": "Allow", "Principal": { "AWS": world.scenario.base_user }, "Action": "kms:*", "Resource": "*",
        });
        policy["Statement"].as_array_mut().unwrap().push(statement);
        policy
    }

    /// Wraps something and unwraps it again.
    async fn round_trip(&self) -> Result<(), leasehold_provider::ProviderError> {
        let session = self.provider.assume(&self.binding).await?.value;
        self.provider.check_deputy(&self.binding, &session).await?;
        self.provider.describe(&session).await?;
        let (header, context) = (HeaderDigest::from_bytes([0; 32]), EncryptionContext::empty());
        let context = WrapContext { purpose: Purpose::Dek, header: &header, context: &context };
        let key = PlaintextKey::generate(&self.world.arena, KeyLength::B32).unwrap();
        let wrapped = self.provider.wrap(&session, &key, &KeyVersion::none(), context).await?.value;
        assert!(self.provider.unwrap(&session, &wrapped, context).await?.value.matches(&key));
        Ok(())
    }

    async fn explained(&self, stage: Stage) -> leasehold_provider::Cause {
        let error = self.round_trip().await.unwrap_err();
        let failed = FailedStage { binding: &self.binding, own: None, stage, error: &error };
        let mut causes = self.provider.explain(&failed).await;
        assert_eq!(causes.len(), 1, "{causes:?}");
        causes.remove(0)
    }
}

#[tokio::test]
async fn a_key_of_the_platforms_own_is_used_as_ourselves() {
    let platform = Platform::new().await;
    assert_eq!(platform.provider.kind().as_str(), "operator");
    platform.round_trip().await.unwrap();
    assert!(platform.world.calls("AssumeRole").is_empty());
    assert!(platform.provider.hops(&platform.binding).is_empty());
    // Every proof asks who we are, with credentials loaded anew.
    assert_eq!(platform.world.calls("GetCallerIdentity").len(), 1);
    let own = platform.provider.own_identity().await.unwrap();
    let session = platform.provider.assume(&platform.binding).await.unwrap().value;
    let findings = platform.provider.inspect(&platform.binding, Some(&own), &session, Depth::Access).await;
    assert!(findings.iter().all(|finding| finding.verdict != Verdict::Failed), "{findings:?}");
}

#[tokio::test]
async fn p6_no_other_key_and_no_role_can_be_bound() {
    let platform = Platform::new().await;
    let other = new_key(&platform.world, platform.world.scenario.base_role.account.as_str(), json!({}));
    let role = json!({ "role_arn": "arn:aws:iam::200000000001:role/acme" });
    for bad in
        [binding("acme", &other.to_string(), &json!({})), binding("acme", &platform.key.to_string(), &role)]
    {
        assert_eq!(platform.provider.check(&bad).unwrap_err().fault(), &Fault::Misconfigured);
        assert_eq!(platform.provider.assume(&bad).await.unwrap_err().fault(), &Fault::Misconfigured);
    }
}

#[tokio::test]
async fn our_own_broken_identity_is_seen_as_that() {
    let platform = Platform::new().await;
    let id = &platform.world.scenario.access_key.access_key_id;
    platform.world.aws().set_access_key_active(id, false).unwrap();
    let error = platform.provider.assume(&platform.binding).await.unwrap_err();
    assert_eq!(error.fault(), &Fault::OwnIdentity);
    assert_eq!(platform.explained(Stage::Assume).await.reason, "OWN_CREDENTIALS_UNKNOWN");
}

#[tokio::test]
async fn the_operator_is_told_how_to_mend_it() {
    let platform = Platform::new().await;
    let (aws, key) = (platform.world.aws(), &platform.key);
    aws.set_key_policy(key, key_policy(key)).unwrap();
    let denied = platform.round_trip().await.unwrap_err();
    assert_eq!(denied.fault(), &Fault::Denied { edge: Edge::Key });
    let cause = platform.explained(Stage::Describe).await;
    assert_eq!(cause.reason, "OWN_KEY_NOT_ALLOWED");
    let mut policy = key_policy(key);
    policy["Statement"].as_array_mut().unwrap().push(written(&cause.mend, "key-statement.json"));
    aws.set_key_policy(key, policy).unwrap();
    platform.round_trip().await.unwrap();
    aws.set_key_state(key, KeyState::Disabled).unwrap();
    let unusable = platform.round_trip().await.unwrap_err();
    assert_eq!(unusable.fault(), &Fault::KeyUnusable(Unusable::Disabled));
    assert_eq!(platform.explained(Stage::Describe).await.reason, "KEY_DISABLED");
}

#[tokio::test]
async fn the_kit_says_that_the_tenant_cannot_revoke() {
    let platform = Platform::new().await;
    let own = platform.provider.own_identity().await.unwrap();
    let kit = platform.provider.onboarding_kit(&kit_request(&platform.binding, &own)).unwrap();
    let [section] = kit.sections.as_slice() else { panic!("one section") };
    assert_eq!(section.format, KitFormat::Text);
    assert!(section.body.contains("Nobody but the platform's operator can revoke"));
    assert!(kit.levers.is_empty() && kit.costs.usd_per_month == 0.0);
}

#[tokio::test]
async fn keys_that_cannot_be_used_are_refused_at_the_start() {
    let world = World::start().await;
    for key in ["alias/own", "arn:aws:kms:us-east-1:999988887777:key/k"] {
        let keys = vec![key.parse().unwrap()];
        let built = AwsProvider::build_operator(world.config(), keys, world.arena.clone()).await;
        assert!(matches!(built.unwrap_err(), AwsConfigError::BadOperatorKey { .. }), "{key}");
    }
}
