//! What a key as the vault describes it means.

use serde_json::{Value, json};

use super::*;

const KEY: &str = "https://v.vault.azure.net/keys/main";
const VERSION: &str = "0123456789abcdef0123456789abcdef";
const NOW: i64 = 1_800_000_000;

fn good() -> Value {
    json!({
        "key": {
            "kid": format!("{KEY}/{VERSION}"), "kty": "RSA-HSM", "key_ops": ["wrapKey", "unwrapKey"],
            "n": data_encoding::BASE64URL_NOPAD.encode(&[0xff; 384]), "e": "AQAB",
        },
        "attributes": { "enabled": true, "created": NOW - 10, "updated": NOW - 10, "recoveryLevel": "Recoverable" },
        "tags": { "leasehold-challenge": "lh-mine", "owner": "ops" },
    })
}

/// The good key with one value changed; null takes it away.
fn with(pointer: &str, value: Value) -> Key {
    let mut key = good();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    key.pointer_mut(parent).unwrap()[name] = value;
    serde_json::from_value(key).unwrap()
}

fn fit(key: &Key) -> Result<KeyVersion, Fault> {
    let now = OffsetDateTime::from_unix_timestamp(NOW).unwrap();
    fit_for_use(key, &KEY.parse().unwrap(), now).map_err(|e| e.fault().clone())
}

fn reasons(key: &Key, store: Store) -> Vec<&'static str> {
    let now = OffsetDateTime::from_unix_timestamp(NOW).unwrap();
    warnings(key, store, now).into_iter().map(|warning| warning.reason).collect()
}

#[test]
fn the_newest_version_is_the_one_that_wraps() {
    assert_eq!(fit(&with("/tags", json!({}))).unwrap().as_str(), VERSION);
    let in_capitals = with("/key/kid", json!(format!("https://v.vault.azure.net/keys/MAIN/{VERSION}")));
    assert!(fit(&in_capitals).is_ok(), "names are the same in upper and lower case");
    for kid in [
        json!(KEY),
        json!(format!("{KEY}/")),
        json!(format!("{KEY}2/{VERSION}")),
        json!(format!("{KEY}/{}", VERSION.to_uppercase())),
        json!("x/y"),
        Value::Null,
    ] {
        assert_eq!(fit(&with("/key/kid", kid.clone())), Err(Fault::Unavailable), "{kid}");
    }
}

#[test]
fn keys_that_cannot_wrap_are_refused_with_advice() {
    let size = |bytes| json!(data_encoding::BASE64URL_NOPAD.encode(&vec![0xff; bytes]));
    for (pointer, value) in [
        ("/key/kty", json!("EC")),
        ("/key/kty", json!("oct-HSM")),
        ("/key/n", size(128)),
        ("/key/key_ops", json!(["sign", "verify"])),
        ("/key/key_ops", json!(["wrapKey"])),
        ("/key/key_ops", json!(["encrypt", "decrypt", "unwrapKey"])),
    ] {
        assert_eq!(fit(&with(pointer, value.clone())), Err(Fault::Misconfigured), "{pointer} {value}");
    }
    for bytes in [256, 384, 512] {
        assert!(fit(&with("/key/n", size(bytes))).is_ok(), "{bytes}");
    }
}

#[test]
fn a_key_that_nobody_may_use_now_is_unusable() {
    for (pointer, value, state) in [
        ("/attributes/enabled", json!(false), KeyState::Disabled),
        ("/attributes/nbf", json!(NOW + 1), KeyState::NotYetValid),
        ("/attributes/exp", json!(NOW), KeyState::Expired),
    ] {
        assert_eq!(fit(&with(pointer, value)), Err(Fault::KeyUnusable(state)), "{pointer}");
    }
    assert!(fit(&with("/attributes/nbf", json!(NOW))).is_ok());
    assert!(fit(&with("/attributes/exp", json!(NOW + 1))).is_ok());
    assert_eq!(fit(&with("/attributes", Value::Null)), Err(Fault::Unavailable), "no answer is no permission");
}

#[test]
fn p6_a_key_without_our_challenge_is_refused() {
    assert!(carries(&with("/key/e", json!("AQAB")), "lh-mine").is_ok());
    for (tags, code) in [
        (Value::Null, "CHALLENGE_MISSING"),
        (json!({ "Leasehold-Challenge": "lh-mine" }), "CHALLENGE_MISSING"),
        (json!({ "leasehold-challenge": "lh-theirs" }), "CHALLENGE_DIFFERS"),
        (json!({ "leasehold-challenge": "" }), "CHALLENGE_DIFFERS"),
        (json!({ "leasehold-challenge": "lh-mine " }), "CHALLENGE_DIFFERS"),
    ] {
        let error = carries(&with("/tags", tags), "lh-mine").unwrap_err();
        assert_eq!((error.fault(), error.code()), (&Fault::Misconfigured, Some(code)));
        assert!(error.detail().ends_with("its tag leasehold-challenge must be lh-mine"), "{error}");
        assert!(!error.detail().contains("az "), "a bare command would take the other tags away: {error}");
    }
}

#[test]
fn a_description_warns_of_what_would_surprise_later() {
    let usual = || with("/key/e", json!("AQAB"));
    assert!(reasons(&usual(), Store::Vault).is_empty());
    for level in ["Purgeable", "Recoverable+Purgeable", "CustomizedRecoverable+Purgeable"] {
        assert_eq!(
            reasons(&with("/attributes/recoveryLevel", json!(level)), Store::Vault),
            ["PURGE_PROTECTION_OFF"]
        );
    }
    assert_eq!(
        reasons(&with("/attributes/recoveryLevel", Value::Null), Store::Vault),
        ["PURGE_PROTECTION_OFF"]
    );
    let soon = json!(NOW + 29 * 24 * 3600);
    assert_eq!(reasons(&with("/attributes/exp", soon), Store::Vault), ["KEY_EXPIRES_SOON"]);
    assert!(reasons(&with("/attributes/exp", json!(NOW + 31 * 24 * 3600)), Store::Vault).is_empty());
    assert_eq!(reasons(&with("/key/kty", json!("RSA")), Store::Vault), ["SOFTWARE_KEY"]);
    assert!(
        reasons(&with("/key/kty", json!("RSA")), Store::ManagedHsm).is_empty(),
        "a pool has nothing but hardware"
    );
}

#[test]
fn a_version_is_always_addressed_and_has_one_name() {
    for bad in [
        "",
        "1",
        "0123456789abcdef0123456789abcdeg",
        "0123456789abcdef0123456789abcdef0",
        "0123456789abcdef0123456789ABCDEF",
        "../../secrets/x",
    ] {
        assert_eq!(addressed(&bad.parse().unwrap()).unwrap_err().fault(), &Fault::Rejected, "{bad}");
    }
    assert_eq!(addressed(&VERSION.parse().unwrap()).unwrap(), VERSION);
}
