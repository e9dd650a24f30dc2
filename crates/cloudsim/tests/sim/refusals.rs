//! What AWS says when it refuses: which policy it was, where the caller may know.

use std::collections::BTreeMap;

use leasehold_cloudsim::aws::edits::Edit;
use serde_json::{Value, json};

use crate::client::World;

fn policy(effect: &str, action: &str) -> Value {
    let statement = json!({ "Effect": effect, "Action": action, "Resource": "*" });
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}

#[tokio::test]
async fn an_assume_is_told_which_policy_of_its_own_account_stands_in_the_way() {
    let world = World::start().await;
    let base = &world.scenario.base_role;
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Principal": { "AWS": base.to_string() }, "Action": "sts:AssumeRole" }],
    });
    world.aws().set_trust_policy(&world.scenario.tenants[0].role, trust).unwrap();
    let trust_user = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow", "Principal": { "AWS": world.scenario.base_user }, "Action": "sts:AssumeRole",
        }],
    });
    world.aws().set_trust_policy(base, trust_user).unwrap();
    let ours = world.assume(&world.user(), &base.to_string(), &[]).await.credentials();
    let told = |answer: &crate::client::Answer| {
        assert_eq!(answer.code(), "AccessDenied", "{}", answer.text);
        answer.element("Message").rsplit_once("leasehold-access").unwrap().1.trim().to_owned()
    };
    assert_eq!(world.assume(&ours, &world.role(0), &[]).await.status, 200);
    world.aws().set_identity_policies(base, BTreeMap::new()).unwrap();
    let refused = world.assume(&ours, &world.role(0), &[]).await;
    assert_eq!(told(&refused), "because no identity-based policy allows the sts:AssumeRole action");
    let denies = BTreeMap::from([("deny".to_owned(), policy("Deny", "sts:*"))]);
    world.aws().set_identity_policies(base, denies).unwrap();
    let refused = world.assume(&ours, &world.role(0), &[]).await;
    assert_eq!(told(&refused), "with an explicit deny in an identity-based policy");
    world.aws().set_service_control_policy(&base.account, Some(policy("Allow", "kms:*"))).unwrap();
    let refused = world.assume(&ours, &world.role(0), &[]).await;
    assert_eq!(told(&refused), "with an explicit deny in an identity-based policy", "a deny is said first");
    world.aws().set_identity_policies(base, BTreeMap::new()).unwrap();
    let refused = world.assume(&ours, &world.role(0), &[]).await;
    assert_eq!(told(&refused), "because no service control policy allows the sts:AssumeRole action");
}

#[tokio::test]
async fn what_a_trust_policy_says_is_told_within_its_account_only() {
    let world = World::start().await;
    let role = world.scenario.tenants[0].role.clone();
    world.aws().edit(Edit::TrustDenyPrincipal { role, principal: "*".to_owned() }).unwrap();
    let foreign = world.assume(&world.user(), &world.role(0), &[]).await;
    assert!(foreign.element("Message").ends_with("role/leasehold-access"), "{}", foreign.text);
    let own = world.assume(&world.admin(0), &world.role(0), &[]).await;
    let words = "with an explicit deny in the role trust policy";
    assert!(own.element("Message").ends_with(words), "{}", own.text);
}

#[tokio::test]
async fn a_service_control_policy_binds_the_whole_account() {
    let world = World::start().await;
    let session = world.session(0).await;
    let account = world.scenario.tenants[0].account.clone();
    let describe = || world.kms(&session, "DescribeKey", json!({ "KeyId": world.key(0) }));
    assert_eq!(describe().await.status, 200);
    world.aws().set_service_control_policy(&account, Some(policy("Allow", "s3:*"))).unwrap();
    let words = "because no service control policy allows the kms:DescribeKey action";
    assert!(describe().await.text.contains(words));
    let denial = json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": "*", "Resource": "*" },
            { "Effect": "Deny", "Action": "kms:*", "Resource": "*" },
        ],
    });
    world.aws().set_service_control_policy(&account, Some(denial)).unwrap();
    assert!(describe().await.text.contains("with an explicit deny in a service control policy"));
    world.aws().set_service_control_policy(&account, None).unwrap();
    assert_eq!(describe().await.status, 200);
    let malformed = json!({ "Statement": [{ "Effect": "Perhaps" }] });
    assert!(world.aws().set_service_control_policy(&account, Some(malformed)).is_err());
}

#[tokio::test]
async fn a_grant_can_be_asked_for_as_a_dry_run_and_is_never_made() {
    let world = World::start().await;
    let session = world.session(0).await;
    let mut input = json!({
        "KeyId": world.key(0), "GranteePrincipal": world.role(0), "Operations": ["Decrypt"], "DryRun": true,
    });
    let refused = world.kms(&session, "CreateGrant", input.clone()).await;
    assert_eq!(refused.code(), "AccessDeniedException");
    let admin = world.admin(0);
    assert_eq!(world.kms(&admin, "CreateGrant", input.clone()).await.code(), "DryRunOperationException");
    input["DryRun"] = json!(false);
    assert_eq!(world.kms(&admin, "CreateGrant", input).await.code(), "UnsupportedOperationException");
}
