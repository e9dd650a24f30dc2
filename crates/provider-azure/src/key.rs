//! Using the tenant's key with a session, and finding out what state it is in.

use std::time::Duration;

use azure_core::http::{RequestContent, Response};
use azure_core::json::to_json;
use azure_core::time::OffsetDateTime;
use azure_security_keyvault_keys::KeyClient;
use azure_security_keyvault_keys::models::{
    EncryptionAlgorithm, Key, KeyAttributes, KeyClientWrapKeyOptions, KeyOperationParameters,
    KeyOperationResult, KeyType,
};
use bytes::Bytes;
use leasehold_envelope::{KeyVersion, Purpose};
use leasehold_provider::{
    Answer, Ciphertext, Fault, Generated, KeyDescription, KeyState, ProviderError, Throttler, Warning,
    WrapContext,
};
use leasehold_secret::{Arena, KeyLength, PlaintextKey, SecretError};
use zeroize::{Zeroize, Zeroizing};

use crate::cloud::Store;
use crate::commands::CHALLENGE_TAG;
use crate::error::{Call, failure};
use crate::ids::{KeyUrl, is_version};
use crate::payload;
use crate::settings::misconfigured;
use crate::transport::Head;

/// Lengths of what RSA makes, in bytes: of keys with 2,048, 3,072 and 4,096 bits, the sizes that the services have.
const CIPHERTEXTS: [usize; 3] = [256, 384, 512];

/// The code, ours, of a key whose operations do not include wrapping and unwrapping.
pub(crate) const OPERATIONS_MISSING: &str = "OPERATIONS_MISSING";

/// How long before a key expires it is worth a warning. 30 days: as early as Key Vault's own notice.
pub(crate) const EXPIRY_NOTICE: Duration = Duration::from_secs(30 * 24 * 3600);

/// A key, as a session may use it.
pub(crate) struct SessionKey<'a> {
    pub(crate) client: &'a KeyClient,
    pub(crate) key: &'a KeyUrl,
    pub(crate) store: Store,
    pub(crate) arena: &'a Arena,
}

impl SessionKey<'_> {
    pub(crate) async fn generate(
        &self,
        length: KeyLength,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Generated>, ProviderError> {
        let key = PlaintextKey::generate(self.arena, length).map_err(shortage)?;
        let Answer { value: ciphertext, request_id } = self.wrap(&key, version, context).await?;
        Ok(Answer { value: Generated { key, ciphertext }, request_id })
    }

    pub(crate) async fn wrap(
        &self,
        key: &PlaintextKey,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Ciphertext>, ProviderError> {
        let addressed = addressed(version)?;
        let parameters = parameters(payload::seal(key, context))?;
        let options = KeyClientWrapKeyOptions {
            key_version: Some(addressed.to_owned()),
            ..KeyClientWrapKeyOptions::default()
        };
        let sent = self.client.wrap_key(self.key.name(), parameters, Some(options)).await;
        let (answer, request_id) = read(sent, Call::Use)?;
        self.same_key(&answer, addressed)?;
        let bytes =
            answer.result.filter(|bytes| CIPHERTEXTS.contains(&bytes.len())).ok_or_else(incomplete)?;
        Ok(Answer {
            value: Ciphertext { bytes: Bytes::from(bytes), key_version: version.clone() },
            request_id,
        })
    }

    pub(crate) async fn unwrap(
        &self,
        wrapped: &Ciphertext,
        context: WrapContext<'_>,
    ) -> Result<Answer<PlaintextKey>, ProviderError> {
        let addressed = addressed(&wrapped.key_version)?;
        if !CIPHERTEXTS.contains(&wrapped.bytes.len()) {
            return Err(rejected("what RSA wraps has 256, 384 or 512 bytes"));
        }
        let parameters = parameters(Zeroizing::new(wrapped.bytes.to_vec()))?;
        let sent = self.client.unwrap_key(self.key.name(), addressed, parameters, None).await;
        let (mut answer, request_id) = match read(sent, Call::Use) {
            Ok(answer) => answer,
            Err(error) => return Err(self.explained(error, context.purpose).await),
        };
        let mut payload = Zeroizing::new(answer.result.take().ok_or_else(incomplete)?);
        self.same_key(&answer, addressed)?;
        let key = payload::open(&mut payload, context)
            .ok_or_else(|| rejected("wrapped for another purpose, envelope header or encryption context"))?;
        Ok(Answer { value: PlaintextKey::take(self.arena, key).map_err(shortage)?, request_id })
    }

    /// The challenge is not asked for: the binding was activated with it, and tags belong to single versions, so that a new
    /// one may be without.
    pub(crate) async fn describe(&self) -> Result<Answer<KeyDescription>, ProviderError> {
        let (key, request_id) = self.look().await?;
        let now = OffsetDateTime::now_utc();
        let current_version =
            fit_for_use(&key, self.key, now).map_err(|error| error.with_request_id(request_id.as_deref()))?;
        let warnings = warnings(&key, self.store, now);
        // The rotation policy takes a permission of its own, which a least-privileged principal does not have.
        Ok(Answer { value: KeyDescription { current_version, rotates: None, warnings }, request_id })
    }

    /// That the key carries `challenge`, whatever else is wrong with it.
    pub(crate) async fn check_challenge(&self, challenge: &str) -> Result<(), ProviderError> {
        let (key, request_id) = self.look().await?;
        carries(&key, challenge).map_err(|error| error.with_request_id(request_id.as_deref()))
    }

    /// What the vault says about the newest version, which is the one that it means by the key.
    pub(crate) async fn look(&self) -> Result<(Key, Option<Box<str>>), ProviderError> {
        read(self.client.get_key(self.key.name(), None).await, Call::Look)
    }

    /// `error` of an unwrap, with an ambiguous one resolved by asking. That there is no such key may mean the key or the
    /// version alone; a version that the key never had is its caller's mistake. A canary's version is one that the key did
    /// have: if that is gone, the key is. No answer to the question makes a denial of the first.
    async fn explained(&self, error: ProviderError, purpose: Purpose) -> ProviderError {
        if error.fault() != &Fault::KeyUnusable(KeyState::NotFound) || purpose == Purpose::Canary {
            return error;
        }
        let fault = match self.look().await {
            Ok(_) => Fault::Rejected,
            Err(looked) if looked.fault() == error.fault() => return error,
            Err(_) => Fault::Unavailable,
        };
        ProviderError::new(fault, error.detail()).with_code(error.code()).with_request_id(error.request_id())
    }

    /// Whether the vault used the key and version that we addressed. Anything else is an answer to some other question.
    fn same_key(&self, answer: &KeyOperationResult, version: &str) -> Result<(), ProviderError> {
        let used = answer.kid.as_deref().and_then(|kid| version_of(kid, self.key));
        if used == Some(version) {
            return Ok(());
        }
        let error =
            ProviderError::new(Fault::Unavailable, "the answer names another key than the one addressed");
        Err(error.with_code(Some("KEY_MISMATCH")))
    }
}

/// The answer and its request id.
fn read<T: serde::de::DeserializeOwned>(
    sent: azure_core::Result<Response<T>>,
    call: Call,
) -> Result<(T, Option<Box<str>>), ProviderError> {
    let answer = sent.map_err(|e| failure(call, &e, None))?;
    let head = Head::of(answer.status(), answer.headers());
    let model = serde_json::from_slice(answer.body()).map_err(|_| {
        let error = ProviderError::new(Fault::Unavailable, "the vault's answer could not be read");
        error.with_request_id(head.request_id.as_deref())
    })?;
    Ok((model, head.request_id))
}

/// The body of a wrap or unwrap. The SDK wants a Vec of its own, which is wiped here; of the copies that encoding and
/// sending make, the process's allocator wipes what it frees.
fn parameters(
    mut value: Zeroizing<Vec<u8>>,
) -> Result<RequestContent<KeyOperationParameters>, ProviderError> {
    let mut parameters = KeyOperationParameters {
        algorithm: Some(EncryptionAlgorithm::RsaOaep256),
        value: Some(std::mem::take(&mut *value)),
        ..KeyOperationParameters::default()
    };
    let body = to_json(&parameters);
    parameters.value.zeroize();
    body.map(Into::into).map_err(|_| rejected("the request could not be encoded"))
}

/// The version as it stands in a URL. Never empty, which would leave the choice to the vault.
fn addressed(version: &KeyVersion) -> Result<&str, ProviderError> {
    let version = version.as_str();
    is_version(version)
        .then_some(version)
        .ok_or_else(|| rejected("a key's version has 32 hexadecimal digits in lower case"))
}

/// The version that `kid` names, if it is one of `key`. Names of keys are the same in upper and lower case.
fn version_of<'a>(kid: &'a str, key: &KeyUrl) -> Option<&'a str> {
    let (name, version) = kid.rsplit_once('/')?;
    (name.eq_ignore_ascii_case(key.as_str()) && is_version(version)).then_some(version)
}

/// The version that wraps now, if the key may be used for that.
fn fit_for_use(key: &Key, addressed: &KeyUrl, now: OffsetDateTime) -> Result<KeyVersion, ProviderError> {
    let material = key.key.as_ref().ok_or_else(incomplete)?;
    if !matches!(material.kty, Some(KeyType::Rsa | KeyType::RsaHsm)) {
        return Err(misconfigured(
            "the key is not an RSA key: create one with --kty RSA or RSA-HSM and --size 3072",
        ));
    }
    let bits = material
        .n
        .as_ref()
        .map(|n| n.iter().skip_while(|byte| **byte == 0).count() * 8)
        .ok_or_else(incomplete)?;
    if !CIPHERTEXTS.contains(&(bits / 8)) {
        let advice = format!("the key has {bits} bits: create one with --size 2048, 3072 or 4096");
        return Err(misconfigured(advice));
    }
    let allowed = material.key_ops.as_deref().unwrap_or_default();
    if !["wrapKey", "unwrapKey"].iter().all(|needed| allowed.iter().any(|op| op == needed)) {
        return Err(misconfigured("the key's list of operations leaves out wrapKey or unwrapKey: add them")
            .with_code(Some(OPERATIONS_MISSING)));
    }
    usable_now(key.attributes.as_ref().ok_or_else(incomplete)?, now)?;
    let version = material.kid.as_deref().and_then(|kid| version_of(kid, addressed));
    version.and_then(|version| version.parse().ok()).ok_or_else(incomplete)
}

fn usable_now(attributes: &KeyAttributes, now: OffsetDateTime) -> Result<(), ProviderError> {
    // The codes are those with which the vault refuses to use such a key.
    let unusable = |state, code, detail: &str| {
        Err(ProviderError::new(Fault::KeyUnusable(state), detail).with_code(Some(code)))
    };
    if attributes.enabled == Some(false) {
        let detail = "the vault says that the newest version of the key is disabled";
        return unusable(KeyState::Disabled, "KeyDisabled", detail);
    }
    if let Some(start) = attributes.not_before.filter(|start| *start > now) {
        let detail = format!("the vault says that the key may not be used before {start}");
        return unusable(KeyState::NotYetValid, "KeyNotYetValid", &detail);
    }
    if let Some(end) = attributes.expires.filter(|end| *end <= now) {
        let detail = format!("the vault says that the newest version of the key expired on {end}");
        return unusable(KeyState::Expired, "KeyExpired", &detail);
    }
    Ok(())
}

/// That the key's owner tagged it with what we issued for this binding and no other.
fn carries(key: &Key, challenge: &str) -> Result<(), ProviderError> {
    let (what, code) = match key.tags.as_ref().and_then(|tags| tags.get(CHALLENGE_TAG)) {
        Some(tag) if tag == challenge => return Ok(()),
        Some(_) => ("the key carries another binding's challenge", "CHALLENGE_DIFFERS"),
        None => ("the key does not carry our challenge", "CHALLENGE_MISSING"),
    };
    Err(misconfigured(format!("{what}: its tag {CHALLENGE_TAG} must be {challenge}")).with_code(Some(code)))
}

fn warnings(key: &Key, store: Store, now: OffsetDateTime) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |reason, text: String| warnings.push(Warning { reason, text });
    let attributes = key.attributes.as_ref();
    let recovery =
        attributes.and_then(|attributes| attributes.recovery_level.as_ref()).map(|level| level.to_string());
    if recovery.is_none_or(|level| level.contains("Purgeable")) {
        warn(
            "PURGE_PROTECTION_OFF",
            "Turn on purge protection of the vault: az keyvault update --enable-purge-protection true. Without it a deleted \
             key can be destroyed at once, and what it wrapped is lost."
                .to_owned(),
        );
    }
    let end = attributes.and_then(|attributes| attributes.expires);
    if let Some(end) = end.filter(|end| *end - now < EXPIRY_NOTICE) {
        let day = end.date();
        warn(
            "KEY_EXPIRES_SOON",
            format!("The key expires on {day}: rotate it before, or nothing can be wrapped."),
        );
    }
    let in_software = key.key.as_ref().is_some_and(|key| key.kty == Some(KeyType::Rsa));
    if in_software && store == Store::Vault {
        warn(
            "SOFTWARE_KEY",
            "The key is protected by software: create it with --protection hsm to keep it inside of hardware.".to_owned(),
        );
    }
    warnings
}

/// Whether whoever may purge can destroy the key at once after deleting it. <https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview>
pub(crate) fn purgeable(attributes: &KeyAttributes) -> bool {
    attributes.recovery_level.as_ref().is_none_or(|level| level.to_string().contains("Purgeable"))
}

fn shortage(error: SecretError) -> ProviderError {
    match error {
        SecretError::InvalidLength { .. } => {
            rejected("what was wrapped is no key: its length is not one of a key")
        }
        _ => ProviderError::new(
            Fault::Throttled { by: Throttler::OwnBudget, retry_after: None },
            "no locked memory is free for the key",
        )
        .with_code(Some("ARENA_FULL")),
    }
}

fn rejected(detail: &str) -> ProviderError {
    ProviderError::new(Fault::Rejected, detail)
}

fn incomplete() -> ProviderError {
    ProviderError::new(Fault::Unavailable, "the vault's answer is incomplete")
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
