//! AssumeRole and GetCallerIdentity.

use leasehold_cloudsim::aws::edits::Edit;
use leasehold_cloudsim::log::{CallDecision, CallQuery};
use serde_json::json;

use crate::client::World;

#[tokio::test]
async fn a_role_is_assumed_only_under_its_external_id() {
    let world = World::start().await;
    let user = world.user();
    let assumed = world.assume(&user, &world.role(0), &[]).await;
    assert_eq!(assumed.status, 200, "{}", assumed.text);
    assert_eq!(
        assumed.element("Arn"),
        "arn:aws:sts::200000000001:assumed-role/leasehold-access/leasehold-test"
    );
    for wrong in ["", "lh-external-2"] {
        let refused = world.assume(&user, &world.role(0), &[("ExternalId", wrong)]).await;
        assert_eq!((refused.status, refused.code().as_str()), (403, "AccessDenied"));
    }
}

#[tokio::test]
async fn the_identity_of_users_and_sessions_is_told_without_any_permission() {
    let world = World::start().await;
    let user = world.sts(&world.user(), &[("Action", "GetCallerIdentity")]).await;
    assert_eq!(user.element("Arn"), world.scenario.base_user);
    let session = world.session(0).await;
    let session = world.sts(&session, &[("Action", "GetCallerIdentity")]).await;
    assert_eq!(session.element("Account"), "200000000001");
    assert!(session.element("UserId").starts_with("AROA"));
}

#[tokio::test]
async fn a_trust_policy_edit_blocks_new_sessions_and_leaves_existing_ones() {
    let world = World::start().await;
    let session = world.session(0).await;
    let principal = world.scenario.base_role.account.root_arn();
    let role = world.scenario.tenants[0].role.clone();
    let edit = world.aws().edit(Edit::TrustRemovePrincipal { role, principal }).unwrap();
    assert_eq!(world.assume(&world.user(), &world.role(0), &[]).await.code(), "AccessDenied");
    let described = world.kms(&session, "DescribeKey", json!({"KeyId": world.key(0)})).await;
    assert_eq!(described.status, 200, "{}", described.text);
    assert_eq!(
        world.assume(&world.user(), &world.role(1), &[]).await.status,
        200,
        "another tenant is untouched"
    );
    world.aws().undo(edit).unwrap();
    assert_eq!(world.assume(&world.user(), &world.role(0), &[]).await.status, 200);
}

#[tokio::test]
async fn a_role_that_does_not_exist_is_refused_like_one_that_does_not_trust() {
    let world = World::start().await;
    let refused = world.assume(&world.user(), "arn:aws:iam::200000000001:role/nobody", &[]).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "AccessDenied"));
    let denied =
        world.control().calls(&CallQuery { decision: Some(CallDecision::Denied), ..CallQuery::default() });
    assert_eq!(denied.len(), 1);
    assert_eq!(denied[0].reason.as_deref(), Some("no such role"));
}

#[tokio::test]
async fn parameters_outside_their_constraints_are_refused_in_the_words_of_sts() {
    let world = World::start().await;
    let long = "x".repeat(65);
    let cases = [
        ("RoleSessionName", "has space", "regular expression pattern"),
        ("RoleSessionName", "x", "greater than or equal to 2"),
        ("RoleSessionName", &long, "less than or equal to 64"),
        ("DurationSeconds", "899", "greater than or equal to 900"),
        ("DurationSeconds", "43201", "less than or equal to 43200"),
        ("DurationSeconds", "3601", "MaxSessionDuration"),
        ("ExternalId", "?!", "regular expression pattern"),
        ("RoleArn", "arn:aws:iam::200000000001:user/x", "is invalid"),
    ];
    for (name, value, words) in cases {
        let refused = world.assume(&world.user(), &world.role(0), &[(name, value)]).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "ValidationError"), "{name}={value}");
        assert!(refused.element("Message").contains(words), "{}", refused.text);
    }
    let broken = world.assume(&world.user(), &world.role(0), &[("Policy", "{")]).await;
    assert_eq!(broken.code(), "MalformedPolicyDocument");
}

#[tokio::test]
async fn a_session_policy_narrows_what_the_role_may_do() {
    let world = World::start().await;
    let only_describe = json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "kms:DescribeKey", "Resource": "*"}],
    });
    let narrowed =
        world.assume(&world.user(), &world.role(0), &[("Policy", &only_describe.to_string())]).await;
    assert!(narrowed.element("PackedPolicySize").parse::<u32>().unwrap() > 0);
    let narrowed = narrowed.credentials();
    assert_eq!(world.kms(&narrowed, "DescribeKey", json!({"KeyId": world.key(0)})).await.status, 200);
    let refused =
        world.kms(&narrowed, "GenerateDataKey", json!({"KeyId": world.key(0), "KeySpec": "AES_256"})).await;
    assert_eq!(refused.code(), "AccessDeniedException");
}
