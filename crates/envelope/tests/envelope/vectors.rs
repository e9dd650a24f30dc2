//! The published vectors, byte for byte. They were computed by another implementation, in another language.

use std::collections::BTreeMap;

use aes_gcm::aead::Payload;
use aes_gcm::{Aes256Gcm, KeyInit, aead::Aead};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use hkdf::Hkdf;
use leasehold_envelope::{Body, EncryptionContext, Envelope, EnvelopeError, Header, Hierarchy, KekScope};
use serde::Deserialize;
use sha2::{Digest, Sha256};

const FILE: &str = include_str!("../../vectors/envelope-v1.json");
const DOCUMENT: &str = include_str!("../../../../docs/envelope.md");

/// Bytes written in hexadecimal.
#[derive(Deserialize, PartialEq, Debug)]
#[serde(try_from = "String")]
struct Hex(Vec<u8>);

impl TryFrom<String> for Hex {
    type Error = data_encoding::DecodeError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        HEXLOWER.decode(text.as_bytes()).map(Self)
    }
}

impl Hex {
    fn array(&self) -> [u8; 32] {
        self.0.as_slice().try_into().unwrap()
    }
}

#[derive(Deserialize)]
struct Vectors {
    version: u8,
    contexts: Vec<ContextVector>,
    envelopes: Vec<EnvelopeVector>,
    rejected: Vec<RejectedVector>,
}

#[derive(Deserialize)]
struct ContextVector {
    name: String,
    entries: BTreeMap<String, String>,
    encoding: Hex,
    commitment: Hex,
}

#[derive(Deserialize)]
struct EnvelopeVector {
    name: String,
    header: HeaderVector,
    header_encoding: Hex,
    header_digest: Hex,
    body: BodyVector,
    derivation: Option<Derivation>,
    envelope: Hex,
}

#[derive(Deserialize)]
struct HeaderVector {
    hierarchy: Hierarchy,
    provider: String,
    key_id: String,
    key_version: String,
    tenant: String,
    binding: String,
    context: EncryptionContext,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum BodyVector {
    Direct { ciphertext: Hex },
    Kek { scope: String, wrapped_kek: Hex, salt: Hex, commitment: Hex, sealed_dek: Hex },
}

#[derive(Deserialize)]
struct Derivation {
    kek: Hex,
    kek_header_digest: Hex,
    info: Hex,
    derived_key: Hex,
    dek: Hex,
}

#[derive(Deserialize)]
struct RejectedVector {
    name: String,
    bytes: Hex,
    error: String,
}

fn vectors() -> Vectors {
    let vectors: Vectors = serde_json::from_str(FILE).unwrap();
    assert_eq!(vectors.version, 1);
    assert!(vectors.contexts.len() >= 8 && vectors.envelopes.len() >= 8 && vectors.rejected.len() >= 25);
    vectors
}

impl HeaderVector {
    fn header(&self) -> Header {
        Header {
            hierarchy: self.hierarchy,
            provider: self.provider.parse().unwrap(),
            key_id: self.key_id.parse().unwrap(),
            key_version: self.key_version.parse().unwrap(),
            tenant: self.tenant.parse().unwrap(),
            binding: self.binding.parse().unwrap(),
            context: self.context.commitment(),
        }
    }
}

fn scope(name: &str) -> KekScope {
    if name.is_empty() { KekScope::binding() } else { KekScope::entry(name).unwrap() }
}

impl BodyVector {
    fn body(&self) -> Body {
        let copy = |hex: &Hex| Bytes::copy_from_slice(&hex.0);
        match self {
            Self::Direct { ciphertext } => Body::Direct { ciphertext: copy(ciphertext) },
            Self::Kek { scope: name, wrapped_kek, salt, commitment, sealed_dek } => Body::Kek {
                scope: scope(name),
                wrapped_kek: copy(wrapped_kek),
                salt: salt.array(),
                commitment: commitment.array(),
                sealed_dek: copy(sealed_dek),
            },
        }
    }
}

#[test]
fn commitments_are_as_published() {
    for vector in vectors().contexts {
        let context = EncryptionContext::try_from(vector.entries).unwrap();
        assert_eq!(context.commitment().as_bytes(), &vector.commitment.array(), "{}", vector.name);
        assert_eq!(Sha256::digest(&vector.encoding.0).as_slice(), vector.commitment.0, "{}", vector.name);
    }
}

#[test]
fn envelopes_encode_and_parse_as_published() {
    for vector in vectors().envelopes {
        let header = vector.header.header();
        assert_eq!(header.digest().as_bytes(), &vector.header_digest.array(), "{}", vector.name);
        assert_eq!(
            Sha256::digest(&vector.header_encoding.0).as_slice(),
            vector.header_digest.0,
            "{}",
            vector.name
        );
        assert!(vector.envelope.0.starts_with(&vector.header_encoding.0), "{}", vector.name);
        let envelope = Envelope::new(header, vector.body.body()).unwrap();
        assert_eq!(envelope.encode().as_bytes(), vector.envelope.0, "{}", vector.name);
        assert_eq!(Envelope::parse(&vector.envelope.0).as_ref(), Ok(&envelope), "{}", vector.name);
    }
}

#[test]
fn malformed_bytes_are_rejected_as_published() {
    for vector in vectors().rejected {
        let error = Envelope::parse(&vector.bytes.0).expect_err(&vector.name);
        assert_eq!(kind(error), vector.error, "{}", vector.name);
    }
}

fn kind(error: EnvelopeError) -> String {
    format!("{error:?}").split([' ', '{']).next().unwrap_or_default().to_owned()
}

/// Follows `docs/envelope.md`, section "A DEK under a KEK", step by step.
#[test]
fn keys_under_a_kek_derive_as_published() {
    let all = vectors().envelopes;
    let with: Vec<_> = all.iter().filter_map(|v| Some((v, v.derivation.as_ref()?))).collect();
    assert!(with.len() >= 3);
    for (vector, derivation) in with {
        let BodyVector::Kek { scope: name, salt, commitment, sealed_dek, .. } = &vector.body else {
            panic!("{}: a derivation without a kek body", vector.name)
        };
        let header = vector.header.header();
        let narrowed = scope(name).narrow(&vector.header.context).unwrap().commitment();
        let kek_header = Header { context: narrowed, ..header.clone() };
        assert_eq!(kek_header.digest().as_bytes(), &derivation.kek_header_digest.array());

        let start = vector.header_encoding.0.len();
        let end = vector.envelope.0.len() - (32 + 32 + 1 + sealed_dek.0.len());
        let wrapping = Sha256::digest(&vector.envelope.0[start..end]);
        let info = [b"leasehold/kek/v1".as_slice(), header.digest().as_bytes(), &wrapping].concat();
        assert_eq!(info, derivation.info.0);

        let mut okm = [0; 64];
        Hkdf::<Sha256>::new(Some(&salt.0), &derivation.kek.0).expand(&info, &mut okm).unwrap();
        assert_eq!((&okm[..32], &okm[32..]), (derivation.derived_key.0.as_slice(), commitment.0.as_slice()));

        let cipher = Aes256Gcm::new_from_slice(&okm[..32]).unwrap();
        let payload = Payload { msg: sealed_dek.0.as_slice(), aad: b"" };
        let dek = cipher.decrypt(&[0; 12].into(), payload).unwrap();
        assert_eq!(dek, derivation.dek.0, "{}", vector.name);
    }
}

#[test]
fn the_document_prints_the_vectors_that_it_explains() {
    // The example is a table whose first column, read downwards, is the envelope.
    let column = |line: &'static str| line.strip_prefix("| ")?.split_whitespace().next();
    let example = DOCUMENT.split_once("\nEnvelope:\n").unwrap().1;
    let bytes: String = example.lines().filter_map(column).filter(|word| *word != "bytes").collect();
    let vectors = vectors();
    let direct = &vectors.envelopes[0];
    assert_eq!(bytes, HEXLOWER.encode(&direct.envelope.0));
    let digest = HEXLOWER.encode(&direct.header_digest.0);
    assert!(DOCUMENT.contains(&digest), "docs/envelope.md lacks {digest}");
    let context = direct.header.context.commitment().to_string();
    assert!(DOCUMENT.contains(&context), "docs/envelope.md lacks {context}");
}
