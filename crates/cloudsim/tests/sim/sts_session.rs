//! Session tags, source identity and role chains.

use leasehold_cloudsim::aws::arn::RoleArn;
use serde_json::{Value, json};

use crate::client::World;

/// Makes a role of the second tenant that trusts the first tenant's role.
fn second_hop(world: &World, actions: Value) -> String {
    let arn: RoleArn = "arn:aws:iam::200000000002:role/inner".parse().unwrap();
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": world.role(0)}, "Action": actions}],
    });
    let spec = serde_json::from_value(json!({"trust_policy": trust, "max_session_seconds": 43200})).unwrap();
    world.aws().put_role(&arn, spec).unwrap();
    let assume = json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "sts:*", "Resource": "*"}],
    });
    let policies = [("assume".to_owned(), assume)].into();
    world.aws().set_identity_policies(&world.scenario.tenants[0].role, policies).unwrap();
    arn.to_string()
}

const TAG: [(&str, &str); 3] = [
    ("Tags.member.1.Key", "project"),
    ("Tags.member.1.Value", "blue"),
    ("TransitiveTagKeys.member.1", "project"),
];

#[tokio::test]
async fn a_chain_is_limited_to_one_hour_whatever_its_roles_allow() {
    let world = World::start().await;
    let inner = second_hop(&world, json!("sts:AssumeRole"));
    let session = world.session(0).await;
    assert_eq!(world.assume(&session, &inner, &[("DurationSeconds", "3600")]).await.status, 200);
    let refused = world.assume(&session, &inner, &[("DurationSeconds", "3601")]).await;
    assert_eq!(refused.code(), "ValidationError");
    assert!(refused.element("Message").contains("role chaining"));
}

#[tokio::test]
async fn session_tags_need_the_right_to_tag_on_every_hop_they_travel() {
    let world = World::start().await;
    let inner = second_hop(&world, json!("sts:AssumeRole"));
    let tagged = world.assume(&world.user(), &world.role(0), &TAG).await;
    assert_eq!(tagged.status, 200, "{}", tagged.text);
    let tagged = tagged.credentials();
    let refused = world.assume(&tagged, &inner, &[]).await;
    assert_eq!(refused.code(), "AccessDenied");
    assert!(refused.element("Message").contains("sts:TagSession"));
    let inner = second_hop(&world, json!(["sts:AssumeRole", "sts:TagSession"]));
    assert_eq!(world.assume(&tagged, &inner, &[]).await.status, 200);
    let conflict = world.assume(&tagged, &inner, &TAG).await;
    assert_eq!(conflict.code(), "InvalidParameterValue", "an inherited tag cannot be set again");
}

#[tokio::test]
async fn tags_become_conditions_on_the_principal() {
    let world = World::start().await;
    let key = &world.scenario.tenants[0].key;
    let root = world.scenario.tenants[0].account.root_arn();
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"AWS": root},
            "Action": "kms:*",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:PrincipalTag/project": "blue"}},
        }],
    });
    world.aws().set_key_policy(key, policy).unwrap();
    let untagged = world.session(0).await;
    let tagged = world.assume(&world.user(), &world.role(0), &TAG).await.credentials();
    let input = json!({"KeyId": world.key(0)});
    assert_eq!(world.kms(&untagged, "DescribeKey", input.clone()).await.code(), "AccessDeniedException");
    assert_eq!(world.kms(&tagged, "DescribeKey", input).await.status, 200);
}

#[tokio::test]
async fn a_source_identity_needs_its_own_right_and_stays_with_the_chain() {
    let world = World::start().await;
    let source = [("SourceIdentity", "alice")];
    let refused = world.assume(&world.user(), &world.role(0), &source).await;
    assert!(refused.element("Message").contains("sts:SetSourceIdentity"), "{}", refused.text);
    let root = world.scenario.base_role.account.root_arn();
    let actions = json!(["sts:AssumeRole", "sts:SetSourceIdentity"]);
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": root}, "Action": actions}],
    });
    world.aws().set_trust_policy(&world.scenario.tenants[0].role, trust).unwrap();
    let set = world.assume(&world.user(), &world.role(0), &source).await;
    assert_eq!(set.element("SourceIdentity"), "alice");
    let inner = second_hop(&world, actions);
    let set = set.credentials();
    assert_eq!(world.assume(&set, &inner, &[]).await.element("SourceIdentity"), "alice");
    assert_eq!(world.assume(&set, &inner, &[("SourceIdentity", "bob")]).await.code(), "AccessDenied");
}

#[tokio::test]
async fn too_much_policy_and_tags_is_refused_with_the_percentage() {
    let world = World::start().await;
    let long = "v".repeat(256);
    let names: Vec<String> = (1..=20).map(|n| format!("Tags.member.{n}.Key")).collect();
    let values: Vec<String> = (1..=20).map(|n| format!("Tags.member.{n}.Value")).collect();
    let keys: Vec<String> = (1..=20).map(|n| format!("key{n}")).collect();
    let mut more: Vec<(&str, &str)> =
        names.iter().map(String::as_str).zip(keys.iter().map(String::as_str)).collect();
    more.extend(values.iter().map(|name| (name.as_str(), long.as_str())));
    let refused = world.assume(&world.user(), &world.role(0), &more).await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "PackedPolicyTooLarge"));
}
