//! What a key's description means.

use aws_sdk_kms::types::builders::KeyMetadataBuilder;
use leasehold_envelope::{EncryptionContext, HeaderDigest, Purpose};

use super::*;

const ARN: &str = "arn:aws:kms:eu-central-1:111122223333:key/k";

fn good() -> KeyMetadataBuilder {
    KeyMetadata::builder()
        .key_id("k")
        .arn(ARN)
        .key_spec(KeySpec::SymmetricDefault)
        .key_usage(KeyUsageType::EncryptDecrypt)
        .key_manager(KeyManagerType::Customer)
        .origin(OriginType::AwsKms)
        .key_state(AwsState::Enabled)
}

fn verdict(metadata: KeyMetadataBuilder) -> Result<(), Fault> {
    fit_for_use(&metadata.build().unwrap(), ARN).map_err(|e| e.fault().clone())
}

#[test]
fn every_key_state_says_whether_the_key_is_gone_or_only_away() {
    let pending = Err(Fault::KeyUnusable(KeyState::PendingDeletion));
    for (state, expected) in [
        (AwsState::Enabled, Ok(())),
        (AwsState::Updating, Ok(())),
        (AwsState::Disabled, Err(Fault::KeyUnusable(KeyState::Disabled))),
        (AwsState::PendingDeletion, pending.clone()),
        (AwsState::PendingReplicaDeletion, pending.clone()),
        (AwsState::PendingImport, pending),
        (AwsState::Unavailable, Err(Fault::Unavailable)),
        (AwsState::Creating, Err(Fault::Unavailable)),
        (AwsState::from("SomethingNew"), Err(Fault::Unavailable)),
    ] {
        assert_eq!(verdict(good().key_state(state.clone())), expected, "{state:?}");
    }
}

#[test]
fn keys_that_cannot_bind_a_context_are_refused_with_advice() {
    for metadata in [
        good().key_spec(KeySpec::Rsa2048),
        good().key_spec(KeySpec::Hmac256),
        good().key_usage(KeyUsageType::SignVerify),
        good().key_manager(KeyManagerType::Aws),
        good().arn("arn:aws:kms:eu-central-1:111122223333:key/other"),
    ] {
        assert_eq!(verdict(metadata), Err(Fault::Misconfigured));
    }
    let disabled_rsa = good().key_spec(KeySpec::Rsa2048).key_state(AwsState::Disabled);
    assert_eq!(verdict(disabled_rsa), Err(Fault::Misconfigured), "enabling it would not help");
}

#[test]
fn a_description_warns_of_what_would_surprise_later() {
    let reasons = |metadata: KeyMetadataBuilder, rotates| {
        let warnings = warnings(&metadata.build().unwrap(), &rotates);
        warnings.into_iter().map(|w| w.reason).collect::<Vec<_>>()
    };
    assert!(reasons(good(), Ok(true)).is_empty());
    assert_eq!(reasons(good(), Ok(false)), ["ROTATION_OFF"]);
    let denied = ProviderError::new(Fault::Denied { edge: leasehold_provider::Edge::Key }, "no");
    assert_eq!(reasons(good(), Err(denied)), ["ROTATION_UNKNOWN"]);
    let imported =
        good().origin(OriginType::External).valid_to(aws_sdk_kms::primitives::DateTime::from_secs(1));
    assert_eq!(reasons(imported, Ok(false)), ["MATERIAL_EXPIRES"]);
    assert_eq!(reasons(good().multi_region(true), Ok(true)), ["MULTI_REGION"]);
    assert_eq!(reasons(good().custom_key_store_id("cks"), Ok(true)), ["CUSTOM_KEY_STORE"]);
}

#[test]
fn p6_the_whole_context_the_header_and_the_purpose_are_bound() {
    let header = HeaderDigest::from_bytes([7; 32]);
    let callers = EncryptionContext::try_from_iter([("project", "p1"), ("branch", "main")]).unwrap();
    let entries = entries(WrapContext { purpose: Purpose::Dek, header: &header, context: &callers });
    let expected = [
        ("project", "p1".to_owned()),
        ("branch", "main".to_owned()),
        ("leasehold:header", "07".repeat(32)),
        ("leasehold:purpose", "dek".to_owned()),
    ];
    assert_eq!(entries, expected.map(|(k, v)| (k.to_owned(), v)).into());
}

#[test]
fn versions_are_refused_because_there_are_none() {
    assert!(no_version(&KeyVersion::none()).is_ok());
    assert_eq!(no_version(&"7".parse().unwrap()).unwrap_err().fault(), &Fault::Rejected);
}
