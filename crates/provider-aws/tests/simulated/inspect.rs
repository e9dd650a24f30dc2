//! What an inspection sees of bindings that work.

use std::collections::BTreeMap;

use leasehold_provider::{Depth, Finding, KeyProvider, Verdict};
use leasehold_provider_aws::AwsProvider;
use serde_json::json;

use crate::tenant::{Tenant, key_policy};
use crate::world::World;

async fn inspect(provider: &AwsProvider, tenant: &Tenant, depth: Depth) -> Vec<Finding> {
    let own = provider.own_identity().await.unwrap();
    let session = provider.assume(&tenant.binding).await.unwrap().value;
    provider.inspect(&tenant.binding, Some(&own), &session, depth).await
}

fn verdicts(findings: &[Finding]) -> Vec<(&str, Verdict)> {
    findings.iter().map(|finding| (finding.check, finding.verdict)).collect()
}

#[tokio::test]
async fn a_key_that_does_not_rotate_is_warned_about_and_the_advice_mends_it() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::onboard(&world, &provider, "acme", "200000000001").await;
    let findings = inspect(&provider, &tenant, Depth::Access).await;
    assert_eq!(
        verdicts(&findings),
        [
            ("ROTATION", Verdict::Warning),
            ("KEY_MATERIAL", Verdict::Passed),
            ("REPLICAS", Verdict::Passed),
            ("REGION", Verdict::Passed),
        ]
    );
    assert_eq!(findings[0].causes[0].reason, "ROTATION_OFF");
    assert!(
        findings[0].causes[0]
            .mend
            .contains(&format!("enable-key-rotation --region eu-central-1 --key-id {}", tenant.key))
    );
}

#[tokio::test]
async fn a_key_in_another_region_is_warned_about() {
    let world = World::start().await;
    let mut config = world.config();
    config.region = Some("us-east-1".parse().unwrap());
    config.allowed_regions = vec!["eu-central-1".parse().unwrap()];
    let provider = AwsProvider::build(config, world.arena.clone()).await.unwrap();
    let tenant = Tenant::onboard(&world, &provider, "acme", "200000000001").await;
    let findings = inspect(&provider, &tenant, Depth::Access).await;
    let region = findings.iter().find(|finding| finding.check == "REGION").unwrap();
    assert_eq!(region.verdict, Verdict::Warning);
    assert!(region.detail.contains("eu-central-1") && region.detail.contains("us-east-1"));
}

#[tokio::test]
async fn what_the_kit_gives_is_no_excess() {
    let world = World::start().await;
    let provider = world.provider().await;
    for role in ["arn:aws:iam::200000000001:role/acme", "arn:aws:iam::300000000003:role/elsewhere"] {
        let extra = json!({ "role_arn": role });
        let tenant = Tenant::onboard_with(&world, &provider, "acme", "200000000001", &extra).await;
        let findings = inspect(&provider, &tenant, Depth::ExcessPermissions).await;
        assert_eq!(findings.last().unwrap().check, "EXCESS_PERMISSIONS");
        assert_eq!(findings.last().unwrap().verdict, Verdict::Passed, "{findings:?}");
    }
}

#[tokio::test]
async fn a_role_that_may_do_more_is_warned_about_without_doing_any_of_it() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::onboard(&world, &provider, "acme", "200000000001").await;
    let everything = json!({ "Effect": "Allow", "Action": "kms:*", "Resource": "*" });
    let document = json!({ "Version": "2012-10-17", "Statement": [everything] });
    let policies = BTreeMap::from([("too-much".to_owned(), document)]);
    world.aws().set_identity_policies(tenant.role(), policies).unwrap();
    world.aws().set_key_policy(&tenant.key, key_policy(&tenant.key)).unwrap();
    let findings = inspect(&provider, &tenant, Depth::ExcessPermissions).await;
    let excess = findings.last().unwrap();
    assert_eq!(excess.verdict, Verdict::Warning);
    for action in ["kms:GetKeyPolicy", "kms:ListKeys", "kms:ListAliases", "kms:CreateGrant", "kms:ReEncrypt"]
    {
        assert!(excess.detail.contains(action), "{}", excess.detail);
    }
    for operation in ["CreateGrant", "ReEncrypt"] {
        let calls = world.calls(operation);
        assert!(!calls.is_empty());
        assert!(
            calls.iter().all(|call| call.facts.parameters.get("dryRun").is_some_and(|dry| dry == "true"))
        );
    }
    assert!(!findings.iter().any(|finding| finding.verdict == Verdict::Skipped), "{findings:?}");
}
