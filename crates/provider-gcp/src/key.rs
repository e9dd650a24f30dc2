//! Using the tenant's key with a session, and finding out what state it is in.

use bytes::Bytes;
use google_cloud_kms_v1::client::KeyManagementService;
use google_cloud_kms_v1::model::{CryptoKey, EncryptResponse};
use leasehold_envelope::KeyVersion;
use leasehold_provider::{
    Answer, Ciphertext, Fault, Generated, KeyDescription, ProviderError, Throttler, WrapContext,
};
use leasehold_secret::{Arena, KeyLength, PlaintextKey, SecretError};
use zeroize::Zeroize;

use crate::aad;
use crate::assume::KeySession;
use crate::call::CallId;
use crate::error::{Call, failure};
use crate::kms::signed;
use crate::state::{current_version, fit_for_use, warnings};

/// The longest ciphertext that we send. Cloud KMS adds some 60 bytes to the at most 64 of a key; the rest is headroom that
/// keeps nonsense from being sent.
const MAX_CIPHERTEXT: usize = 6144;

/// The key of a session, as Cloud KMS has it.
pub(crate) struct SessionKey<'a> {
    pub(crate) kms: &'a KeyManagementService,
    pub(crate) session: &'a KeySession,
    pub(crate) arena: &'a Arena,
}

impl SessionKey<'_> {
    /// Cloud KMS makes no keys to wrap; this one is the operating system's.
    pub(crate) async fn generate(
        &self,
        length: KeyLength,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Generated>, ProviderError> {
        let key = PlaintextKey::generate(self.arena, length).map_err(no_memory)?;
        let Answer { value: ciphertext, request_id } = self.wrap(&key, version, context).await?;
        Ok(Answer { value: Generated { key, ciphertext }, request_id })
    }

    pub(crate) async fn wrap(
        &self,
        key: &PlaintextKey,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Ciphertext>, ProviderError> {
        let (name, aad) = (self.version_name(version)?, aad::encode(&context, version));
        let id = CallId::new();
        // The SDK wants bytes of its own and offers no way to wipe them; the process's allocator wipes what it frees.
        let request = self
            .kms
            .encrypt()
            .set_name(&name)
            .set_plaintext_crc32c(checksum(key.expose()))
            .set_plaintext(Bytes::copy_from_slice(key.expose()))
            .set_additional_authenticated_data_crc32c(checksum(&aad))
            .set_additional_authenticated_data(aad);
        let sent = signed(self.session, &id, request.send()).await;
        let answer = sent.map_err(|error| failure(Call::Use, &error, &id))?;
        let bytes = verified(answer, &name, &id)?;
        let value = Ciphertext { bytes, key_version: version.clone() };
        Ok(Answer { value, request_id: Some(id.as_str().into()) })
    }

    pub(crate) async fn unwrap(
        &self,
        wrapped: &Ciphertext,
        context: WrapContext<'_>,
    ) -> Result<Answer<PlaintextKey>, ProviderError> {
        self.version_name(&wrapped.key_version)?;
        if !(1..=MAX_CIPHERTEXT).contains(&wrapped.bytes.len()) {
            return Err(rejected("a ciphertext of Cloud KMS has 1 to 6144 bytes"));
        }
        let aad = aad::encode(&context, &wrapped.key_version);
        let id = CallId::new();
        let request = self
            .kms
            .decrypt()
            .set_name(self.session.plan.key.as_str())
            .set_ciphertext_crc32c(checksum(&wrapped.bytes))
            .set_ciphertext(wrapped.bytes.clone())
            .set_additional_authenticated_data_crc32c(checksum(&aad))
            .set_additional_authenticated_data(aad);
        let sent = signed(self.session, &id, request.send()).await;
        // Its Debug prints the plaintext: it is never to be formatted.
        let answer = sent.map_err(|error| failure(Call::Use, &error, &id))?;
        let key = self.plaintext(answer.plaintext, answer.plaintext_crc32c, &id)?;
        Ok(Answer { value: key, request_id: Some(id.as_str().into()) })
    }

    pub(crate) async fn describe(&self) -> Result<Answer<KeyDescription>, ProviderError> {
        let Answer { value: key, request_id } = self.look().await?;
        let plan = &self.session.plan;
        fit_for_use(&key, plan).map_err(|error| error.with_request_id(request_id.as_deref()))?;
        let description = KeyDescription {
            current_version: current_version(&key, plan)?,
            rotates: Some(key.next_rotation_time.is_some()),
            warnings: warnings(&key),
        };
        Ok(Answer { value: description, request_id })
    }

    /// The key as Cloud KMS describes it, fit or not.
    pub(crate) async fn look(&self) -> Result<Answer<CryptoKey>, ProviderError> {
        let (plan, id) = (&self.session.plan, CallId::new());
        let request = self.kms.get_crypto_key().set_name(plan.key.as_str());
        let sent = signed(self.session, &id, request.send()).await;
        let key = sent.map_err(|error| failure(Call::Look, &error, &id))?;
        same_name(&key.name, plan.key.as_str(), &id)?;
        Ok(Answer { value: key, request_id: Some(id.as_str().into()) })
    }

    /// Which of `permissions` the session has on the key. Needs no permission itself.
    pub(crate) async fn permitted(&self, permissions: &[&str]) -> Result<Vec<String>, ProviderError> {
        let (plan, id) = (&self.session.plan, CallId::new());
        let request = self.kms.test_iam_permissions().set_resource(plan.key.as_str());
        let request = request.set_permissions(permissions.iter().copied());
        let sent = signed(self.session, &id, request.send()).await;
        sent.map(|answer| answer.permissions).map_err(|error| failure(Call::Look, &error, &id))
    }

    /// Moves a key out of the SDK's buffer and wipes that.
    fn plaintext(
        &self,
        bytes: Bytes,
        stated: Option<i64>,
        id: &CallId,
    ) -> Result<PlaintextKey, ProviderError> {
        let actual = checksum(&bytes);
        // Nobody else has this buffer, so it is not copied; if somebody had, both are wiped with the process's allocator.
        let mut bytes = bytes.try_into_mut().unwrap_or_else(|shared| shared.as_ref().into());
        if stated != Some(actual) {
            bytes.zeroize();
            return Err(corrupted("the plaintext does not match its checksum", id));
        }
        PlaintextKey::take(self.arena, &mut bytes).map_err(|error| match error {
            SecretError::InvalidLength { .. } => {
                rejected("what was wrapped is no key: its length is not one of a key")
            }
            error => no_memory(error),
        })
    }

    /// The resource of `version`, which is a number from 1.
    fn version_name(&self, version: &KeyVersion) -> Result<String, ProviderError> {
        let version = version.as_str();
        let is_number = (1..=18).contains(&version.len())
            && !version.starts_with('0')
            && version.bytes().all(|b| b.is_ascii_digit());
        if !is_number {
            return Err(rejected("a version of a Cloud KMS key is a number from 1"));
        }
        Ok(format!("{}/cryptoKeyVersions/{version}", self.session.plan.key))
    }
}

/// The ciphertext of an answer that is about this version, of exactly what we sent, and that arrived as it was made.
fn verified(answer: EncryptResponse, name: &str, id: &CallId) -> Result<Bytes, ProviderError> {
    same_name(&answer.name, name, id)?;
    if !answer.verified_plaintext_crc32c || !answer.verified_additional_authenticated_data_crc32c {
        return Err(corrupted("Cloud KMS did not verify the checksums of what it was sent", id));
    }
    if answer.ciphertext.is_empty() || answer.ciphertext_crc32c != Some(checksum(&answer.ciphertext)) {
        return Err(corrupted("the ciphertext does not match its checksum", id));
    }
    Ok(answer.ciphertext)
}

/// Whether Cloud KMS used what we addressed. Anything else is an answer to some other question.
fn same_name(answered: &str, addressed: &str, id: &CallId) -> Result<(), ProviderError> {
    if answered == addressed {
        return Ok(());
    }
    let error = ProviderError::new(Fault::Unavailable, "the answer names another key than the one addressed");
    Err(error.with_code(Some("KEY_MISMATCH")).with_request_id(Some(id.as_str())))
}

/// CRC32C, which Google asks for because it can compute it at every step of the way
/// (<https://cloud.google.com/kms/docs/data-integrity-guidelines>).
fn checksum(bytes: &[u8]) -> i64 {
    i64::from(crc32c::crc32c(bytes))
}

/// Bytes that changed on the way. Nobody's fault, and another attempt may succeed.
fn corrupted(detail: &str, id: &CallId) -> ProviderError {
    let error = ProviderError::new(Fault::Unavailable, detail);
    error.with_code(Some("CRC32C_MISMATCH")).with_request_id(Some(id.as_str()))
}

fn rejected(detail: &str) -> ProviderError {
    ProviderError::new(Fault::Rejected, detail)
}

fn no_memory(error: SecretError) -> ProviderError {
    match error {
        SecretError::Randomness => {
            ProviderError::new(Fault::Unavailable, "the operating system gives no random bytes")
        }
        _ => ProviderError::new(
            Fault::Throttled { by: Throttler::OwnBudget, retry_after: None },
            "no locked memory is free for the key",
        )
        .with_code(Some("ARENA_FULL")),
    }
}
