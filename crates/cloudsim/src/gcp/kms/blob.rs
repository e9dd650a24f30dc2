//! The ciphertexts of the simulated Cloud KMS.
//!
//! ```text
//! magic (4) | version of the key, big-endian (4) | key (16) | nonce (12) | AES-256-GCM ciphertext and tag
//! ```
//! Everything before the ciphertext, the key's name and the additional authenticated data are authenticated. The real
//! layout is undisclosed and its ciphertexts are opaque to callers, as these should be.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use zeroize::Zeroizing;

use crate::gcp::world::key::{Key, Version};
use crate::secret::fill_random;

/// Real ciphertexts begin with the first two of these as well.
const MAGIC: [u8; 4] = [0x0a, 0x24, 0x00, 0x4c];
const UID: usize = 16;
/// 96 random bits: a simulated key never encrypts anywhere near the 2^32 messages at which they would collide.
const NONCE: usize = 12;

struct Parts<'a> {
    header: &'a [u8],
    version: u32,
    key: &'a [u8],
    nonce: &'a [u8],
    sealed: &'a [u8],
}

/// Encrypts under a version of a key.
pub(super) fn seal(key: &Key, version: &Version, aad: &[u8], plaintext: &[u8]) -> Option<Vec<u8>> {
    let mut blob = Vec::with_capacity(MAGIC.len() + 4 + UID + NONCE + plaintext.len() + 16);
    blob.extend_from_slice(&MAGIC);
    blob.extend_from_slice(&version.number.to_be_bytes());
    blob.extend_from_slice(&key.uid);
    let mut nonce = [0; NONCE];
    fill_random(&mut nonce).ok()?;
    blob.extend_from_slice(&nonce);
    let aad = bound(&blob, key, aad);
    let sealed = cipher(version)?.encrypt(&Nonce::from(nonce), Payload { msg: plaintext, aad: &aad }).ok()?;
    blob.extend_from_slice(&sealed);
    Some(blob)
}

/// Decrypts what this version made.
pub(super) fn open(key: &Key, version: &Version, aad: &[u8], blob: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let parts = parse(blob)?;
    let nonce: [u8; NONCE] = parts.nonce.try_into().ok()?;
    let aad = bound(parts.header, key, aad);
    let payload = Payload { msg: parts.sealed, aad: &aad };
    cipher(version)?.decrypt(&Nonce::from(nonce), payload).ok().map(Zeroizing::new)
}

/// The version that a ciphertext says it is of.
pub(super) fn version(blob: &[u8]) -> Option<u32> {
    parse(blob).map(|parts| parts.version)
}

/// Whether a ciphertext says that it is of this key.
pub(super) fn is_of(key: &Key, blob: &[u8]) -> bool {
    parse(blob).is_some_and(|parts| parts.key == key.uid)
}

fn cipher(version: &Version) -> Option<Aes256Gcm> {
    Aes256Gcm::new_from_slice(version.material.expose()).ok()
}

fn parse(blob: &[u8]) -> Option<Parts<'_>> {
    let rest = blob.strip_prefix(&MAGIC)?;
    let (version, rest) = rest.split_first_chunk::<4>()?;
    let (key, rest) = rest.split_at_checked(UID)?;
    let (nonce, sealed) = rest.split_at_checked(NONCE)?;
    let header = &blob[..blob.len() - sealed.len()];
    Some(Parts { header, version: u32::from_be_bytes(*version), key, nonce, sealed })
}

/// The header, the key's name and the caller's data, with the length of what is between them.
fn bound(header: &[u8], key: &Key, aad: &[u8]) -> Vec<u8> {
    let name = key.name.to_string();
    let mut bound = header.to_vec();
    bound.extend_from_slice(&(name.len() as u64).to_be_bytes());
    bound.extend_from_slice(name.as_bytes());
    bound.extend_from_slice(aad);
    bound
}
