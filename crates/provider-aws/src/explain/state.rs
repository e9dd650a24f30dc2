//! Keys that are not there, not in order, or of the wrong kind: whoever asks.

use leasehold_provider::{Cause, KeyState, ProviderError};

use super::cause;
use crate::arn::KeyArn;
use crate::key::{KEY_HAS_ANOTHER_ARN, KEY_IS_MANAGED_BY_AWS};
use crate::kit::shell;

pub(super) fn missing(key: &KeyArn) -> Cause {
    cause(
        "KEY_NOT_FOUND",
        format!(
            "There is no key {key}: its id, account or region ({}) is mistyped, or it was deleted for good.",
            key.region()
        ),
        format!(
            "{}\naws kms describe-key --region {} --key-id {key} --query KeyMetadata.Arn\n# Make a binding with the ARN that it \
             prints. A key that was deleted cannot be brought back, and what it wrapped is lost.",
            shell::with_credentials_of(key.account()),
            key.region(),
        ),
    )
}

pub(super) fn unusable(key: &KeyArn, state: KeyState, error: &ProviderError) -> Cause {
    let (account, region) = (shell::with_credentials_of(key.account()), key.region());
    let detail = error.detail().to_ascii_lowercase().replace(' ', "");
    if state == KeyState::Disabled {
        cause(
            "KEY_DISABLED",
            format!("The key {key} is disabled."),
            format!("{account}\naws kms enable-key --region {region} --key-id {key}"),
        )
    } else if detail.contains("pendingimport") {
        cause(
            "KEY_PENDING_IMPORT",
            format!("The key {key} has no material: it was not imported yet, expired, or was deleted."),
            format!(
                "{account}\naws kms get-parameters-for-import --region {region} --key-id {key} --wrapping-algorithm \
                 RSAES_OAEP_SHA_256 --wrapping-key-spec RSA_4096\n# Wrap the same material as before with the public key that it \
                 prints, then: aws kms import-key-material --region {region} --key-id {key} …"
            ),
        )
    } else {
        cause(
            "KEY_PENDING_DELETION",
            format!(
                "The key {key} is scheduled for deletion; when that is done, all that it wrapped is lost."
            ),
            format!(
                "{account}\naws kms cancel-key-deletion --region {region} --key-id {key}\naws kms enable-key --region {region} \
                 --key-id {key}"
            ),
        )
    }
}

pub(super) fn store_down(key: &KeyArn) -> Cause {
    let (account, region) = (shell::with_credentials_of(key.account()), key.region());
    cause(
        "KEY_STORE_DOWN",
        format!(
            "What holds the material of {key} does not answer: its custom or external key store is disconnected or down."
        ),
        format!(
            "{account}\naws kms describe-key --region {region} --key-id {key} --query KeyMetadata.CustomKeyStoreId\naws kms \
             describe-custom-key-stores --region {region}\n# If the store is not CONNECTED: aws kms connect-custom-key-store \
             --region {region} --custom-key-store-id …"
        ),
    )
}

pub(super) fn unfit(key: &KeyArn, error: &ProviderError) -> Cause {
    let (account, region) = (shell::with_credentials_of(key.account()), key.region());
    match error.code() {
        Some(KEY_HAS_ANOTHER_ARN) => cause(
            "KEY_HAS_ANOTHER_ARN",
            format!("KMS knows the key {key} by another ARN."),
            format!(
                "{account}\naws kms describe-key --region {region} --key-id {key} --query KeyMetadata.Arn\n# Make a binding with \
                 that ARN."
            ),
        ),
        Some(KEY_IS_MANAGED_BY_AWS) => cause(
            "KEY_MANAGED_BY_AWS",
            format!("The key {key} is managed by AWS, and its policy cannot be edited."),
            new_key(&account, region.as_str()),
        ),
        _ => cause(
            "WRONG_KEY_SPEC_OR_USAGE",
            format!(
                "The key {key} is not a symmetric encryption key, and no other binds the encryption context."
            ),
            new_key(&account, region.as_str()),
        ),
    }
}

pub(super) fn rejected(key: &KeyArn) -> Cause {
    cause(
        "CIPHERTEXT_OF_ANOTHER_KEY",
        format!(
            "KMS does not take this ciphertext for one that {key} made in this encryption context: the key's material was \
             replaced, or the ciphertext changed."
        ),
        format!(
            "# If the material of {key} was imported, import the same as before. Otherwise the canary was changed in the \
             registry, and the operator restores it."
        ),
    )
}

fn new_key(account: &str, region: &str) -> String {
    format!(
        "{account}\naws kms create-key --region {region} --key-spec SYMMETRIC_DEFAULT --key-usage ENCRYPT_DECRYPT --query \
         KeyMetadata.Arn\n# Make a binding with the ARN that it prints."
    )
}
