//! Requests as they leave us, and answers that no healthy service gives.

use aws_credential_types::Credentials;
use bytes::Bytes;
use leasehold_envelope::{EncryptionContext, HeaderDigest, KeyVersion, Purpose};
use leasehold_provider::{Ciphertext, Fault, KeyProvider, ProviderError, Session, Throttler, WrapContext};
use leasehold_provider_aws::{AwsConfig, AwsProvider, BaseIdentity, Endpoints};
use leasehold_secret::{Arena, ArenaConfig, KeyLength, PlaintextKey};
use serde_json::{Value, json};

use crate::wire::{SECRET, TOKEN, Wire};
use crate::world::{REGION, binding};

const KEY: &str = "arn:aws:kms:eu-central-1:200000000001:key/k";
const ROLE: &str = "arn:aws:iam::200000000001:role/tenant";
const HOP: &str = "arn:aws:iam::300000000001:role/hop";

struct Bench {
    wire: Wire,
    provider: AwsProvider,
    arena: Arena,
}

impl Bench {
    async fn start() -> Self {
        let wire = Wire::start().await;
        let arena =
            Arena::new(ArenaConfig { bytes: ArenaConfig::MIN_BYTES, ..ArenaConfig::default() }).unwrap();
        let config = AwsConfig {
            region: Some(REGION.parse().unwrap()),
            endpoints: Endpoints { sts: Some(wire.url.clone()), kms: Some(wire.url.clone()) },
            base: BaseIdentity::Fixed(Credentials::new("AKIA", "base-secret", None, None, "test")),
            ..AwsConfig::default()
        };
        let provider = AwsProvider::build(config, arena.clone()).await.unwrap();
        Self { wire, provider, arena }
    }

    async fn session(&self, settings: Value) -> Session {
        for _ in 0..=settings["chain"].as_array().map_or(0, Vec::len) {
            self.wire.answer_session();
        }
        self.provider.assume(&binding("acme", KEY, &settings)).await.unwrap().value
    }

    async fn unwrap(&self, session: &Session) -> Result<PlaintextKey, ProviderError> {
        let (header, context) = (HeaderDigest::from_bytes([0; 32]), EncryptionContext::empty());
        let context = WrapContext { purpose: Purpose::Dek, header: &header, context: &context };
        let wrapped = Ciphertext { bytes: Bytes::from_static(b"wrapped"), key_version: KeyVersion::none() };
        self.provider.unwrap(session, &wrapped, context).await.map(|answer| answer.value)
    }

    async fn generate(&self, session: &Session) -> Result<(), ProviderError> {
        let (header, context) = (HeaderDigest::from_bytes([0; 32]), EncryptionContext::empty());
        let context = WrapContext { purpose: Purpose::Dek, header: &header, context: &context };
        let version = KeyVersion::none();
        self.provider.generate(session, KeyLength::B32, &version, context).await.map(drop)
    }
}

/// Base64 of `length` zero bytes.
fn zeros(length: usize) -> String {
    data_encoding::BASE64.encode(&vec![0; length])
}

fn decrypted(key: &str, length: usize) -> String {
    json!({ "KeyId": key, "Plaintext": zeros(length), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT" })
        .to_string()
}

#[tokio::test]
async fn an_assume_says_who_we_are_for_whom_for_how_long_and_for_how_little() {
    let bench = Bench::start().await;
    bench.session(json!({ "role_arn": ROLE })).await;
    let form = bench.wire.form(0);
    let field = |name: &str| form.get(name).map(String::as_str);
    assert_eq!(field("Action"), Some("AssumeRole"));
    assert_eq!(field("RoleArn"), Some(ROLE));
    assert_eq!(field("RoleSessionName"), Some("leasehold-acme"));
    assert_eq!(field("DurationSeconds"), Some("900"));
    assert_eq!(field("ExternalId"), Some(binding("acme", KEY, &json!({})).external_id.as_str()));
    let policy: Value = serde_json::from_str(field("Policy").unwrap()).unwrap();
    assert_eq!(policy["Statement"][0]["Resource"], KEY);
    assert_eq!(policy["Statement"].as_array().unwrap().len(), 1);
    let undeclared =
        |name: &&String| name.starts_with("Tags") || name.starts_with("Trans") || name.contains("Source");
    assert_eq!(form.keys().find(undeclared), None, "nothing that the binding does not declare");
}

#[tokio::test]
async fn every_hop_of_a_chain_is_asked_and_may_do_nothing_but_go_on() {
    let bench = Bench::start().await;
    let chain = json!([{ "role_arn": HOP, "external_id": "hop-id" }]);
    bench.session(json!({ "role_arn": ROLE, "chain": chain })).await;
    let (first, last) = (bench.wire.form(0), bench.wire.form(1));
    assert_eq!((first["RoleArn"].as_str(), first["ExternalId"].as_str()), (HOP, "hop-id"));
    let policy: Value = serde_json::from_str(&first["Policy"]).unwrap();
    assert_eq!(policy["Statement"][0]["Resource"], ROLE);
    assert!(!first["Policy"].contains("kms:"), "{policy}");
    assert!(last["ExternalId"].starts_with("lh-") && last["Policy"].contains(KEY));
}

#[tokio::test]
async fn every_use_of_a_key_names_the_bindings_key_and_the_algorithm() {
    let bench = Bench::start().await;
    let session = bench.session(json!({ "role_arn": ROLE })).await;
    bench.wire.answer(200, decrypted(KEY, 32));
    assert!(bench.unwrap(&session).await.is_ok());
    let request: Value = serde_json::from_str(&bench.wire.requests()[1]).unwrap();
    assert_eq!(
        (&request["KeyId"], &request["EncryptionAlgorithm"]),
        (&json!(KEY), &json!("SYMMETRIC_DEFAULT"))
    );
    assert_eq!(request["EncryptionContext"]["leasehold:purpose"], "dek");
    assert_eq!(request["EncryptionContext"]["leasehold:header"], "00".repeat(32));
}

#[tokio::test]
async fn an_answer_that_names_another_key_is_no_answer() {
    let bench = Bench::start().await;
    let session = bench.session(json!({ "role_arn": ROLE })).await;
    bench.wire.answer(200, decrypted(&format!("{KEY}2"), 32));
    let error = bench.unwrap(&session).await.err().unwrap();
    assert_eq!((error.fault(), error.code()), (&Fault::Unavailable, Some("KEY_MISMATCH")));
    bench.wire.answer(
        200,
        json!({ "KeyId": "other", "Plaintext": zeros(32), "CiphertextBlob": zeros(8) }).to_string(),
    );
    let error = bench.generate(&session).await.unwrap_err();
    assert_eq!((error.fault(), error.code()), (&Fault::Unavailable, Some("KEY_MISMATCH")));
}

#[tokio::test]
async fn an_answer_with_parts_missing_is_no_answer() {
    let bench = Bench::start().await;
    let session = bench.session(json!({ "role_arn": ROLE })).await;
    for body in ["{}".to_owned(), json!({ "KeyId": KEY }).to_string(), String::new(), "null".to_owned()] {
        bench.wire.answer(200, body.clone());
        assert_eq!(bench.unwrap(&session).await.err().unwrap().fault(), &Fault::Unavailable, "{body}");
    }
    for body in [
        json!({ "KeyId": KEY, "Plaintext": zeros(16), "CiphertextBlob": zeros(8) }),
        json!({ "KeyId": KEY, "Plaintext": zeros(32) }),
        json!({ "KeyId": KEY, "Plaintext": zeros(32), "CiphertextBlob": "" }),
    ] {
        bench.wire.answer(200, body.to_string());
        assert_eq!(bench.generate(&session).await.unwrap_err().fault(), &Fault::Unavailable, "{body}");
    }
    let parts = |id: &str, secret: &str, token: &str| {
        format!(
            "<AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{token}</SessionToken>\
             <Expiration>2036-01-01T00:00:00Z</Expiration>"
        )
    };
    let without_expiry = parts("i", "s", "t").replace("Expiration>", "Other>");
    for credentials in
        [String::new(), parts("", "s", "t"), parts("i", "", "t"), parts("i", "s", ""), without_expiry]
    {
        bench.wire.answer(
            200,
            format!(
                "<AssumeRoleResponse><AssumeRoleResult><Credentials>{credentials}</Credentials></AssumeRoleResult>\
                 </AssumeRoleResponse>"
            ),
        );
        let assumed = bench.provider.assume(&binding("acme", KEY, &json!({ "role_arn": ROLE }))).await;
        assert_eq!(assumed.unwrap_err().fault(), &Fault::Unavailable, "{credentials}");
    }
    bench.wire.answer(200, "<AssumeRoleResponse><AssumeRoleResult></AssumeRoleResult></AssumeRoleResponse>");
    let assumed = bench.provider.assume(&binding("acme", KEY, &json!({ "role_arn": ROLE }))).await;
    assert_eq!(assumed.unwrap_err().fault(), &Fault::Unavailable);
}

#[tokio::test]
async fn what_a_proxy_says_is_not_what_the_tenant_says() {
    let bench = Bench::start().await;
    let session = bench.session(json!({ "role_arn": ROLE })).await;
    let page = "<html><body>Access Denied by corporate policy</body></html>";
    for status in [400, 403, 404, 407, 500, 502, 503] {
        bench.wire.answer(status, page);
        assert_eq!(bench.unwrap(&session).await.err().unwrap().fault(), &Fault::Unavailable, "{status}");
        bench.wire.answer(status, page);
        let assumed = bench.provider.assume(&binding("acme", KEY, &json!({ "role_arn": ROLE }))).await;
        assert_eq!(assumed.unwrap_err().fault(), &Fault::Unavailable, "{status}");
    }
    bench.wire.answer(429, page);
    let throttled = bench.unwrap(&session).await.err().unwrap();
    assert_eq!(throttled.fault(), &Fault::Throttled { by: Throttler::Cloud, retry_after: None });
}

#[tokio::test]
async fn what_was_wrapped_must_have_a_keys_length() {
    let bench = Bench::start().await;
    let session = bench.session(json!({ "role_arn": ROLE })).await;
    for length in [0, 1, 31, 33, 65, 4096] {
        bench.wire.answer(200, decrypted(KEY, length));
        let fault = bench.unwrap(&session).await.err().unwrap().fault().clone();
        assert!(matches!(fault, Fault::Rejected | Fault::Unavailable), "{length}: {fault:?}");
    }
}

#[tokio::test]
async fn a_full_arena_is_our_own_shortage() {
    let bench = Bench::start().await;
    let session = bench.session(json!({ "role_arn": ROLE })).await;
    let fill = || PlaintextKey::generate(&bench.arena, KeyLength::B32);
    let held: Vec<_> = std::iter::from_fn(|| fill().ok()).collect();
    assert_eq!(held.len(), bench.arena.capacity());
    bench.wire.answer(200, decrypted(KEY, 32));
    let error = bench.unwrap(&session).await.err().unwrap();
    let ours = Fault::Throttled { by: Throttler::OwnBudget, retry_after: None };
    assert_eq!((error.fault(), error.code()), (&ours, Some("ARENA_FULL")));
}

#[tokio::test]
async fn nothing_that_can_be_printed_shows_a_secret() {
    let bench = Bench::start().await;
    let session = bench.session(json!({ "role_arn": ROLE })).await;
    bench.wire.answer(
        403,
        json!({
            "__type": "InvalidSignatureException",
            "message": format!("The Canonical String should have been 'x-amz-security-token:{TOKEN}'"),
        })
        .to_string(),
    );
    let error = bench.unwrap(&session).await.err().unwrap();
    assert_eq!(error.fault(), &Fault::OwnIdentity);
    let printed = format!("{session:?} {:?} {error:?} {error}", bench.provider);
    for secret in [SECRET, TOKEN, "base-secret"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}
