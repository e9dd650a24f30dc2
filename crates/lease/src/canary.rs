//! The canary: a wrapped random value, not a secret, whose unwrapping is the second half of every proof.

use std::sync::Arc;

use bytes::Bytes;
use leasehold_envelope::{
    Body, EncryptionContext, Envelope, Header, HeaderDigest, Hierarchy, KeyVersion, Purpose, WrappedKey,
};
use leasehold_provider::{Ciphertext, KeyProvider, Session, WrapContext};
use leasehold_secret::{Arena, KeyLength, PlaintextKey};
use leasehold_tenant::Binding;

use crate::LeaseError;

/// The canary of one version of a binding's key; or what a caller lent in its place, see `lent`.
#[derive(Debug, Clone)]
pub(crate) struct Canary {
    purpose: Purpose,
    header: HeaderDigest,
    context: EncryptionContext,
    ciphertext: Ciphertext,
}

impl Canary {
    /// The canary that activation left in the binding.
    pub(crate) fn of(binding: &Binding) -> Result<Self, LeaseError> {
        let wrapped = binding.canary.as_ref().ok_or(LeaseError::NotActivated)?;
        let envelope = Envelope::parse(wrapped.as_bytes()).map_err(LeaseError::Envelope)?;
        let Body::Direct { ciphertext } = envelope.body() else {
            return Err(LeaseError::Internal("a canary is always wrapped directly"));
        };
        let header = envelope.header();
        let ciphertext =
            Ciphertext { bytes: Bytes::clone(ciphertext), key_version: header.key_version.clone() };
        Ok(Self::own(binding, header.digest(), ciphertext))
    }

    fn own(binding: &Binding, header: HeaderDigest, ciphertext: Ciphertext) -> Self {
        Self { purpose: Purpose::Canary, header, context: binding.canary_context.clone(), ciphertext }
    }

    /// A caller's wrapped key.
    pub(crate) fn lent(header: HeaderDigest, ciphertext: Ciphertext, context: EncryptionContext) -> Self {
        Self { purpose: Purpose::Dek, header, context, ciphertext }
    }

    pub(crate) fn is_lent(&self) -> bool {
        self.purpose != Purpose::Canary
    }

    /// A new canary under `version` of the binding's key, with its value, which only a check of it needs.
    async fn make(
        provider: &dyn KeyProvider,
        session: &Session,
        binding: &Binding,
        version: &KeyVersion,
        arena: &Arena,
    ) -> Result<(Self, PlaintextKey, WrappedKey), LeaseError> {
        let value = PlaintextKey::generate(arena, KeyLength::B32)?;
        let header = header(binding, version, &binding.canary_context);
        let digest = header.digest();
        let context =
            WrapContext { purpose: Purpose::Canary, header: &digest, context: &binding.canary_context };
        let answer = provider.wrap(session, &value, version, context).await;
        let ciphertext = answer.map_err(|error| LeaseError::from_proof(Arc::new(error)))?.value;
        if ciphertext.key_version != *version {
            return Err(LeaseError::Internal(OTHER_VERSION));
        }
        let body = Body::Direct { ciphertext: ciphertext.bytes.clone() };
        let wrapped = Envelope::new(header, body).map_err(LeaseError::Envelope)?.encode();
        Ok((Self::own(binding, digest, ciphertext), value, wrapped))
    }

    /// A new canary under `version`, which opened with its own value: whatever is wrapped under that version will, too.
    pub(crate) async fn proven(
        provider: &dyn KeyProvider,
        session: &Session,
        binding: &Binding,
        version: &KeyVersion,
        arena: &Arena,
    ) -> Result<(Self, WrappedKey), LeaseError> {
        let (canary, value, wrapped) = Self::make(provider, session, binding, version, arena).await?;
        if !canary.open(provider, session).await?.matches(&value) {
            return Err(LeaseError::Internal("the key gave back another value than it was given"));
        }
        Ok((canary, wrapped))
    }

    /// What the canary wraps, as the cloud says.
    pub(crate) async fn open(
        &self,
        provider: &dyn KeyProvider,
        session: &Session,
    ) -> Result<PlaintextKey, LeaseError> {
        let opened = provider.unwrap(session, &self.ciphertext, self.bound()).await;
        Ok(opened.map_err(|error| LeaseError::from_proof(Arc::new(error)))?.value)
    }

    pub(crate) fn ciphertext(&self) -> &Ciphertext {
        &self.ciphertext
    }

    pub(crate) fn key_version(&self) -> &KeyVersion {
        &self.ciphertext.key_version
    }

    pub(crate) fn header(&self) -> &HeaderDigest {
        &self.header
    }

    /// What it was bound to when it was wrapped.
    pub(crate) fn bound(&self) -> WrapContext<'_> {
        WrapContext { purpose: self.purpose, header: &self.header, context: &self.context }
    }
}

/// Why nothing is made of what a cloud wrapped with another version than it was told to.
pub(crate) const OTHER_VERSION: &str = "the cloud wrapped under another version than the one addressed";

/// The header of whatever is wrapped directly under `version` of the binding's key.
pub(crate) fn header(binding: &Binding, version: &KeyVersion, context: &EncryptionContext) -> Header {
    Header {
        hierarchy: Hierarchy::Direct,
        provider: binding.provider.clone(),
        key_id: binding.key.clone(),
        key_version: version.clone(),
        tenant: binding.name.tenant().clone(),
        binding: binding.name.binding().clone(),
        context: context.commitment(),
    }
}
