//! Key policies, identity policies, boundaries and the edits of a tenant's administrator.

use std::collections::BTreeMap;

use leasehold_cloudsim::aws::edits::Edit;
use serde_json::json;

use crate::client::World;

#[tokio::test]
async fn a_deny_in_the_key_policy_stops_a_live_session_and_undoing_it_lets_it_go_on() {
    let world = World::start().await;
    let session = world.session(0).await;
    let input = json!({"KeyId": world.key(0), "KeySpec": "AES_256"});
    let edit = world
        .aws()
        .edit(Edit::KeyDeny {
            key: world.scenario.tenants[0].key.clone(),
            principal: world.role(0),
            actions: Vec::new(),
            encryption_context: BTreeMap::new(),
        })
        .unwrap();
    let refused = world.kms(&session, "GenerateDataKey", input.clone()).await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "AccessDeniedException"));
    assert!(refused.text.contains("with an explicit deny in a resource-based policy"), "{}", refused.text);
    assert!(world.assume(&world.user(), &world.role(0), &[]).await.status == 200, "the trust edge is open");
    world.aws().undo(edit).unwrap();
    assert_eq!(world.kms(&session, "GenerateDataKey", input).await.status, 200);
    assert!(world.aws().undo(edit).is_err(), "an edit is undone once");
}

#[tokio::test]
async fn one_encryption_context_can_be_denied_alone() {
    let world = World::start().await;
    let session = world.session(0).await;
    let secret = world.encrypt(&session, &world.key(0), json!({"branch": "secret"})).await;
    let main = world.encrypt(&session, &world.key(0), json!({"branch": "main"})).await;
    let key = world.scenario.tenants[0].key.clone();
    let encryption_context = BTreeMap::from([("branch".to_owned(), "secret".to_owned())]);
    let edit = Edit::KeyDeny { key, principal: world.role(0), actions: Vec::new(), encryption_context };
    world.aws().edit(edit).unwrap();
    let decrypt = |blob, branch: &str| {
        world.kms(
            &session,
            "Decrypt",
            json!({"CiphertextBlob": blob, "KeyId": world.key(0), "EncryptionContext": {"branch": branch}}),
        )
    };
    assert_eq!(decrypt(secret, "secret").await.code(), "AccessDeniedException");
    assert_eq!(decrypt(main, "main").await.status, 200);
}

#[tokio::test]
async fn roles_need_their_own_policies_and_stay_within_their_boundary() {
    let world = World::start().await;
    let session = world.session(0).await;
    let role = &world.scenario.tenants[0].role;
    let input = json!({"KeyId": world.key(0), "KeySpec": "AES_256"});
    let boundary = json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "kms:Describe*", "Resource": "*"}],
    });
    world.aws().set_boundary(role, Some(boundary)).unwrap();
    let refused = world.kms(&session, "GenerateDataKey", input.clone()).await;
    assert!(refused.text.contains("no permissions boundary allows"), "{}", refused.text);
    assert_eq!(world.kms(&session, "DescribeKey", json!({"KeyId": world.key(0)})).await.status, 200);
    world.aws().set_boundary(role, None).unwrap();
    let edit = world.aws().edit(Edit::RoleDetachPolicies { role: role.clone() }).unwrap();
    let refused = world.kms(&session, "GenerateDataKey", input.clone()).await;
    assert!(
        refused.text.contains("no identity-based policy allows the kms:GenerateDataKey action"),
        "{}",
        refused.text
    );
    world.aws().undo(edit).unwrap();
    assert_eq!(world.kms(&session, "GenerateDataKey", input).await.status, 200);
}

#[tokio::test]
async fn revoking_older_sessions_spares_those_issued_later() {
    let world = World::start().await;
    let older = world.session(0).await;
    world.control().advance(std::time::Duration::from_secs(2));
    world.aws().edit(Edit::RevokeOlderSessions { role: world.scenario.tenants[0].role.clone() }).unwrap();
    world.control().advance(std::time::Duration::from_secs(2));
    let newer = world.session(0).await;
    let input = json!({"KeyId": world.key(0)});
    assert_eq!(world.kms(&older, "DescribeKey", input.clone()).await.code(), "AccessDeniedException");
    assert_eq!(world.kms(&newer, "DescribeKey", input).await.status, 200);
}

#[tokio::test]
async fn a_tenants_session_cannot_use_another_tenants_key_without_both_sides_saying_so() {
    let world = World::start().await;
    let session = world.session(0).await;
    let input = json!({"KeyId": world.key(1), "KeySpec": "AES_256"});
    let refused = world.kms(&session, "GenerateDataKey", input.clone()).await;
    assert_eq!(refused.code(), "AccessDeniedException");
    let open = json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": world.role(0)}, "Action": "kms:*", "Resource": "*"}],
    });
    world.aws().set_key_policy(&world.scenario.tenants[1].key, open).unwrap();
    let refused = world.kms(&session, "GenerateDataKey", input.clone()).await;
    assert!(refused.text.contains("no identity-based policy allows"), "{}", refused.text);
    let everything = json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}],
    });
    let policies = BTreeMap::from([("everything".to_owned(), everything)]);
    world.aws().set_identity_policies(&world.scenario.tenants[0].role, policies).unwrap();
    assert_eq!(world.kms(&session, "GenerateDataKey", input).await.status, 200);
}
