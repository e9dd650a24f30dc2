//! Keys that can serve, keys that cannot, and what is said about them.

use google_cloud_kms_v1::model::CryptoKeyVersion;
use serde_json::json;

use super::*;
use crate::settings::tests::{ACCOUNT, KEY, binding};

fn plan() -> Plan {
    Plan::of(&binding(KEY, &json!({ "service_account": ACCOUNT })), &[]).unwrap()
}

/// A version that is as it should be.
fn primary() -> CryptoKeyVersion {
    CryptoKeyVersion::new()
        .set_name(format!("{KEY}/cryptoKeyVersions/3"))
        .set_state(CryptoKeyVersionState::Enabled)
        .set_algorithm(CryptoKeyVersionAlgorithm::GoogleSymmetricEncryption)
        .set_protection_level(ProtectionLevel::Hsm)
}

/// A key that is as it should be.
fn key() -> CryptoKey {
    let rotating: CryptoKey =
        serde_json::from_value(json!({ "nextRotationTime": "2027-01-01T00:00:00Z" })).unwrap();
    rotating
        .set_name(KEY)
        .set_purpose(CryptoKeyPurpose::EncryptDecrypt)
        .set_primary(primary())
        .set_labels([(LABEL, plan().challenge.as_deref().unwrap())])
}

fn verdict(key: &CryptoKey) -> ProviderError {
    fit_for_use(key, &plan()).unwrap_err()
}

#[test]
fn a_good_key_is_fit_and_wraps_with_its_primary_version() {
    assert!(fit_for_use(&key(), &plan()).is_ok());
    assert_eq!(current_version(&key(), &plan()).unwrap().as_str(), "3");
    assert!(warnings(&key()).is_empty(), "{:?}", warnings(&key()));
}

#[test]
fn p6_a_key_without_our_label_is_refused_with_the_command_that_mends_it() {
    for (labels, code) in [
        (vec![], LABEL_MISSING),
        (vec![("leasehold-challenge", "lh-other")], LABEL_DIFFERS),
        (vec![("team", "db")], LABEL_MISSING),
    ] {
        let error = verdict(&key().set_labels(labels));
        assert_eq!((error.fault(), error.code()), (&Fault::Misconfigured, Some(code)));
        let command = format!("--update-labels={LABEL}={}", plan().challenge.unwrap());
        assert!(error.detail().contains(&command), "{error}");
    }
}

#[test]
fn keys_that_cannot_wrap_for_us_are_refused_with_advice() {
    for purpose in [
        CryptoKeyPurpose::AsymmetricDecrypt,
        CryptoKeyPurpose::AsymmetricSign,
        CryptoKeyPurpose::RawEncryptDecrypt,
        CryptoKeyPurpose::Unspecified,
    ] {
        assert_eq!(verdict(&key().set_purpose(purpose)).code(), Some(WRONG_PURPOSE));
    }
    let raw = primary().set_algorithm(CryptoKeyVersionAlgorithm::Aes256Gcm);
    assert_eq!(verdict(&key().set_primary(raw)).fault(), &Fault::Misconfigured);
    let headless = key().set_or_clear_primary(None::<CryptoKeyVersion>);
    assert_eq!(verdict(&headless).code(), Some(NO_PRIMARY_VERSION));
    let awaiting = headless.set_import_only(true);
    assert_eq!(verdict(&awaiting).fault(), &Fault::KeyUnusable(KeyState::PendingDeletion));
}

#[test]
fn a_version_in_another_state_is_told_from_one_that_is_away() {
    use CryptoKeyVersionState as State;
    for (state, fault) in [
        (State::Disabled, Fault::KeyUnusable(KeyState::Disabled)),
        (State::DestroyScheduled, Fault::KeyUnusable(KeyState::PendingDeletion)),
        (State::Destroyed, Fault::KeyUnusable(KeyState::NotFound)),
        (State::PendingImport, Fault::KeyUnusable(KeyState::PendingDeletion)),
        (State::ImportFailed, Fault::KeyUnusable(KeyState::PendingDeletion)),
        (State::GenerationFailed, Fault::KeyUnusable(KeyState::NotFound)),
        (State::PendingGeneration, Fault::Unavailable),
        (State::Unspecified, Fault::Unavailable),
    ] {
        let error = verdict(&key().set_primary(primary().set_state(state.clone())));
        assert_eq!(error.fault(), &fault, "{state:?}");
    }
}

#[test]
fn an_answer_about_another_keys_version_is_no_answer() {
    for name in ["", "projects/x/cryptoKeyVersions/1", &format!("{KEY}2/cryptoKeyVersions/1")] {
        let other = key().set_primary(primary().set_name(name));
        assert_eq!(current_version(&other, &plan()).unwrap_err().fault(), &Fault::Unavailable, "{name}");
    }
}

#[test]
fn what_an_owner_should_know_is_said() {
    let reasons = |key: &CryptoKey| warnings(key).iter().map(|warning| warning.reason).collect::<Vec<_>>();
    let unrotated = CryptoKey::new().set_primary(primary());
    assert_eq!(reasons(&unrotated), ["ROTATION_OFF"]);
    assert_eq!(
        reasons(&key().set_primary(primary().set_protection_level(ProtectionLevel::Software))),
        ["SOFTWARE_KEY"]
    );
    assert_eq!(reasons(&key().set_import_only(true)), ["IMPORT_ONLY"]);
    assert_eq!(
        reasons(&key().set_primary(primary().set_protection_level(ProtectionLevel::External))),
        ["EXTERNAL_KEY"]
    );
    let day = Duration::from_secs(24 * 3600);
    let short: CryptoKey =
        serde_json::from_value(json!({ "destroyScheduledDuration": format!("{}s", day.as_secs()) })).unwrap();
    assert!(reasons(&short).contains(&"DESTROYED_SOON"));
}
