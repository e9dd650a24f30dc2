//! What a cloud must do for us.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use leasehold_envelope::{EncryptionContext, HeaderDigest, KeyVersion, Purpose};
use leasehold_ids::ProviderKind;
use leasehold_secret::{KeyLength, PlaintextKey};
use leasehold_tenant::Binding;

use crate::{Cause, Depth, FailedStage, Finding, KitRequest, OnboardingKit, ProviderError, Session};

/// What the cloud's ciphertext is bound to besides the key. A ciphertext made with one must not open with another.
#[derive(Debug, Clone, Copy)]
pub struct WrapContext<'a> {
    /// What kind of key is wrapped; keeps a KEK or a canary from being passed off as a DEK.
    pub purpose: Purpose,
    /// Authenticates the envelope's header.
    pub header: &'a HeaderDigest,
    /// The caller's encryption context, visible in the tenant's audit log where the cloud logs it.
    pub context: &'a EncryptionContext,
}

/// What a cloud answered, and the id under which the tenant finds the call in their audit log.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// What was asked for.
    pub value: T,
    /// The cloud's request id, if it gave one.
    pub request_id: Option<Box<str>>,
}

/// What the cloud made of a plaintext key. Opaque to everybody but the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ciphertext {
    /// The cloud's bytes.
    pub bytes: Bytes,
    /// The key version that the cloud used; equal to the one addressed, or empty where the cloud has none.
    pub key_version: KeyVersion,
}

/// A new key with its ciphertext. Has no Debug: it holds plaintext.
pub struct Generated {
    /// The new key.
    pub key: PlaintextKey,
    /// The same key, wrapped.
    pub ciphertext: Ciphertext,
}

/// Something that `describe` noticed and the tenant or operator should know, for example that rotation is off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// UPPER_SNAKE, stable.
    pub reason: &'static str,
    /// One sentence that says what to do.
    pub text: String,
}

/// The state of the binding's key as the cloud describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDescription {
    /// The version that wraps now; empty where the cloud has none.
    pub current_version: KeyVersion,
    /// Whether the cloud rotates the key by itself, where that is visible to us.
    pub rotates: Option<bool>,
    /// What the tenant or operator should know.
    pub warnings: Vec<Warning>,
}

/// Who we are before we become anybody's principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnIdentity {
    /// As the cloud names us, for example an ARN. What a tenant's trust policy must name.
    pub principal: String,
    /// The cloud account that we live in.
    pub account: String,
}

/// One cloud.
///
/// To write your own: make `assume` ask the cloud anew on every call, at every hop, whatever an SDK would cache; address
/// the *binding's* key on every call, never one named by a ciphertext; bind the whole [`WrapContext`] into the
/// ciphertext; move plaintext straight into a [`PlaintextKey`] and wipe what it came in; map the cloud's codes to
/// [`ProviderError`] in one table. Set no retries or timeouts of your own: [`crate::Guarded`] does. Then run
/// `leasehold-provider-conformance`.
#[async_trait]
pub trait KeyProvider: Send + Sync + fmt::Debug + 'static {
    /// Which cloud this is.
    fn kind(&self) -> &ProviderKind;

    /// Checks a binding's key and settings without asking the cloud.
    ///
    /// # Errors
    /// [`crate::Fault::Misconfigured`] with what to change.
    fn check(&self, binding: &Binding) -> Result<(), ProviderError>;

    /// Who we are before we become anybody's principal.
    ///
    /// # Errors
    /// [`crate::Fault::OwnIdentity`] or [`crate::Fault::Unavailable`].
    async fn own_identity(&self) -> Result<OwnIdentity, ProviderError>;

    /// Becomes the binding's principal, anew at every hop.
    ///
    /// # Errors
    /// [`crate::Fault::Denied`] at the trust edge if the cloud says no.
    async fn assume(&self, binding: &Binding) -> Result<Answer<Session>, ProviderError>;

    /// Tries to become the principal as a confused deputy would: without, and with a wrong, external id; or looks for
    /// the challenge on the key. Ok if the tenant is protected.
    ///
    /// # Errors
    /// [`crate::Fault::Misconfigured`] if the principal lets anybody in through us.
    async fn check_deputy(&self, binding: &Binding, session: &Session) -> Result<(), ProviderError>;

    /// A new key of `length` under `version` of the binding's key.
    ///
    /// # Errors
    /// See [`crate::Fault`].
    async fn generate(
        &self,
        session: &Session,
        length: KeyLength,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Generated>, ProviderError>;

    /// A new wrapped key whose plaintext nobody needs yet; on clouds that can, it never leaves them.
    ///
    /// # Errors
    /// See [`crate::Fault`].
    async fn generate_without_plaintext(
        &self,
        session: &Session,
        length: KeyLength,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Ciphertext>, ProviderError>;

    /// `key`, wrapped under `version` of the binding's key.
    ///
    /// # Errors
    /// See [`crate::Fault`].
    async fn wrap(
        &self,
        session: &Session,
        key: &PlaintextKey,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Ciphertext>, ProviderError>;

    /// The key that `ciphertext` wraps.
    ///
    /// # Errors
    /// See [`crate::Fault`]; [`crate::Fault::Rejected`] if the ciphertext was not made for this key and context.
    async fn unwrap(
        &self,
        session: &Session,
        ciphertext: &Ciphertext,
        context: WrapContext<'_>,
    ) -> Result<Answer<PlaintextKey>, ProviderError>;

    /// The state of the binding's key.
    ///
    /// # Errors
    /// See [`crate::Fault`].
    async fn describe(&self, session: &Session) -> Result<Answer<KeyDescription>, ProviderError>;

    /// What the tenant must paste for a binding to work, how they revoke, and what the proofs cost them. Its policies grant
    /// no more than we need: taking any statement away must break the binding.
    ///
    /// # Errors
    /// [`crate::Fault::Misconfigured`] if the binding's settings cannot work.
    fn onboarding_kit(&self, request: &KitRequest<'_>) -> Result<OnboardingKit, ProviderError>;

    /// The principals that an assume becomes one after another, as the cloud names them; the last is the tenant's. Empty if
    /// the settings cannot be read, which is the default.
    fn hops(&self, binding: &Binding) -> Vec<String> {
        let _ = binding;
        Vec::new()
    }

    /// What [`Self::check_deputy`] does, for people, in a few words that begin with a verb.
    fn deputy(&self, binding: &Binding) -> String {
        let _ = binding;
        "make sure that nobody else gets in through us".to_owned()
    }

    /// Why a step of a verification failed: the likely causes, the likeliest first, each with the exact change that mends it.
    /// May ask the cloud to tell causes apart, but nothing that has an effect there. A cause that the cloud's answer proves
    /// comes alone. Default: none are known.
    async fn explain(&self, failed: &FailedStage<'_>) -> Vec<Cause> {
        let _ = failed;
        Vec::new()
    }

    /// What no step of a proof shows, looked up with a session that works: rotation, protection against deletion, expiry,
    /// permission boundaries and, if asked for, permissions that we do not need. Default: nothing.
    async fn inspect(
        &self,
        binding: &Binding,
        own: Option<&OwnIdentity>,
        session: &Session,
        depth: Depth,
    ) -> Vec<Finding> {
        let _ = (binding, own, session, depth);
        Vec::new()
    }
}
