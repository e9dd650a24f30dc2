//! Cloud KMS: what it does for those who may, and whom it refuses.

use data_encoding::BASE64;
use leasehold_cloudsim::control::gcp::{KeyInput, PolicyPlace};
use leasehold_cloudsim::gcp::{ExternalAnswer, ProtectionLevel, Purpose, VersionState};
use serde_json::{Value, json};

use super::client::{PLAINTEXT, World, denied, refused};

#[tokio::test]
async fn what_a_key_encrypted_it_decrypts_again_and_nothing_else_does() {
    let world = World::start().await;
    let (acme, globex) = (world.session(0).await, world.session(1).await);
    let sealed = world.encrypt(&acme, 0).await.ok();
    assert_eq!(sealed["name"], format!("{}/cryptoKeyVersions/1", world.key(0)));
    let opened = world.decrypt(&acme, 0, &sealed["ciphertext"]).await.ok();
    assert_eq!(opened["plaintext"], BASE64.encode(PLAINTEXT));
    assert_eq!(opened["usedPrimary"], true);
    let other = world.decrypt(&globex, 1, &sealed["ciphertext"]).await;
    assert_eq!(other.error(), refused(400, "INVALID_ARGUMENT", ""));
    assert!(other.message().contains("'name' refers to the correct CryptoKey"), "{}", other.text);
    let mut blob = BASE64.decode(sealed["ciphertext"].as_str().unwrap().as_bytes()).unwrap();
    for index in [0, 5, 12, 30, blob.len() - 1] {
        blob[index] ^= 1;
        let touched = world.decrypt(&acme, 0, &BASE64.encode(&blob).into()).await;
        assert_eq!(touched.error(), refused(400, "INVALID_ARGUMENT", ""), "{index}");
        blob[index] ^= 1;
    }
    let body =
        json!({"ciphertext": sealed["ciphertext"], "additionalAuthenticatedData": BASE64.encode(b"add")});
    let aad = world.post(&acme, &format!("/v1/{}:decrypt", world.key(0)), body).await;
    assert_eq!(aad.error(), refused(400, "INVALID_ARGUMENT", ""));
    assert_eq!(aad.message(), "Decryption failed: the ciphertext is invalid.");
}

#[tokio::test]
async fn checksums_are_answered_and_wrong_ones_are_refused() {
    let world = World::start().await;
    let acme = world.session(0).await;
    let path = |verb: &str| format!("/v1/{}:{verb}", world.key(0));
    let crc = |bytes: &[u8]| crc32c::crc32c(bytes);
    let body = json!({
        "plaintext": BASE64.encode(PLAINTEXT),
        "plaintextCrc32c": crc(PLAINTEXT).to_string(),
        "additionalAuthenticatedData": BASE64.encode(b"aad"),
        "additionalAuthenticatedDataCrc32c": crc(b"aad"),
    });
    let sealed = world.post(&acme, &path("encrypt"), body.clone()).await.ok();
    assert_eq!(sealed["verifiedPlaintextCrc32c"], true);
    assert_eq!(sealed["verifiedAdditionalAuthenticatedDataCrc32c"], true);
    let ciphertext = BASE64.decode(sealed["ciphertext"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(sealed["ciphertextCrc32c"], crc(&ciphertext).to_string());
    for field in ["plaintextCrc32c", "additionalAuthenticatedDataCrc32c"] {
        let mut wrong = body.clone();
        wrong[field] = "7".into();
        let answer = world.post(&acme, &path("encrypt"), wrong).await;
        assert_eq!(answer.error(), refused(400, "INVALID_ARGUMENT", ""), "{field}");
        assert!(answer.message().contains("did not match the data in field"), "{}", answer.text);
    }
    let decrypt = |crc: Value, aad: Value| {
        let body = json!({
            "ciphertext": sealed["ciphertext"],
            "ciphertextCrc32c": crc,
            "additionalAuthenticatedData": BASE64.encode(b"aad"),
            "additionalAuthenticatedDataCrc32c": aad,
        });
        let path = path("decrypt");
        let (world, acme) = (&world, &acme);
        async move { world.post(acme, &path, body).await }
    };
    let right = json!(crc(&ciphertext).to_string());
    let opened = decrypt(right.clone(), Value::Null).await.ok();
    assert_eq!(opened["plaintextCrc32c"], crc(PLAINTEXT).to_string());
    assert_eq!(decrypt("7".into(), Value::Null).await.status, 400);
    assert_eq!(decrypt(right, "7".into()).await.status, 400);
    assert!(world.encrypt(&acme, 0).await.ok().get("verifiedPlaintextCrc32c").is_none());
}

#[tokio::test]
async fn every_state_of_a_version_but_enabled_refuses_with_its_own_violation() {
    let world = World::start().await;
    let acme = world.session(0).await;
    let sealed = world.encrypt(&acme, 0).await.ok();
    for (state, kind) in [
        (VersionState::Disabled, "KEY_DISABLED"),
        (VersionState::DestroyScheduled, "KEY_DESTROY_SCHEDULED"),
        (VersionState::Destroyed, "KEY_DESTROYED"),
        (VersionState::PendingGeneration, "KEY_PENDING_GENERATION"),
        (VersionState::PendingImport, "KEY_PENDING_IMPORT"),
    ] {
        world.gcp().set_version_state(world.key(0), 1, state).unwrap();
        for answer in [world.encrypt(&acme, 0).await, world.decrypt(&acme, 0, &sealed["ciphertext"]).await] {
            assert_eq!(answer.error(), refused(400, "FAILED_PRECONDITION", kind));
            let name = format!("{}/cryptoKeyVersions/1", world.key(0));
            assert_eq!(answer.json()["error"]["details"][0]["violations"][0]["subject"], name);
            assert_eq!(
                answer.message(),
                format!("{name} is not enabled, current state is: {}.", state.name())
            );
        }
        let shown = world.get(&acme, &format!("/v1/{}", world.key(0))).await.ok();
        assert_eq!(shown["primary"]["state"], state.name());
    }
    world.gcp().set_version_state(world.key(0), 1, VersionState::Enabled).unwrap();
    world.decrypt(&acme, 0, &sealed["ciphertext"]).await.ok();
}

#[tokio::test]
async fn old_versions_decrypt_after_a_rotation_and_are_disabled_one_by_one() {
    let world = World::start().await;
    let acme = world.session(0).await;
    let first = world.encrypt(&acme, 0).await.ok();
    assert_eq!(world.gcp().rotate_key(world.key(0)).unwrap(), 2);
    let second = world.encrypt(&acme, 0).await.ok();
    assert_eq!(second["name"], format!("{}/cryptoKeyVersions/2", world.key(0)));
    assert!(world.decrypt(&acme, 0, &first["ciphertext"]).await.ok().get("usedPrimary").is_none());
    world.gcp().set_version_state(world.key(0), 1, VersionState::Disabled).unwrap();
    assert_eq!(world.decrypt(&acme, 0, &first["ciphertext"]).await.status, 400);
    world.decrypt(&acme, 0, &second["ciphertext"]).await.ok();
    let body = json!({"plaintext": BASE64.encode(PLAINTEXT)});
    let version = |number: u32| format!("/v1/{}/cryptoKeyVersions/{number}:encrypt", world.key(0));
    assert_eq!(world.post(&acme, &version(1), body.clone()).await.error().2, "KEY_DISABLED");
    assert_eq!(world.post(&acme, &version(2), body.clone()).await.status, 200);
    assert_eq!(world.post(&acme, &version(3), body).await.error(), refused(404, "NOT_FOUND", ""));
    let listed = world.get(&acme, &format!("/v1/{}/cryptoKeyVersions?pageSize=1", world.key(0))).await.ok();
    assert_eq!(
        (&listed["totalSize"], &listed["cryptoKeyVersions"][0]["state"]),
        (&json!(2), &json!("DISABLED"))
    );
    let next = listed["nextPageToken"].as_str().unwrap();
    let path = format!("/v1/{}/cryptoKeyVersions?pageToken={next}", world.key(0));
    let rest = world.get(&acme, &path).await.ok();
    assert_eq!(rest["cryptoKeyVersions"].as_array().unwrap().len(), 1);
    let path = format!("/v1/{}/cryptoKeyVersions?filter=state%3DENABLED", world.key(0));
    assert_eq!(world.get(&acme, &path).await.ok()["totalSize"], 1);
}

#[tokio::test]
async fn a_key_is_refused_alike_whether_or_not_it_exists_unless_its_parent_is_seen() {
    let world = World::start().await;
    let acme = world.session(0).await;
    assert_eq!(world.encrypt(&acme, 1).await.error(), denied());
    let missing = format!("/v1/{}/cryptoKeys/missing", world.key(0).ring);
    let refusal = world.get(&acme, &missing).await;
    assert_eq!(refusal.error(), denied());
    let message = format!(
        "Permission 'cloudkms.cryptoKeys.get' denied on resource '{}' (or it may not exist).",
        &missing[4..]
    );
    assert_eq!(refusal.message(), message);
    assert_eq!(
        world.get(&acme, "/v1/projects/nobodys-project/locations/l/keyRings/r/cryptoKeys/k").await.error(),
        denied()
    );
    let ring = PolicyPlace::KeyRing(world.key(0).ring.clone());
    let member = format!("serviceAccount:{}", world.tenant(0).service_account);
    world.gcp().grant(&ring, "roles/cloudkms.viewer", &member).unwrap();
    assert_eq!(world.get(&acme, &missing).await.error(), refused(404, "NOT_FOUND", ""));
    assert_eq!(
        world.get(&acme, "/v1/projects/acme/nonsense").await.error(),
        refused(400, "INVALID_ARGUMENT", "")
    );
    assert_eq!(
        world.post(&acme, "/v1/projects/x:sing", json!({})).await.error(),
        refused(404, "NOT_FOUND", "")
    );
}

#[tokio::test]
async fn keys_for_other_purposes_and_oversized_inputs_are_refused() {
    let world = World::start().await;
    let acme = world.session(0).await;
    let key = |id: &str| format!("{}/cryptoKeys/{id}", world.key(0).ring).parse().unwrap();
    let ring = PolicyPlace::KeyRing(world.key(0).ring.clone());
    let member = format!("serviceAccount:{}", world.tenant(0).service_account);
    world.gcp().grant(&ring, "roles/cloudkms.cryptoKeyEncrypterDecrypter", &member).unwrap();
    let sign = KeyInput { purpose: Purpose::AsymmetricSign, ..KeyInput::new(key("signing")) };
    let hsm = KeyInput { protection_level: ProtectionLevel::Hsm, ..KeyInput::new(key("hsm")) };
    let empty = KeyInput { first_version: None, ..KeyInput::new(key("empty")) };
    for input in [sign, hsm, empty] {
        world.gcp().create_key(input).unwrap();
    }
    let encrypt = |id: &str, bytes: usize| {
        let body = json!({"plaintext": BASE64.encode(&vec![7; bytes])});
        let path = format!("/v1/{}/cryptoKeys/{id}:encrypt", world.key(0).ring);
        let (world, acme) = (&world, &acme);
        async move { world.post(acme, &path, body).await }
    };
    let purpose = encrypt("signing", 32).await;
    assert_eq!(purpose.error(), refused(400, "INVALID_ARGUMENT", ""));
    assert!(purpose.message().contains("ASYMMETRIC_SIGN"));
    assert_eq!(encrypt("hsm", 8 * 1024).await.ok()["protectionLevel"], "HSM");
    assert_eq!(encrypt("hsm", 8 * 1024 + 1).await.status, 400);
    assert_eq!(encrypt("leasehold", 64 * 1024).await.status, 200);
    assert_eq!(encrypt("leasehold", 64 * 1024 + 1).await.status, 400);
    assert_eq!(encrypt("leasehold", 0).await.status, 400);
    assert_eq!(encrypt("empty", 32).await.error(), refused(400, "FAILED_PRECONDITION", ""));
}

#[tokio::test]
async fn an_external_key_manager_that_is_away_is_told_from_one_that_refuses() {
    let world = World::start().await;
    let acme = world.session(0).await;
    let name: leasehold_cloudsim::gcp::name::KeyName =
        format!("{}/cryptoKeys/external", world.key(0).ring).parse().unwrap();
    let input = KeyInput { protection_level: ProtectionLevel::External, ..KeyInput::new(name.clone()) };
    world.gcp().create_key(input).unwrap();
    let member = format!("serviceAccount:{}", world.tenant(0).service_account);
    world.gcp().grant(&PolicyPlace::Key(name.clone()), "roles/cloudkms.cryptoKeyEncrypter", &member).unwrap();
    let path = format!("/v1/{name}:encrypt");
    let encrypt = || world.post(&acme, &path, json!({"plaintext": BASE64.encode(PLAINTEXT)}));
    assert_eq!(encrypt().await.status, 200);
    world.gcp().set_external(&name, ExternalAnswer::Unreachable).unwrap();
    assert_eq!(encrypt().await.error(), refused(503, "UNAVAILABLE", ""));
    for (answer, kind) in [
        (ExternalAnswer::PermissionDenied, "EXTERNAL_PERMISSION_DENIED"),
        (ExternalAnswer::NotFound, "EXTERNAL_NOT_FOUND"),
    ] {
        world.gcp().set_external(&name, answer).unwrap();
        let refusal = encrypt().await;
        assert_eq!(refusal.error(), refused(400, "FAILED_PRECONDITION", "KEY_ENABLED"));
        assert_eq!(refusal.json()["error"]["details"][0]["violations"][1]["type"], kind);
    }
    world.gcp().set_external(&name, ExternalAnswer::Done).unwrap();
    assert_eq!(encrypt().await.status, 200);
}

#[tokio::test]
async fn a_key_is_shown_with_all_that_its_user_has_to_know() {
    let world = World::start().await;
    let acme = world.session(0).await;
    let name = world.key(0);
    let shown = world.get(&acme, &format!("/v1/{name}")).await.ok();
    assert_eq!(shown["name"], name.to_string());
    assert_eq!(shown["purpose"], "ENCRYPT_DECRYPT");
    assert_eq!(shown["labels"], json!({"leasehold-challenge": "lh-challenge-1"}));
    assert_eq!(shown["destroyScheduledDuration"], "2592000s");
    assert_eq!(shown["versionTemplate"]["algorithm"], "GOOGLE_SYMMETRIC_ENCRYPTION");
    let version = &shown["primary"];
    assert_eq!(version["name"], format!("{name}/cryptoKeyVersions/1"));
    assert_eq!((&version["state"], &version["protectionLevel"]), (&json!("ENABLED"), &json!("SOFTWARE")));
    let same = world.get(&acme, &format!("/v1/{name}/cryptoKeyVersions/1")).await.ok();
    assert_eq!(&same, version);
    let rotating = format!("{}/cryptoKeys/rotating", name.ring).parse().unwrap();
    let input =
        KeyInput { rotation_period_seconds: Some(7_776_000), import_only: true, ..KeyInput::new(rotating) };
    world.gcp().create_key(input).unwrap();
    let ring = PolicyPlace::KeyRing(name.ring.clone());
    let member = format!("serviceAccount:{}", world.tenant(0).service_account);
    world.gcp().grant(&ring, "roles/cloudkms.viewer", &member).unwrap();
    let listed = world.get(&acme, &format!("/v1/{}/cryptoKeys", name.ring)).await.ok();
    let rotating = &listed["cryptoKeys"][1];
    assert_eq!((&rotating["rotationPeriod"], &rotating["importOnly"]), (&json!("7776000s"), &json!(true)));
    assert!(rotating["nextRotationTime"].as_str().unwrap().ends_with('Z'));
}
