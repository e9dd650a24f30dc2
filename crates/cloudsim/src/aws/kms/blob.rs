//! The ciphertext blobs of the simulated KMS.
//!
//! ```text
//! magic (4) | length of key id (1) | key id | backing id (16) | nonce (12) | AES-256-GCM ciphertext and tag
//! ```
//! Everything before the ciphertext, and the encryption context, is authenticated. The real layout is undisclosed and
//! its blobs are opaque to callers, as these should be.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use zeroize::Zeroizing;

use super::parameters::Context;
use crate::aws::sigv4::sha256_hex;
use crate::aws::world::key::{Backing, Key};
use crate::secret::fill_random;

const MAGIC: [u8; 4] = [0x01, 0x02, 0x03, 0x4c];
const BACKING: usize = 16;
/// 96 random bits: a simulated key never encrypts anywhere near the 2^32 messages at which they would collide.
const NONCE: usize = 12;

/// The parts of a blob.
struct Parts<'a> {
    header: &'a [u8],
    key_id: &'a str,
    backing: &'a [u8],
    nonce: &'a [u8],
    sealed: &'a [u8],
}

/// Encrypts under a generation of a key.
pub(super) fn seal(key: &Key, backing: &Backing, context: &Context, plaintext: &[u8]) -> Option<Vec<u8>> {
    let mut blob =
        Vec::with_capacity(MAGIC.len() + 1 + key.arn.id.len() + BACKING + NONCE + plaintext.len() + 16);
    blob.extend_from_slice(&MAGIC);
    blob.push(u8::try_from(key.arn.id.len()).ok()?);
    blob.extend_from_slice(key.arn.id.as_bytes());
    blob.extend_from_slice(&backing.id);
    let mut nonce = [0; NONCE];
    fill_random(&mut nonce).ok()?;
    blob.extend_from_slice(&nonce);
    let aad = aad(&blob, context);
    let payload = Payload { msg: plaintext, aad: &aad };
    let sealed = cipher(backing)?.encrypt(&Nonce::from(nonce), payload).ok()?;
    blob.extend_from_slice(&sealed);
    Some(blob)
}

/// Decrypts a blob that this key made, under whichever of its generations.
pub(super) fn open(key: &Key, context: &Context, blob: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let parts = parse(blob)?;
    let backing = key.backing(parts.backing).filter(|_| parts.key_id == key.arn.id)?;
    let nonce: [u8; NONCE] = parts.nonce.try_into().ok()?;
    let aad = aad(parts.header, context);
    let payload = Payload { msg: parts.sealed, aad: &aad };
    cipher(backing)?.decrypt(&Nonce::from(nonce), payload).ok().map(Zeroizing::new)
}

/// The id of the key that a blob says it is of.
pub(super) fn key_id(blob: &[u8]) -> Option<String> {
    parse(blob).map(|parts| parts.key_id.to_owned())
}

/// The id of the generation that a blob says it is of: 64 hexadecimal digits, as KMS shows them.
pub(super) fn material_id(key: &Key, blob: &[u8]) -> Option<String> {
    let backing = key.backing(parse(blob)?.backing)?;
    Some(sha256_hex(&backing.id))
}

fn cipher(backing: &Backing) -> Option<Aes256Gcm> {
    Aes256Gcm::new_from_slice(backing.material.expose()).ok()
}

fn parse(blob: &[u8]) -> Option<Parts<'_>> {
    let rest = blob.strip_prefix(&MAGIC)?;
    let (length, rest) = rest.split_first()?;
    let (key_id, rest) = rest.split_at_checked(usize::from(*length))?;
    let (backing, rest) = rest.split_at_checked(BACKING)?;
    let (nonce, sealed) = rest.split_at_checked(NONCE)?;
    let header = &blob[..blob.len() - sealed.len()];
    Some(Parts { header, key_id: std::str::from_utf8(key_id).ok()?, backing, nonce, sealed })
}

/// The header and the context, every text preceded by its length so that no two contexts look alike.
fn aad(header: &[u8], context: &Context) -> Vec<u8> {
    let mut aad = header.to_vec();
    for text in context.iter().flat_map(|(key, value)| [key, value]) {
        aad.extend_from_slice(&(text.len() as u64).to_be_bytes());
        aad.extend_from_slice(text.as_bytes());
    }
    aad
}
