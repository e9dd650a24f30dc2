//! Using the tenant's key with a session, and finding out what state it is in.

use std::collections::HashMap;

use aws_sdk_kms::operation::RequestId;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{
    EncryptionAlgorithmSpec, KeyManagerType, KeyMetadata, KeySpec, KeyState as AwsState, KeyUsageType,
    OriginType,
};
use bytes::Bytes;
use leasehold_envelope::KeyVersion;
use leasehold_provider::{
    Answer, Ciphertext, Fault, Generated, KeyDescription, KeyState, ProviderError, Throttler, Warning,
    WrapContext,
};
use leasehold_secret::{Arena, KeyLength, PlaintextKey, SecretError};

use crate::assume::RoleSession;
use crate::error::{Call, INVALID_STATE, failure};

/// The entry of the encryption context that authenticates the envelope's header.
const HEADER_ENTRY: &str = "leasehold:header";
/// The entry that says what kind of key is wrapped.
const PURPOSE_ENTRY: &str = "leasehold:purpose";
/// The longest ciphertext that Decrypt takes (<https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html>).
const MAX_CIPHERTEXT: usize = 6144;

/// The key of a session, as KMS has it.
pub(crate) struct SessionKey<'a> {
    pub(crate) client: &'a aws_sdk_kms::Client,
    pub(crate) session: &'a RoleSession,
    pub(crate) arena: &'a Arena,
}

impl SessionKey<'_> {
    pub(crate) async fn generate(
        &self,
        length: KeyLength,
        context: WrapContext<'_>,
    ) -> Result<Answer<Generated>, ProviderError> {
        let request = self.client.generate_data_key().key_id(self.arn()).number_of_bytes(bytes_of(length));
        let request = request.set_encryption_context(Some(entries(context)));
        let sent = request.customize().config_override(self.signed()).send().await;
        let answer = self.explained(sent.map_err(|e| failure(Call::Key, &e))).await?;
        let request_id = answer.request_id().map(Into::into);
        let key = self.plaintext(answer.plaintext)?;
        self.same_key(answer.key_id.as_deref())?;
        if key.len() != length {
            return Err(incomplete());
        }
        Ok(Answer { value: Generated { key, ciphertext: ciphertext(answer.ciphertext_blob)? }, request_id })
    }

    pub(crate) async fn generate_without_plaintext(
        &self,
        length: KeyLength,
        context: WrapContext<'_>,
    ) -> Result<Answer<Ciphertext>, ProviderError> {
        let request = self.client.generate_data_key_without_plaintext().key_id(self.arn());
        let request =
            request.number_of_bytes(bytes_of(length)).set_encryption_context(Some(entries(context)));
        let sent = request.customize().config_override(self.signed()).send().await;
        let answer = self.explained(sent.map_err(|e| failure(Call::Key, &e))).await?;
        let request_id = answer.request_id().map(Into::into);
        self.same_key(answer.key_id.as_deref())?;
        Ok(Answer { value: ciphertext(answer.ciphertext_blob)?, request_id })
    }

    pub(crate) async fn wrap(
        &self,
        key: &PlaintextKey,
        context: WrapContext<'_>,
    ) -> Result<Answer<Ciphertext>, ProviderError> {
        // The SDK wants a Vec of its own and offers no way to wipe it; the process's allocator wipes what it frees.
        let request = self.client.encrypt().key_id(self.arn()).plaintext(Blob::new(key.expose()));
        let request = request.encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault);
        let request = request.set_encryption_context(Some(entries(context)));
        let sent = request.customize().config_override(self.signed()).send().await;
        let answer = self.explained(sent.map_err(|e| failure(Call::Key, &e))).await?;
        let request_id = answer.request_id().map(Into::into);
        self.same_key(answer.key_id.as_deref())?;
        Ok(Answer { value: ciphertext(answer.ciphertext_blob)?, request_id })
    }

    pub(crate) async fn unwrap(
        &self,
        wrapped: &Ciphertext,
        context: WrapContext<'_>,
    ) -> Result<Answer<PlaintextKey>, ProviderError> {
        no_version(&wrapped.key_version)?;
        if !(1..=MAX_CIPHERTEXT).contains(&wrapped.bytes.len()) {
            return Err(ProviderError::new(Fault::Rejected, "a KMS ciphertext has 1 to 6144 bytes"));
        }
        let request =
            self.client.decrypt().key_id(self.arn()).ciphertext_blob(Blob::new(wrapped.bytes.as_ref()));
        let request = request.encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault);
        let request = request.set_encryption_context(Some(entries(context)));
        let sent = request.customize().config_override(self.signed()).send().await;
        let answer = self.explained(sent.map_err(|e| failure(Call::Key, &e))).await?;
        let request_id = answer.request_id().map(Into::into);
        let key = self.plaintext(answer.plaintext)?;
        self.same_key(answer.key_id.as_deref())?;
        Ok(Answer { value: key, request_id })
    }

    pub(crate) async fn describe(&self) -> Result<Answer<KeyDescription>, ProviderError> {
        let (metadata, request_id) = self.metadata().await?;
        fit_for_use(&metadata, self.arn()).map_err(|error| error.with_request_id(request_id.as_deref()))?;
        let rotates = self.rotates().await;
        let warnings = warnings(&metadata, &rotates);
        let description =
            KeyDescription { current_version: KeyVersion::none(), rotates: rotates.ok(), warnings };
        Ok(Answer { value: description, request_id })
    }

    pub(crate) async fn metadata(&self) -> Result<(KeyMetadata, Option<Box<str>>), ProviderError> {
        let request = self.client.describe_key().key_id(self.arn());
        let answer = request.customize().config_override(self.signed()).send().await;
        let answer = answer.map_err(|e| failure(Call::Key, &e))?;
        let request_id = answer.request_id().map(Into::into);
        Ok((answer.key_metadata.ok_or_else(incomplete)?, request_id))
    }

    pub(crate) async fn rotates(&self) -> Result<bool, ProviderError> {
        let request = self.client.get_key_rotation_status().key_id(self.arn());
        let answer = request.customize().config_override(self.signed()).send().await;
        answer.map(|answer| answer.key_rotation_enabled).map_err(|e| failure(Call::Key, &e))
    }

    /// `outcome`, with an ambiguous refusal resolved by asking: a key in a state that forbids the call may be on its way
    /// out, which is a denial, or behind a key store that is down, which is not. No answer to that question, not even a
    /// denial of it, makes a denial of the first.
    async fn explained<T>(&self, outcome: Result<T, ProviderError>) -> Result<T, ProviderError> {
        let Err(error) = outcome else { return outcome };
        if error.code() != Some(INVALID_STATE) {
            return Err(error);
        }
        let state = self.metadata().await.ok().and_then(|(metadata, _)| metadata.key_state);
        let fault = state.and_then(|state| unusable(&state)).unwrap_or(Fault::Unavailable);
        Err(ProviderError::new(fault, error.detail())
            .with_code(error.code())
            .with_request_id(error.request_id()))
    }

    /// Moves a key out of the SDK's buffer and wipes that.
    fn plaintext(&self, blob: Option<Blob>) -> Result<PlaintextKey, ProviderError> {
        let mut bytes = blob.ok_or_else(incomplete)?.into_inner();
        PlaintextKey::take(self.arena, &mut bytes).map_err(|error| match error {
            SecretError::InvalidLength { .. } => ProviderError::new(
                Fault::Rejected,
                "what was wrapped is no key: its length is not one of a key",
            ),
            _ => ProviderError::new(
                Fault::Throttled { by: Throttler::OwnBudget, retry_after: None },
                "no locked memory is free for the key",
            )
            .with_code(Some("ARENA_FULL")),
        })
    }

    /// Whether KMS used the key that we addressed. Anything else is an answer to some other question.
    fn same_key(&self, answered: Option<&str>) -> Result<(), ProviderError> {
        if answered == Some(self.arn()) {
            return Ok(());
        }
        let error =
            ProviderError::new(Fault::Unavailable, "the answer names another key than the one addressed");
        Err(error.with_code(Some("KEY_MISMATCH")))
    }

    pub(crate) fn arn(&self) -> &str {
        self.session.key.as_str()
    }

    fn signed(&self) -> aws_sdk_kms::config::Builder {
        aws_sdk_kms::config::Builder::new()
            .credentials_provider(self.session.credentials.clone())
            .http_client(self.session.http.clone())
    }
}

/// AWS keys have no versions to address.
pub(crate) fn no_version(version: &KeyVersion) -> Result<(), ProviderError> {
    if version.is_none() {
        return Ok(());
    }
    Err(ProviderError::new(Fault::Rejected, "a key of AWS KMS has no versions to address"))
}

/// The caller's entries and ours. Names that begin with `leasehold:` are reserved, so ours never replace the caller's.
fn entries(context: WrapContext<'_>) -> HashMap<String, String> {
    let callers = context.context.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let header = (HEADER_ENTRY.to_owned(), context.header.to_string());
    let purpose = (PURPOSE_ENTRY.to_owned(), context.purpose.as_str().to_owned());
    callers.chain([header, purpose]).collect()
}

fn bytes_of(length: KeyLength) -> i32 {
    // At most 64.
    i32::try_from(length.bytes()).unwrap_or(i32::MAX)
}

fn ciphertext(blob: Option<Blob>) -> Result<Ciphertext, ProviderError> {
    let bytes = blob.map(|blob| Bytes::from(blob.into_inner())).filter(|bytes| !bytes.is_empty());
    Ok(Ciphertext { bytes: bytes.ok_or_else(incomplete)?, key_version: KeyVersion::none() })
}

fn incomplete() -> ProviderError {
    ProviderError::new(Fault::Unavailable, "the answer of KMS is incomplete")
}

/// Whether nobody may use a key in this state; `None` if it can be used, or if the state says nothing about that.
/// <https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html>
fn unusable(state: &AwsState) -> Option<Fault> {
    match state {
        AwsState::Disabled => Some(Fault::KeyUnusable(KeyState::Disabled)),
        AwsState::PendingDeletion | AwsState::PendingReplicaDeletion | AwsState::PendingImport => {
            Some(Fault::KeyUnusable(KeyState::PendingDeletion))
        }
        _ => None,
    }
}

/// Our codes for keys that exist and cannot serve.
pub(crate) const KEY_HAS_ANOTHER_ARN: &str = "KEY_HAS_ANOTHER_ARN";
pub(crate) const KEY_IS_OF_ANOTHER_KIND: &str = "KEY_IS_OF_ANOTHER_KIND";
pub(crate) const KEY_IS_MANAGED_BY_AWS: &str = "KEY_IS_MANAGED_BY_AWS";

fn fit_for_use(metadata: &KeyMetadata, arn: &str) -> Result<(), ProviderError> {
    let misconfigured = |code: &str, advice: &str| {
        Err(ProviderError::new(Fault::Misconfigured, advice).with_code(Some(code)))
    };
    if metadata.arn() != Some(arn) {
        return misconfigured(
            KEY_HAS_ANOTHER_ARN,
            "KMS knows this key by another ARN: give the one that describe-key prints",
        );
    }
    if metadata.key_spec() != Some(&KeySpec::SymmetricDefault)
        || metadata.key_usage() != Some(&KeyUsageType::EncryptDecrypt)
    {
        return misconfigured(
            KEY_IS_OF_ANOTHER_KIND,
            "the key is not a symmetric encryption key: create one with key spec SYMMETRIC_DEFAULT and key usage \
             ENCRYPT_DECRYPT, because only those bind the encryption context",
        );
    }
    if metadata.key_manager() == Some(&KeyManagerType::Aws) {
        return misconfigured(
            KEY_IS_MANAGED_BY_AWS,
            "the key is managed by AWS and its policy cannot be edited: use a customer managed key",
        );
    }
    match metadata.key_state() {
        // A Multi-Region key that changes its primary region goes on working.
        Some(AwsState::Enabled | AwsState::Updating) => Ok(()),
        Some(state) => {
            let fault = unusable(state).unwrap_or(Fault::Unavailable);
            let error = ProviderError::new(fault, format!("KMS says that the key is {}", state.as_str()));
            Err(error.with_code(Some(state.as_str())))
        }
        None => Err(incomplete()),
    }
}

pub(crate) fn warnings(metadata: &KeyMetadata, rotates: &Result<bool, ProviderError>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |reason, text: &str| warnings.push(Warning { reason, text: text.to_owned() });
    let by_kms = metadata.origin() == Some(&OriginType::AwsKms);
    match rotates {
        Ok(true) => {}
        Ok(false) if by_kms => {
            warn("ROTATION_OFF", "KMS does not rotate the key: turn on its automatic rotation.")
        }
        Ok(false) => {}
        Err(_) => warn(
            "ROTATION_UNKNOWN",
            "Whether KMS rotates the key cannot be seen: allow the role kms:GetKeyRotationStatus.",
        ),
    }
    if metadata.multi_region() == Some(true) {
        warn(
            "MULTI_REGION",
            "The key is a Multi-Region key: disabling it here leaves its replicas in other regions usable; disable those too \
             when you revoke.",
        );
    }
    if metadata.valid_to().is_some() {
        warn(
            "MATERIAL_EXPIRES",
            "The key's imported material expires: import it again in time, or nothing can be unwrapped.",
        );
    }
    if metadata.custom_key_store_id().is_some() {
        warn(
            "CUSTOM_KEY_STORE",
            "The key is in a custom key store: while that store is down keys cannot be unwrapped, and leases lapse.",
        );
    }
    warnings
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
