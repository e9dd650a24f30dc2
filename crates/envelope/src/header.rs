//! What an envelope says in the clear about the key inside.

use leasehold_ids::{BindingId, ProviderKind, TenantId};

use crate::context::narrow;
use crate::digest::sha256;
use crate::reader::{self, Reader};
use crate::{ContextCommitment, EnvelopeError, HeaderDigest, Hierarchy, KeyId, KeyVersion};

/// The first bytes of every envelope, in every version.
pub(crate) const MAGIC: [u8; 4] = *b"LSHD";
/// The version of the format that this code writes.
pub(crate) const VERSION: u8 = 1;

/// The entry that we add to an AWS encryption context to bind the header: its value is the header's digest in lower-case
/// hexadecimal.
pub const CONTEXT_HEADER: &str = "leasehold:header";
/// The entry that we add to an AWS encryption context to bind the purpose: its value is [`crate::Purpose::as_str`].
pub const CONTEXT_PURPOSE: &str = "leasehold:purpose";

/// The clear part of an envelope. Its digest is bound into the cloud ciphertext, so that a changed header does not unwrap.
/// Until then it is only a claim: it selects among registered bindings, and never which key the cloud is asked to use.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Header {
    /// What wraps the DEK.
    pub hierarchy: Hierarchy,
    /// Whose KMS.
    pub provider: ProviderKind,
    /// The key in that KMS.
    pub key_id: KeyId,
    /// The key's version, resolved before wrapping; empty where the cloud has none to address.
    pub key_version: KeyVersion,
    /// The tenant that the key belongs to.
    pub tenant: TenantId,
    /// The tenant's binding that wrapped it.
    pub binding: BindingId,
    /// The encryption context that it was wrapped with.
    pub context: ContextCommitment,
}

impl Header {
    /// SHA-256 over the encoded header, magic and version included.
    #[must_use]
    pub fn digest(&self) -> HeaderDigest {
        let mut bytes = Vec::with_capacity(self.encoded_len());
        self.encode(&mut bytes);
        HeaderDigest::from_bytes(sha256(&bytes))
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[VERSION, self.hierarchy.code()]);
        put_short(out, self.provider.as_str().as_bytes());
        put_long(out, self.key_id.as_str().as_bytes());
        put_long(out, self.key_version.as_str().as_bytes());
        put_short(out, self.tenant.as_str().as_bytes());
        put_short(out, self.binding.as_str().as_bytes());
        out.extend_from_slice(self.context.as_bytes());
    }

    pub(crate) fn encoded_len(&self) -> usize {
        const FIXED: usize = MAGIC.len() + 2 + 3 + 2 * 2 + crate::digest::DIGEST;
        let texts = [
            self.provider.as_str(),
            self.key_id.as_str(),
            self.key_version.as_str(),
            self.tenant.as_str(),
            self.binding.as_str(),
        ];
        FIXED + texts.map(str::len).iter().sum::<usize>()
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, EnvelopeError> {
        if reader.array()? != MAGIC {
            return Err(EnvelopeError::NotAnEnvelope);
        }
        let [version] = reader.array()?;
        if version != VERSION {
            return Err(EnvelopeError::UnsupportedVersion { version });
        }
        let [hierarchy] = reader.array()?;
        Ok(Self {
            hierarchy: Hierarchy::from_code(hierarchy)?,
            provider: reader::text(reader.short()?, "provider kind")?,
            key_id: reader::text(reader.long()?, "key id")?,
            key_version: reader::text(reader.long()?, "key version")?,
            tenant: reader::text(reader.short()?, "tenant id")?,
            binding: reader::text(reader.short()?, "binding id")?,
            context: ContextCommitment::from_bytes(reader.array()?),
        })
    }
}

/// A field preceded by its length in one byte.
pub(crate) fn put_short(out: &mut Vec<u8>, field: &[u8]) {
    out.push(narrow(field.len()));
    out.extend_from_slice(field);
}

/// A field preceded by its length in two bytes, big-endian.
pub(crate) fn put_long(out: &mut Vec<u8>, field: &[u8]) {
    out.extend_from_slice(&narrow::<u16>(field.len()).to_be_bytes());
    out.extend_from_slice(field);
}
