//! Whether a key can serve, and what its owner should know about it.

use std::time::Duration;

use google_cloud_kms_v1::model::crypto_key::CryptoKeyPurpose;
use google_cloud_kms_v1::model::crypto_key_version::{CryptoKeyVersionAlgorithm, CryptoKeyVersionState};
use google_cloud_kms_v1::model::{CryptoKey, CryptoKeyVersion, ProtectionLevel};
use leasehold_envelope::KeyVersion;
use leasehold_provider::{Fault, KeyState, ProviderError, Warning};

use crate::error::state_of_version;
use crate::kit::shell;
use crate::settings::{Plan, misconfigured};

/// The label of the key that holds what we issued.
pub(crate) const LABEL: &str = "leasehold-challenge";

/// The code of a key that carries no challenge.
pub(crate) const LABEL_MISSING: &str = "LABEL_MISSING";
/// The code of a key that carries another binding's.
pub(crate) const LABEL_DIFFERS: &str = "LABEL_DIFFERS";
/// The code of a key that is not for symmetric encryption.
pub(crate) const WRONG_PURPOSE: &str = "WRONG_PURPOSE";
/// The code of a key that nothing would be wrapped with.
pub(crate) const NO_PRIMARY_VERSION: &str = "NO_PRIMARY_VERSION";

/// Time to notice a mistaken destruction below which we warn. Cloud KMS's own default is 30 days, its least one day.
const SHORT_DESTRUCTION: Duration = Duration::from_secs(7 * 24 * 3600);

/// That the key carries our challenge: only who may edit the key can put it there, so nobody binds another's key.
pub(crate) fn is_labelled(key: &CryptoKey, plan: &Plan) -> Result<(), ProviderError> {
    let Some(challenge) = plan.challenge.as_deref() else { return Ok(()) };
    let found = key.labels.get(LABEL).map(String::as_str);
    if found == Some(challenge) {
        return Ok(());
    }
    let (what, code) = match found {
        Some(_) => ("has another binding's label", LABEL_DIFFERS),
        None => ("has no label", LABEL_MISSING),
    };
    let command = shell::label(&plan.key, challenge);
    Err(misconfigured(format!("the key {what} {LABEL}: label it with {command}")).with_code(Some(code)))
}

/// That we may say anything about the key to whoever made the binding. An activated one does without the label, which may
/// have become that of the binding that follows it.
pub(crate) fn may_be_told(key: &CryptoKey, plan: &Plan) -> Result<(), ProviderError> {
    if plan.activated { Ok(()) } else { is_labelled(key, plan) }
}

/// That the key is one that can wrap for us, and can do so now.
pub(crate) fn fit_for_use(key: &CryptoKey, plan: &Plan) -> Result<(), ProviderError> {
    may_be_told(key, plan)?;
    if key.purpose != CryptoKeyPurpose::EncryptDecrypt {
        return Err(misconfigured(
            "the key is not for symmetric encryption: create one with --purpose=encryption, because only those bind the \
             encryption context",
        )
        .with_code(Some(WRONG_PURPOSE)));
    }
    let Some(primary) = &key.primary else {
        // A key whose material is only ever imported has no primary version until some was.
        return Err(if key.import_only {
            ProviderError::new(
                Fault::KeyUnusable(KeyState::PendingDeletion),
                "no key material was imported yet",
            )
        } else {
            misconfigured(format!(
                "the key has no primary version: set one with gcloud kms keys set-primary-version {} --version=1 {}",
                plan.key.key(),
                shell::place_of(&plan.key)
            ))
            .with_code(Some(NO_PRIMARY_VERSION))
        });
    };
    if !is_symmetric(primary) {
        return Err(misconfigured(
            "the key's algorithm is not one of Cloud KMS's symmetric encryption: create the key with \
             --purpose=encryption and the default algorithm",
        )
        .with_code(Some(WRONG_PURPOSE)));
    }
    usable(primary)
}

/// The version that wraps now: the primary one.
pub(crate) fn current_version(key: &CryptoKey, plan: &Plan) -> Result<KeyVersion, ProviderError> {
    let name = key.primary.as_ref().map(|primary| primary.name.as_str()).unwrap_or_default();
    let number =
        name.strip_prefix(plan.key.as_str()).and_then(|rest| rest.strip_prefix("/cryptoKeyVersions/"));
    number.and_then(|number| number.parse().ok()).ok_or_else(|| {
        ProviderError::new(
            Fault::Unavailable,
            "the answer of Cloud KMS names no version of the key addressed",
        )
    })
}

fn is_symmetric(version: &CryptoKeyVersion) -> bool {
    use CryptoKeyVersionAlgorithm::{ExternalSymmetricEncryption, GoogleSymmetricEncryption};
    matches!(version.algorithm, GoogleSymmetricEncryption | ExternalSymmetricEncryption)
}

fn usable(version: &CryptoKeyVersion) -> Result<(), ProviderError> {
    if version.state == CryptoKeyVersionState::Enabled {
        return Ok(());
    }
    let state = version.state.name().unwrap_or("in a state that is unknown");
    let fault = state_of_version(state).unwrap_or(Fault::Unavailable);
    Err(ProviderError::new(fault, format!("Cloud KMS says that the key's primary version is {state}"))
        .with_code(Some(state)))
}

/// How long a version that is destroyed by mistake can be restored; Cloud KMS's default where the key does not say.
pub(crate) fn destroy_duration(key: &CryptoKey) -> Option<Duration> {
    key.destroy_scheduled_duration.as_ref().and_then(|duration| Duration::try_from(*duration).ok())
}

pub(crate) fn is_short(duration: Duration) -> bool {
    duration < SHORT_DESTRUCTION
}

/// How the key's material is protected, as Cloud KMS calls it.
pub(crate) fn protection(key: &CryptoKey) -> ProtectionLevel {
    key.primary.as_ref().map(|primary| primary.protection_level.clone()).unwrap_or_default()
}

pub(crate) fn warnings(key: &CryptoKey) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |reason, text: &str| warnings.push(Warning { reason, text: text.to_owned() });
    let is_external = matches!(protection(key), ProtectionLevel::External | ProtectionLevel::ExternalVpc);
    if key.next_rotation_time.is_none() && !key.import_only && !is_external {
        warn(
            "ROTATION_OFF",
            "Turn on automatic rotation of the key: gcloud kms keys update with --rotation-period and \
             --next-rotation-time.",
        );
    }
    if destroy_duration(key).is_some_and(is_short) {
        warn(
            "DESTROYED_SOON",
            "A version that is destroyed by mistake can be restored for less than 7 days; a key with a longer \
             --destroy-scheduled-duration gives more time to notice.",
        );
    }
    if protection(key) == ProtectionLevel::Software {
        warn("SOFTWARE_KEY", "The key is protected by software; --protection-level=hsm keeps it in an HSM.");
    }
    if key.import_only {
        warn(
            "IMPORT_ONLY",
            "The key's material is imported: keep a copy of it, and import the next version yourself when you rotate.",
        );
    }
    if is_external {
        warn(
            "EXTERNAL_KEY",
            "The key is in an external key manager: while that is down keys cannot be unwrapped, and leases lapse.",
        );
    }
    warnings
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
