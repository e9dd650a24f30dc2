//! Operations of a key's owner.

use leasehold_cloudsim::aws::KeyState;
use serde_json::{Value, json};

use crate::client::{Credentials, World};

async fn ok(world: &World, by: &Credentials, operation: &str, input: Value) -> Value {
    let answer = world.kms(by, operation, input).await;
    assert_eq!(answer.status, 200, "{operation}: {}", answer.text);
    if answer.text.is_empty() { Value::Null } else { answer.json() }
}

#[tokio::test]
async fn a_key_goes_through_its_whole_life() {
    let world = World::start().await;
    let admin = world.admin(0);
    let made = ok(&world, &admin, "CreateKey", json!({"Description": "mine"})).await["KeyMetadata"].clone();
    let key = json!({"KeyId": made["KeyId"]});
    assert_eq!(
        (&made["KeyState"], &made["Enabled"], &made["KeyManager"]),
        (&json!("Enabled"), &json!(true), &json!("CUSTOMER"))
    );
    ok(&world, &admin, "CreateAlias", json!({"AliasName": "alias/mine", "TargetKeyId": made["KeyId"]})).await;
    let blob = world.encrypt(&admin, "alias/mine", json!({})).await;
    ok(&world, &admin, "DisableKey", key.clone()).await;
    assert_eq!(
        world.kms(&admin, "Decrypt", json!({"CiphertextBlob": blob})).await.code(),
        "DisabledException"
    );
    ok(&world, &admin, "EnableKey", key.clone()).await;
    let scheduled =
        ok(&world, &admin, "ScheduleKeyDeletion", json!({"KeyId": made["KeyId"], "PendingWindowInDays": 7}))
            .await;
    assert_eq!(scheduled["KeyState"], "PendingDeletion");
    assert_eq!(world.kms(&admin, "EnableKey", key.clone()).await.code(), "KMSInvalidStateException");
    ok(&world, &admin, "CancelKeyDeletion", key.clone()).await;
    let told = ok(&world, &admin, "DescribeKey", key.clone()).await;
    assert_eq!(told["KeyMetadata"]["KeyState"], "Disabled", "a rescued key has to be enabled again");
    ok(&world, &admin, "ScheduleKeyDeletion", key.clone()).await;
    world.control().advance(std::time::Duration::from_secs(31 * 86_400));
    assert_eq!(world.kms(&admin, "DescribeKey", key).await.code(), "NotFoundException");
}

#[tokio::test]
async fn rotation_keeps_older_ciphertexts_readable() {
    let world = World::start().await;
    let admin = world.admin(0);
    let key = json!({"KeyId": world.key(0)});
    let status = ok(&world, &admin, "GetKeyRotationStatus", key.clone()).await;
    assert_eq!(status["KeyRotationEnabled"], false);
    let enable = json!({"KeyId": world.key(0), "RotationPeriodInDays": 90});
    ok(&world, &admin, "EnableKeyRotation", enable).await;
    let status = ok(&world, &admin, "GetKeyRotationStatus", key.clone()).await;
    assert_eq!((&status["KeyRotationEnabled"], &status["RotationPeriodInDays"]), (&json!(true), &json!(90)));
    let older = world.encrypt(&admin, &world.key(0), json!({})).await;
    ok(&world, &admin, "RotateKeyOnDemand", key).await;
    let newer = world.encrypt(&admin, &world.key(0), json!({})).await;
    let older = ok(&world, &admin, "Decrypt", json!({"CiphertextBlob": older})).await;
    let newer = ok(&world, &admin, "Decrypt", json!({"CiphertextBlob": newer})).await;
    assert_eq!(older["Plaintext"], newer["Plaintext"]);
    assert_ne!(older["KeyMaterialId"], newer["KeyMaterialId"]);
}

#[tokio::test]
async fn policies_are_put_and_read_back_and_malformed_ones_refused() {
    let world = World::start().await;
    let admin = world.admin(0);
    let session = world.session(0).await;
    let root = world.scenario.tenants[0].account.root_arn();
    let statement = |action: &str| {
        json!({
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"AWS": root}, "Action": action, "Resource": "*"}],
        })
        .to_string()
    };
    let put =
        |policy: String| world.kms(&admin, "PutKeyPolicy", json!({"KeyId": world.key(0), "Policy": policy}));
    assert_eq!(put(statement("kms:*KeyPolicy")).await.status, 200);
    let refused =
        world.kms(&session, "GenerateDataKey", json!({"KeyId": world.key(0), "KeySpec": "AES_256"})).await;
    assert_eq!(refused.code(), "AccessDeniedException");
    let read = ok(&world, &admin, "GetKeyPolicy", json!({"KeyId": world.key(0)})).await;
    assert!(read["Policy"].as_str().unwrap().contains("kms:*KeyPolicy"));
    for malformed in ["{", "{\"Statement\": 7}"] {
        assert_eq!(put(malformed.to_owned()).await.code(), "MalformedPolicyDocumentException");
    }
    let lockout = put(statement("kms:Decrypt")).await;
    assert_eq!(lockout.code(), "MalformedPolicyDocumentException");
    assert!(lockout.text.contains("will not allow you to update the key policy"), "{}", lockout.text);
    assert_eq!(put(statement("kms:*")).await.status, 200);
    let allowed =
        world.kms(&session, "GenerateDataKey", json!({"KeyId": world.key(0), "KeySpec": "AES_256"})).await;
    assert_eq!(allowed.status, 200);
}

#[tokio::test]
async fn keys_and_aliases_are_listed_page_by_page_for_their_owner_alone() {
    let world = World::start().await;
    let admin = world.admin(0);
    for _ in 0..3 {
        ok(&world, &admin, "CreateKey", json!({})).await;
    }
    let mut seen = Vec::new();
    let mut marker = Value::Null;
    loop {
        let page = ok(&world, &admin, "ListKeys", json!({"Limit": 3, "Marker": marker})).await;
        seen.extend(page["Keys"].as_array().unwrap().iter().map(|key| key["KeyArn"].to_string()));
        marker = page["NextMarker"].clone();
        if page["Truncated"] == false {
            break;
        }
    }
    seen.dedup();
    assert_eq!(seen.len(), 4);
    assert!(!seen.iter().any(|arn| arn.contains("200000000002")));
    let aliases = ok(&world, &admin, "ListAliases", json!({})).await;
    assert_eq!(aliases["Aliases"][0]["AliasName"], "alias/acme");
    assert_eq!(
        world.kms(&world.session(0).await, "ListKeys", json!({})).await.code(),
        "AccessDeniedException"
    );
}

#[tokio::test]
async fn a_key_in_an_external_store_has_no_rotation_and_fails_as_its_proxy_does() {
    let world = World::start().await;
    let admin = world.admin(0);
    let made =
        ok(&world, &admin, "CreateKey", json!({"Origin": "EXTERNAL_KEY_STORE"})).await["KeyMetadata"].clone();
    let key = json!({"KeyId": made["KeyId"]});
    assert_eq!(
        world.kms(&admin, "GetKeyRotationStatus", key.clone()).await.code(),
        "UnsupportedOperationException"
    );
    let arn = serde_json::from_value(made["Arn"].clone()).unwrap();
    world.aws().set_key_state(&arn, KeyState::ExternalTimeout).unwrap();
    let refused =
        world.kms(&admin, "GenerateDataKey", json!({"KeyId": made["KeyId"], "KeySpec": "AES_256"})).await;
    assert_eq!(refused.code(), "KMSInvalidStateException");
    assert!(refused.text.contains("external key store proxy"), "{}", refused.text);
}
