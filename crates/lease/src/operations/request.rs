//! What can be known of an unwrap without asking the cloud.

use bytes::Bytes;
use leasehold_envelope::{Body, EncryptionContext, Envelope, Header, WrappedKey};
use leasehold_provider::Ciphertext;
use leasehold_tenant::Binding;

use crate::LeaseError;
use crate::canary::Canary;

/// A wrapped key that belongs to the binding and the context that it was presented with.
pub(super) struct UnwrapRequest<'a> {
    pub(super) wrapped: &'a WrappedKey,
    pub(super) context: &'a EncryptionContext,
    pub(super) header: Header,
    pub(super) ciphertext: Ciphertext,
}

impl<'a> UnwrapRequest<'a> {
    /// Checks all that can be checked without asking the cloud. The envelope's key id only has to *equal* the binding's;
    /// the cloud is always given the binding's.
    pub(super) fn check(
        binding: &Binding,
        wrapped: &'a WrappedKey,
        context: &'a EncryptionContext,
    ) -> Result<Self, LeaseError> {
        let envelope = Envelope::parse(wrapped.as_bytes()).map_err(LeaseError::Envelope)?;
        let header = envelope.header().clone();
        let ours = header.tenant == *binding.name.tenant()
            && header.binding == *binding.name.binding()
            && header.provider == binding.provider
            && header.key_id == binding.key;
        if !ours {
            return Err(LeaseError::ForeignEnvelope);
        }
        // Each version asked for gets a lease, of which there are few: none for one that the cloud cannot have.
        if Canary::of(binding)?.key_version().is_none() != header.key_version.is_none() {
            return Err(LeaseError::ForeignEnvelope);
        }
        if header.hierarchy != binding.hierarchy {
            return Err(LeaseError::WrongHierarchy);
        }
        if header.context != context.commitment() {
            return Err(LeaseError::WrongContext);
        }
        let Body::Direct { ciphertext } = envelope.body() else {
            return Err(LeaseError::WrongHierarchy);
        };
        let ciphertext =
            Ciphertext { bytes: Bytes::clone(ciphertext), key_version: header.key_version.clone() };
        Ok(Self { wrapped, context, header, ciphertext })
    }
}
