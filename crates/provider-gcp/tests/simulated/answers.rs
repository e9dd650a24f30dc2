//! Requests as they leave us, and answers that no healthy service gives.

use bytes::Bytes;
use data_encoding::BASE64;
use leasehold_envelope::{EncryptionContext, HeaderDigest, Purpose};
use leasehold_provider::{Ciphertext, Fault, KeyProvider, ProviderError, Session, Throttler, WrapContext};
use leasehold_provider_gcp::{BaseIdentity, Endpoints, FixedToken, GcpConfig, GcpProvider};
use leasehold_secret::{Arena, ArenaConfig, KeyLength, PlaintextKey};
use serde_json::{Value, json};

use crate::binding::binding;
use crate::wire::{TOKEN, Wire};

const KEY: &str = "projects/acme-prod/locations/europe-west3/keyRings/ring/cryptoKeys/key";
const ACCOUNT: &str = "leasehold@acme-prod.iam.gserviceaccount.com";
const OWN: &str = "our-own-token";

struct Bench {
    wire: Wire,
    provider: GcpProvider,
    arena: Arena,
}

impl Bench {
    async fn start() -> Self {
        let wire = Wire::start().await;
        let arena =
            Arena::new(ArenaConfig { bytes: ArenaConfig::MIN_BYTES, ..ArenaConfig::default() }).unwrap();
        let url = || Some(wire.url.clone());
        let config = GcpConfig {
            identity: BaseIdentity::Fixed(FixedToken::new(OWN)),
            principal: Some("leasehold@our-platform.iam.gserviceaccount.com".parse().unwrap()),
            endpoints: Endpoints { kms: url(), iam_credentials: url(), sts: None, metadata: None },
            ..GcpConfig::default()
        };
        let provider = GcpProvider::build(config, arena.clone()).await.unwrap();
        Self { wire, provider, arena }
    }

    async fn assume(&self, settings: Value) -> Result<Session, ProviderError> {
        self.provider.assume(&binding("acme", KEY, &settings)).await.map(|answer| answer.value)
    }

    async fn session(&self) -> Session {
        self.wire.answer_session();
        self.assume(json!({ "service_account": ACCOUNT })).await.unwrap()
    }

    async fn unwrap(&self, session: &Session) -> Result<PlaintextKey, ProviderError> {
        let (header, context) = (HeaderDigest::from_bytes([0; 32]), EncryptionContext::empty());
        let context = WrapContext { purpose: Purpose::Dek, header: &header, context: &context };
        let wrapped = Ciphertext { bytes: Bytes::from_static(b"wrapped"), key_version: "2".parse().unwrap() };
        self.provider.unwrap(session, &wrapped, context).await.map(|answer| answer.value)
    }

    async fn wrap(&self, session: &Session, key: &PlaintextKey) -> Result<Ciphertext, ProviderError> {
        let (header, context) = (HeaderDigest::from_bytes([0; 32]), EncryptionContext::empty());
        let context = WrapContext { purpose: Purpose::Dek, header: &header, context: &context };
        let wrapped = self.provider.wrap(session, key, &"2".parse().unwrap(), context).await;
        wrapped.map(|answer| answer.value)
    }

    fn key(&self) -> PlaintextKey {
        PlaintextKey::generate(&self.arena, KeyLength::B32).unwrap()
    }
}

fn crc(bytes: &[u8]) -> String {
    crc32c::crc32c(bytes).to_string()
}

/// What Encrypt answers when all went well.
fn encrypted() -> Value {
    json!({
        "name": format!("{KEY}/cryptoKeyVersions/2"),
        "ciphertext": BASE64.encode(b"wrapped"), "ciphertextCrc32c": crc(b"wrapped"),
        "verifiedPlaintextCrc32c": true, "verifiedAdditionalAuthenticatedDataCrc32c": true,
    })
}

/// What Decrypt answers when all went well.
fn decrypted(plaintext: &[u8]) -> Value {
    json!({ "plaintext": BASE64.encode(plaintext), "plaintextCrc32c": crc(plaintext), "usedPrimary": true })
}

#[tokio::test]
async fn an_assume_says_who_asks_for_whom_for_how_long_and_for_how_little() {
    let bench = Bench::start().await;
    bench.wire.answer_session();
    let delegate = "delegate@hop-project.iam.gserviceaccount.com";
    bench.assume(json!({ "service_account": ACCOUNT, "delegates": [delegate] })).await.unwrap();
    let seen = &bench.wire.requests()[0];
    assert_eq!(
        seen.line,
        format!("POST /v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken HTTP/1.1")
    );
    assert_eq!(
        seen.json(),
        json!({
            "delegates": [format!("projects/-/serviceAccounts/{delegate}")],
            "scope": ["https://www.googleapis.com/auth/cloudkms"],
            "lifetime": "900s",
        })
    );
    assert_eq!(seen.header("authorization"), Some("Bearer our-own-token"));
    assert!(seen.header("user-agent").is_some_and(|agent| agent.starts_with("leasehold/")));
}

#[tokio::test]
async fn a_call_can_be_found_in_the_tenants_audit_log_by_its_request_id() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let denied = json!({ "error": { "code": 403, "status": "PERMISSION_DENIED", "message": "no" } });
    bench.wire.answer(403, denied.to_string());
    let error = bench.unwrap(&session).await.err().unwrap();
    let request_id = error.request_id().unwrap();
    for (index, named) in [(0, "leasehold acme "), (1, request_id)] {
        let seen = &bench.wire.requests()[index];
        assert!(seen.header("x-goog-request-reason").unwrap().contains(named), "{seen:?}");
    }
}

#[tokio::test]
async fn a_wrap_is_addressed_to_the_version_and_carries_checksums() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    bench.wire.answer(200, encrypted().to_string());
    let key = bench.key();
    let wrapped = bench.wrap(&session, &key).await.unwrap();
    assert_eq!((wrapped.bytes.as_ref(), wrapped.key_version.as_str()), (b"wrapped".as_slice(), "2"));
    let seen = &bench.wire.requests()[1];
    assert!(seen.line.starts_with(&format!("POST /v1/{KEY}/cryptoKeyVersions/2:encrypt")), "{}", seen.line);
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
    let body = seen.json();
    let aad = BASE64.decode(body["additionalAuthenticatedData"].as_str().unwrap().as_bytes()).unwrap();
    assert!(aad.starts_with(b"leasehold/aad/v1\x03dek") && aad.ends_with(b"\x00\x012"));
    assert_eq!(body["additionalAuthenticatedDataCrc32c"].as_str(), Some(crc(&aad).as_str()));
    assert_eq!(body["plaintextCrc32c"].as_str(), Some(crc(key.expose()).as_str()));
}

#[tokio::test]
async fn an_unwrap_is_addressed_to_the_bindings_key() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    bench.wire.answer(200, decrypted(&[7; 32]).to_string());
    assert_eq!(bench.unwrap(&session).await.unwrap().expose(), [7; 32]);
    let seen = &bench.wire.requests()[1];
    assert!(seen.line.starts_with(&format!("POST /v1/{KEY}:decrypt")), "{}", seen.line);
    assert_eq!(seen.json()["ciphertextCrc32c"].as_str(), Some(crc(b"wrapped").as_str()));
    assert!(seen.json()["additionalAuthenticatedDataCrc32c"].is_string());
}

#[tokio::test]
async fn what_cannot_be_a_version_is_never_sent() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let (header, context) = (HeaderDigest::from_bytes([0; 32]), EncryptionContext::empty());
    let context = WrapContext { purpose: Purpose::Dek, header: &header, context: &context };
    for version in ["", "0", "01", "1/../2", "-1", "x", "1234567890123456789"] {
        let wrapped = Ciphertext { bytes: Bytes::from_static(b"w"), key_version: version.parse().unwrap() };
        let error = bench.provider.unwrap(&session, &wrapped, context).await.err().unwrap();
        assert_eq!(error.fault(), &Fault::Rejected, "{version}");
    }
    assert_eq!(bench.wire.requests().len(), 1, "the assume alone");
}

#[tokio::test]
async fn an_answer_that_names_another_key_is_no_answer() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for name in [format!("{KEY}/cryptoKeyVersions/1"), format!("{KEY}2/cryptoKeyVersions/2"), String::new()] {
        let mut other = encrypted();
        other["name"] = json!(name);
        bench.wire.answer(200, other.to_string());
        let error = bench.wrap(&session, &bench.key()).await.unwrap_err();
        assert_eq!((error.fault(), error.code()), (&Fault::Unavailable, Some("KEY_MISMATCH")));
    }
    bench.wire.answer(200, json!({ "name": format!("{KEY}2") }).to_string());
    let error = bench.provider.describe(&session).await.unwrap_err();
    assert_eq!((error.fault(), error.code()), (&Fault::Unavailable, Some("KEY_MISMATCH")));
}

#[tokio::test]
async fn what_was_not_verified_at_both_ends_is_not_wrapped() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for (field, value) in [
        ("verifiedPlaintextCrc32c", json!(false)),
        ("verifiedPlaintextCrc32c", Value::Null),
        ("verifiedAdditionalAuthenticatedDataCrc32c", json!(false)),
        ("ciphertextCrc32c", json!("1")),
        ("ciphertextCrc32c", Value::Null),
        ("ciphertext", json!(BASE64.encode(b"wrapqed"))),
        ("ciphertext", json!("")),
    ] {
        let mut broken = encrypted();
        broken[field] = value.clone();
        bench.wire.answer(200, broken.to_string());
        let error = bench.wrap(&session, &bench.key()).await.unwrap_err();
        assert_eq!(
            (error.fault(), error.code()),
            (&Fault::Unavailable, Some("CRC32C_MISMATCH")),
            "{field}: {value}"
        );
    }
}

#[tokio::test]
async fn what_was_not_verified_is_not_unwrapped() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for (field, value) in [
        ("plaintextCrc32c", json!("1")),
        ("plaintextCrc32c", Value::Null),
        ("plaintext", json!(BASE64.encode(&[8; 32]))),
    ] {
        let mut broken = decrypted(&[7; 32]);
        broken[field] = value.clone();
        bench.wire.answer(200, broken.to_string());
        let error = bench.unwrap(&session).await.err().unwrap();
        assert_eq!(
            (error.fault(), error.code()),
            (&Fault::Unavailable, Some("CRC32C_MISMATCH")),
            "{field}: {value}"
        );
    }
}

#[tokio::test]
async fn answers_with_parts_missing_are_no_answers() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for body in ["{}", "", "null", "[]", "{\"plaintext\":7}"] {
        bench.wire.answer(200, body);
        assert_eq!(bench.unwrap(&session).await.err().unwrap().fault(), &Fault::Unavailable, "{body}");
    }
    for body in [
        String::new(),
        "{}".to_owned(),
        json!({ "accessToken": TOKEN }).to_string(),
        json!({ "accessToken": TOKEN, "expireTime": "soon" }).to_string(),
        json!({ "accessToken": "", "expireTime": "2036-01-01T00:00:00Z" }).to_string(),
        json!({ "accessToken": "x".repeat(100_000), "expireTime": "2036-01-01T00:00:00Z" }).to_string(),
    ] {
        bench.wire.answer(200, body.clone());
        let error = bench.assume(json!({ "service_account": ACCOUNT })).await.unwrap_err();
        assert_eq!(error.fault(), &Fault::Unavailable, "{}", &body[..body.len().min(80)]);
    }
}

#[tokio::test]
async fn what_a_proxy_says_is_not_what_the_tenant_says() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let page = "<html><body>Access Denied by corporate policy</body></html>";
    for status in [400, 401, 403, 404, 407, 500, 502, 503] {
        bench.wire.answer(status, page);
        assert_eq!(bench.unwrap(&session).await.err().unwrap().fault(), &Fault::Unavailable, "{status}");
        bench.wire.answer(status, page);
        let error = bench.assume(json!({ "service_account": ACCOUNT })).await.unwrap_err();
        assert_eq!(error.fault(), &Fault::Unavailable, "{status}");
    }
    bench.wire.answer(429, page);
    let throttled = bench.unwrap(&session).await.err().unwrap();
    assert_eq!(throttled.fault(), &Fault::Throttled { by: Throttler::Cloud, retry_after: None });
}

#[tokio::test]
async fn p8_no_redirect_has_us_send_a_key_elsewhere() {
    let (bench, elsewhere) = (Bench::start().await, Wire::start().await);
    let session = bench.session().await;
    let location = format!("location: {}/v1/{KEY}:encrypt", elsewhere.url);
    for status in [301, 302, 303, 307, 308] {
        bench.wire.answer_with(&location, status, "");
        let error = bench.wrap(&session, &bench.key()).await.unwrap_err();
        assert_eq!(error.fault(), &Fault::Unavailable, "{status}");
        bench.wire.answer_with(&location, status, "");
        let error = bench.assume(json!({ "service_account": ACCOUNT })).await.unwrap_err();
        assert_eq!(error.fault(), &Fault::Unavailable, "{status}");
    }
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn p9_an_answer_without_end_is_not_read_to_it() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let padding = " ".repeat(1 << 20);
    bench.wire.answer(200, format!("{}{padding}", decrypted(&[7; 32])));
    assert_eq!(bench.unwrap(&session).await.err().unwrap().fault(), &Fault::Unavailable);
    let denied = json!({ "error": { "code": 403, "status": "PERMISSION_DENIED", "message": "no" } });
    bench.wire.answer(403, format!("{denied}{padding}"));
    assert_eq!(bench.unwrap(&session).await.err().unwrap().fault(), &Fault::Unavailable);
}

#[tokio::test]
async fn nothing_is_repeated_by_the_sdk() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let broken = json!({ "error": { "code": 503, "status": "UNAVAILABLE", "message": "away" } }).to_string();
    bench.wire.answer(503, broken.clone());
    assert!(bench.unwrap(&session).await.is_err());
    bench.wire.answer(503, broken);
    assert!(bench.provider.describe(&session).await.is_err());
    assert_eq!(bench.wire.requests().len(), 3);
}

#[tokio::test]
async fn a_token_of_our_own_that_is_refused_is_fetched_anew_once() {
    let bench = Bench::start().await;
    let refused =
        json!({ "error": { "code": 401, "status": "UNAUTHENTICATED", "message": "who" } }).to_string();
    bench.wire.answer(401, refused.clone());
    let error = bench.assume(json!({ "service_account": ACCOUNT })).await.unwrap_err();
    assert_eq!((error.fault(), bench.wire.requests().len()), (&Fault::OwnIdentity, 1), "it was fresh");
    bench.wire.answer(401, refused);
    bench.wire.answer_session();
    assert!(bench.assume(json!({ "service_account": ACCOUNT })).await.is_ok());
    assert_eq!(bench.wire.requests().len(), 3);
}

#[tokio::test]
async fn what_was_wrapped_must_have_a_keys_length() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for length in [0, 1, 31, 33, 65, 4096] {
        bench.wire.answer(200, decrypted(&vec![0; length]).to_string());
        assert_eq!(bench.unwrap(&session).await.err().unwrap().fault(), &Fault::Rejected, "{length}");
    }
}

#[tokio::test]
async fn a_full_arena_is_our_own_shortage() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let fill = || PlaintextKey::generate(&bench.arena, KeyLength::B32);
    let held: Vec<_> = std::iter::from_fn(|| fill().ok()).collect();
    assert_eq!(held.len(), bench.arena.capacity());
    bench.wire.answer(200, decrypted(&[7; 32]).to_string());
    let error = bench.unwrap(&session).await.err().unwrap();
    let ours = Fault::Throttled { by: Throttler::OwnBudget, retry_after: None };
    assert_eq!((error.fault(), error.code()), (&ours, Some("ARENA_FULL")));
}

#[tokio::test]
async fn nothing_that_can_be_printed_shows_a_secret() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let denied = json!({ "error": { "code": 403, "status": "PERMISSION_DENIED", "message": "no" } });
    bench.wire.answer(403, denied.to_string());
    let error = bench.unwrap(&session).await.err().unwrap();
    let printed = format!("{session:?} {:?} {error:?} {error}", bench.provider);
    for secret in [TOKEN, OWN] {
        assert!(!printed.contains(secret), "{printed}");
    }
}
