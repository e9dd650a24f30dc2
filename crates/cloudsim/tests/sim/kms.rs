//! Operations that use keys.

use leasehold_cloudsim::aws::{KeySpec, KeyState, KeyUsage};
use leasehold_cloudsim::control::KeyInput;
use leasehold_cloudsim::log::{CallMatch, CallQuery};
use serde_json::{Value, json};

use crate::client::{Signing, World};

fn key_input(world: &World, spec: KeySpec, usage: Option<KeyUsage>) -> KeyInput {
    serde_json::from_value(json!({
        "account": world.scenario.tenants[0].account,
        "region": "eu-central-1",
        "spec": spec,
        "usage": usage,
        "policy": {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"}],
        },
    }))
    .unwrap()
}

#[tokio::test]
async fn what_was_encrypted_is_decrypted_only_under_the_same_context() {
    let world = World::start().await;
    let session = world.session(0).await;
    let blob = world.encrypt(&session, &world.key(0), json!({"branch": "main", "tenant": "acme"})).await;
    let decrypt = |context: Value| {
        world.kms(
            &session,
            "Decrypt",
            json!({"CiphertextBlob": blob, "KeyId": world.key(0), "EncryptionContext": context}),
        )
    };
    let opened = decrypt(json!({"tenant": "acme", "branch": "main"})).await;
    assert_eq!(opened.json()["Plaintext"], "aGVsbG8=");
    assert_eq!(opened.json()["KeyId"], world.key(0).as_str());
    for other in [json!({}), json!({"branch": "main"}), json!({"branch": "mainacme", "tenant": ""})] {
        assert_eq!(decrypt(other).await.code(), "InvalidCiphertextException");
    }
}

#[tokio::test]
async fn a_changed_ciphertext_is_refused_at_every_byte() {
    let world = World::start().await;
    let session = world.session(0).await;
    let blob = world.encrypt(&session, &world.key(0), json!({})).await;
    let blob = data_encoding::BASE64.decode(blob.as_str().unwrap().as_bytes()).unwrap();
    for index in 0..blob.len() {
        let mut changed = blob.clone();
        changed[index] ^= 1;
        let input = json!({"CiphertextBlob": data_encoding::BASE64.encode(&changed), "KeyId": world.key(0)});
        assert_eq!(
            world.kms(&session, "Decrypt", input).await.code(),
            "InvalidCiphertextException",
            "{index}"
        );
    }
}

#[tokio::test]
async fn data_keys_have_the_length_asked_for_and_open_again() {
    let world = World::start().await;
    let session = world.session(0).await;
    for (length, bytes) in [
        (json!({"KeySpec": "AES_256"}), 32),
        (json!({"KeySpec": "AES_128"}), 16),
        (json!({"NumberOfBytes": 64}), 64),
    ] {
        let mut input = length;
        input["KeyId"] = world.key(0).into();
        let made = world.kms(&session, "GenerateDataKey", input.clone()).await.json();
        let plaintext = made["Plaintext"].as_str().unwrap();
        assert_eq!(data_encoding::BASE64.decode(plaintext.as_bytes()).unwrap().len(), bytes);
        let opened =
            world.kms(&session, "Decrypt", json!({"CiphertextBlob": made["CiphertextBlob"]})).await.json();
        assert_eq!(opened["Plaintext"], plaintext);
        let without = world.kms(&session, "GenerateDataKeyWithoutPlaintext", input).await.json();
        assert!(without.get("Plaintext").is_none() && without.get("CiphertextBlob").is_some());
    }
    for wrong in [
        json!({}),
        json!({"KeySpec": "AES_256", "NumberOfBytes": 1}),
        json!({"NumberOfBytes": 1025}),
        json!({"KeySpec": "DES"}),
    ] {
        let mut input = wrong;
        input["KeyId"] = world.key(0).into();
        assert_eq!(world.kms(&session, "GenerateDataKey", input).await.code(), "ValidationException");
    }
}

#[tokio::test]
async fn plaintexts_are_1_to_4096_bytes() {
    let world = World::start().await;
    let session = world.session(0).await;
    for (bytes, status) in [(0, 400), (1, 200), (4096, 200), (4097, 400)] {
        let plaintext = data_encoding::BASE64.encode(&vec![7; bytes]);
        let answer =
            world.kms(&session, "Encrypt", json!({"KeyId": world.key(0), "Plaintext": plaintext})).await;
        assert_eq!(answer.status, status, "{bytes}");
    }
}

#[tokio::test]
async fn each_key_state_is_answered_with_its_own_error_and_told_by_describe_key() {
    let world = World::start().await;
    let session = world.session(0).await;
    let key = &world.scenario.tenants[0].key;
    let blob = world.encrypt(&session, &world.key(0), json!({})).await;
    let cases = [
        (KeyState::Disabled, "DisabledException", "Disabled"),
        (KeyState::PendingDeletion, "KMSInvalidStateException", "PendingDeletion"),
        (KeyState::PendingImport, "KMSInvalidStateException", "PendingImport"),
        (KeyState::Unavailable, "KMSInvalidStateException", "Unavailable"),
        (KeyState::ExternalTimeout, "KMSInvalidStateException", "Enabled"),
    ];
    for (state, code, reported) in cases {
        world.aws().set_key_state(key, state).unwrap();
        let refused =
            world.kms(&session, "Decrypt", json!({"CiphertextBlob": blob, "KeyId": world.key(0)})).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, code), "{state:?}");
        let refused = world
            .kms(&session, "GenerateDataKey", json!({"KeyId": world.key(0), "KeySpec": "AES_256"}))
            .await;
        assert_eq!(refused.code(), code, "{state:?}");
        let told = world.kms(&session, "DescribeKey", json!({"KeyId": world.key(0)})).await.json();
        assert_eq!(told["KeyMetadata"]["KeyState"], reported);
    }
    world.aws().set_key_state(key, KeyState::Enabled).unwrap();
    let opened = world.kms(&session, "Decrypt", json!({"CiphertextBlob": blob})).await;
    assert_eq!(opened.status, 200);
}

#[tokio::test]
async fn keys_answer_to_their_id_arn_alias_and_alias_arn_and_to_nothing_else() {
    let world = World::start().await;
    let key = world.scenario.tenants[0].key.clone();
    let admin = world.admin(0);
    let alias_arn = "arn:aws:kms:eu-central-1:200000000001:alias/acme";
    for name in [key.id.as_str(), &key.to_string(), "alias/acme", alias_arn] {
        let told = world.kms(&admin, "DescribeKey", json!({"KeyId": name})).await;
        assert_eq!(told.json()["KeyMetadata"]["Arn"], key.to_string(), "{name}");
    }
    let elsewhere = key.to_string().replace("eu-central-1", "us-east-1");
    for name in ["alias/nothing", "00000000-0000-0000-0000-000000000000", &elsewhere, "no such/name"] {
        let refused = world.kms(&admin, "DescribeKey", json!({"KeyId": name})).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "NotFoundException"), "{name}");
    }
    let abroad = Signing { region: "us-east-1".to_owned(), ..Signing::of("kms") };
    let input = json!({"KeyId": key.to_string()}).to_string().into_bytes();
    let refused = world.send(&admin, &abroad, Some("DescribeKey"), input).await;
    assert_eq!(refused.json()["message"], "Invalid arn eu-central-1");
}

#[tokio::test]
async fn another_accounts_missing_key_is_not_told_from_a_forbidden_one() {
    let world = World::start().await;
    let session = world.session(0).await;
    let missing = "arn:aws:kms:eu-central-1:200000000002:key/00000000-0000-0000-0000-000000000000";
    for key in [missing, &world.key(1)] {
        let refused = world.kms(&session, "DescribeKey", json!({"KeyId": key})).await;
        assert_eq!(refused.code(), "AccessDeniedException", "{}", refused.text);
    }
}

#[tokio::test]
async fn decrypt_refuses_a_ciphertext_of_another_key() {
    let world = World::start().await;
    let admin = world.admin(0);
    let other =
        world.aws().create_key(key_input(&world, KeySpec::SYMMETRIC_DEFAULT, None)).unwrap().to_string();
    let blob = world.encrypt(&admin, &other, json!({})).await;
    let refused = world.kms(&admin, "Decrypt", json!({"CiphertextBlob": blob, "KeyId": world.key(0)})).await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "IncorrectKeyException"));
    // Without a name the ciphertext decides, and who may not use its key is not told which it is.
    assert_eq!(world.kms(&admin, "Decrypt", json!({"CiphertextBlob": blob})).await.status, 200);
    let foreign = world.encrypt(&world.admin(1), &world.key(1), json!({})).await;
    let refused = world.kms(&admin, "Decrypt", json!({"CiphertextBlob": foreign})).await;
    assert_eq!(refused.code(), "AccessDeniedException");
    assert!(refused.text.contains("The ciphertext refers to") && !refused.text.contains(&world.key(1)));
}

#[tokio::test]
async fn asymmetric_and_mac_keys_do_not_wrap() {
    let world = World::start().await;
    let admin = world.admin(0);
    for (spec, usage) in [
        (KeySpec::RSA_2048, None),
        (KeySpec::RSA_2048, Some(KeyUsage::SignVerify)),
        (KeySpec::ECC_NIST_P256, None),
        (KeySpec::HMAC_256, None),
    ] {
        let key = world.aws().create_key(key_input(&world, spec, usage)).unwrap().to_string();
        for (operation, input) in [
            ("Encrypt", json!({"KeyId": key, "Plaintext": "aGVsbG8="})),
            ("GenerateDataKey", json!({"KeyId": key, "KeySpec": "AES_256"})),
        ] {
            let refused = world.kms(&admin, operation, input).await;
            assert_eq!(refused.code(), "InvalidKeyUsageException", "{spec:?} {operation}");
        }
    }
}

#[tokio::test]
async fn re_encrypt_moves_a_ciphertext_to_another_key_and_context() {
    let world = World::start().await;
    let admin = world.admin(0);
    let other =
        world.aws().create_key(key_input(&world, KeySpec::SYMMETRIC_DEFAULT, None)).unwrap().to_string();
    let blob = world.encrypt(&admin, &world.key(0), json!({"a": "1"})).await;
    let moved = world
        .kms(
            &admin,
            "ReEncrypt",
            json!({
                "CiphertextBlob": blob,
                "SourceEncryptionContext": {"a": "1"},
                "DestinationKeyId": other,
                "DestinationEncryptionContext": {"b": "2"},
            }),
        )
        .await
        .json();
    assert_eq!((&moved["SourceKeyId"], &moved["KeyId"]), (&json!(world.key(0)), &json!(other)));
    let input =
        json!({"CiphertextBlob": moved["CiphertextBlob"], "KeyId": other, "EncryptionContext": {"b": "2"}});
    assert_eq!(world.kms(&admin, "Decrypt", input).await.json()["Plaintext"], "aGVsbG8=");
}

#[tokio::test]
async fn a_dry_run_tells_permission_from_refusal_and_never_works() {
    let world = World::start().await;
    let session = world.session(0).await;
    let key = &world.scenario.tenants[0].key;
    let input = json!({"KeyId": world.key(0), "Plaintext": "aGVsbG8=", "DryRun": true});
    let permitted = world.kms(&session, "Encrypt", input.clone()).await;
    assert_eq!((permitted.status, permitted.code().as_str()), (400, "DryRunOperationException"));
    world.aws().set_key_state(key, KeyState::Disabled).unwrap();
    let disabled = world.kms(&session, "Encrypt", input.clone()).await;
    assert_eq!(disabled.code(), "DryRunOperationException", "a dry run does not look at the key's state");
    world.aws().set_identity_policies(&world.scenario.tenants[0].role, Default::default()).unwrap();
    assert_eq!(world.kms(&session, "Encrypt", input).await.code(), "AccessDeniedException");
}

#[tokio::test]
async fn the_call_log_names_who_what_and_context_and_holds_no_secret() {
    let world = World::start().await;
    let session = world.session(0).await;
    let made = world
        .kms(
            &session,
            "GenerateDataKey",
            json!({"KeyId": "alias/acme", "KeySpec": "AES_256", "EncryptionContext": {"branch": "main"}}),
        )
        .await
        .json();
    let matching = CallMatch { operation: Some("GenerateDataKey".to_owned()), ..CallMatch::default() };
    let calls = world.control().calls(&CallQuery { matching, ..CallQuery::default() });
    let call = calls.last().unwrap();
    assert_eq!(call.facts.key.as_deref(), Some(world.key(0).as_str()));
    assert_eq!(call.facts.caller_role.as_deref(), Some(world.role(0).as_str()));
    assert_eq!(call.facts.encryption_context["branch"], "main");
    let all = serde_json::to_string(&world.control().calls(&CallQuery::default())).unwrap();
    let user = world.user();
    for secret in [
        made["Plaintext"].as_str().unwrap(),
        &session.secret,
        session.token.as_deref().unwrap(),
        &user.secret,
    ] {
        assert!(!all.contains(secret));
    }
}
