//! Requests as they leave us, and answers that no healthy service gives.

use bytes::Bytes;
use leasehold_envelope::KeyVersion;
use leasehold_provider::{Ciphertext, Edge, Fault, KeyProvider, ProviderError, Session, Throttler};
use leasehold_provider_azure::{AzureConfig, AzureProvider, Endpoints, Identity};
use leasehold_secret::{Arena, ArenaConfig, KeyLength, PlaintextKey};
use serde_json::{Value, json};

use crate::wire::{TOKEN, Wire};
use crate::world::{binding_in, bound, dek};

const HOME: &str = "10000000-0000-4000-8000-000000000001";
const CLIENT: &str = "10000000-0000-4000-8000-0000000000a1";
const DIRECTORY: &str = "20000000-0000-4000-8000-000000000001";
const KEY: &str = "https://acme.vault.azure.net/keys/main";
const VERSION: &str = "0123456789abcdef0123456789abcdef";
const SECRET: &str = "the client's secret";

struct Bench {
    wire: Wire,
    provider: AzureProvider,
    arena: Arena,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn start() -> Self {
        let wire = Wire::start().await;
        let folder = tempfile::tempdir().unwrap();
        let (ca, secret) = (folder.path().join("ca.pem"), folder.path().join("secret"));
        std::fs::write(&ca, &wire.authority).unwrap();
        std::fs::write(&secret, SECRET).unwrap();
        let arena =
            Arena::new(ArenaConfig { bytes: ArenaConfig::MIN_BYTES, ..ArenaConfig::default() }).unwrap();
        let here = Some(wire.url.clone());
        let config = AzureConfig {
            identity: Identity::Secret { file: secret },
            endpoints: Endpoints { entra: here.clone(), key_vault: here, managed_identity: None },
            extra_root_cas: vec![ca],
            ..AzureConfig::new(CLIENT.parse().unwrap(), HOME.parse().unwrap())
        };
        let provider = AzureProvider::build(config, arena.clone()).await.unwrap();
        Self { wire, provider, arena, _folder: folder }
    }

    async fn assume(&self) -> Result<Session, ProviderError> {
        self.provider.assume(&binding_in("acme", KEY, DIRECTORY)).await.map(|answer| answer.value)
    }

    async fn session(&self) -> Session {
        self.wire.answer_token();
        self.assume().await.unwrap()
    }

    async fn unwrap(&self, session: &Session, bytes: usize) -> Result<PlaintextKey, ProviderError> {
        let wrapped = Ciphertext { bytes: Bytes::from(vec![7; bytes]), key_version: version() };
        let bound = bound();
        self.provider.unwrap(session, &wrapped, dek(&bound)).await.map(|answer| answer.value)
    }

    async fn generate(&self, session: &Session) -> Result<(), ProviderError> {
        let bound = bound();
        self.provider.generate(session, KeyLength::B32, &version(), dek(&bound)).await.map(drop)
    }
}

fn version() -> KeyVersion {
    VERSION.parse().unwrap()
}

fn result(kid: &str, bytes: &[u8]) -> Value {
    json!({ "kid": kid, "value": data_encoding::BASE64URL_NOPAD.encode(bytes) })
}

fn this_version() -> String {
    format!("{KEY}/{VERSION}")
}

#[tokio::test]
async fn an_assume_asks_the_tenants_directory_for_a_token_for_vaults() {
    let bench = Bench::start().await;
    bench.session().await;
    let asked = &bench.wire.requests()[0];
    assert_eq!(asked.line, format!("POST /{DIRECTORY}/oauth2/v2.0/token HTTP/1.1"));
    assert_eq!(asked.headers["host"], "login.microsoftonline.com");
    let form: std::collections::BTreeMap<_, _> =
        url::form_urlencoded::parse(asked.body.as_bytes()).into_owned().collect();
    assert_eq!(form["scope"], "https://vault.azure.net/.default");
    assert_eq!((form["client_id"].as_str(), form["grant_type"].as_str()), (CLIENT, "client_credentials"));
}

#[tokio::test]
async fn every_use_of_a_key_is_one_request_that_names_its_version_and_the_algorithm() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    bench.wire.answer(200, result(&this_version(), &[0; 256]));
    bench.generate(&session).await.unwrap();
    bench.wire.answer(200, result(&this_version(), &[0; 80]));
    assert!(bench.unwrap(&session, 256).await.is_err());
    let requests = bench.wire.requests();
    assert_eq!(requests.len(), 3, "no request is sent twice, not even to be told which token is wanted");
    for (asked, operation) in requests[1..].iter().zip(["wrapkey", "unwrapkey"]) {
        let line = format!("POST /keys/main/{VERSION}/{operation}?");
        assert!(asked.line.starts_with(&line), "{}", asked.line);
        assert_eq!(asked.headers["host"], "acme.vault.azure.net");
        assert_eq!(asked.headers["authorization"], format!("Bearer {TOKEN}"));
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        assert_eq!(body["alg"], "RSA-OAEP-256");
        assert_eq!(body.as_object().unwrap().len(), 2, "algorithm and value, nothing else");
    }
}

#[tokio::test]
async fn no_session_uses_the_token_of_another() {
    let bench = Bench::start().await;
    for round in 0..2 {
        let token = format!("eyJhbGciOiJub25lIn0.e30.cm91bmQ{round}");
        bench.wire.answer(200, json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": token }));
        let session = bench.assume().await.unwrap();
        bench.wire.answer(200, result(&this_version(), &[0; 256]));
        bench.generate(&session).await.unwrap();
        let asked = bench.wire.requests();
        assert_eq!(asked.last().unwrap().headers["authorization"], format!("Bearer {token}"));
    }
}

#[tokio::test]
async fn an_answer_that_names_another_key_or_version_is_no_answer() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for kid in [
        KEY.to_owned(),
        format!("{KEY}/"),
        format!("{KEY}2/{VERSION}"),
        format!("{KEY}/{}", VERSION.replace('0', "1")),
        format!("https://evil.vault.azure.net/keys/main/{VERSION}"),
        String::new(),
    ] {
        bench.wire.answer(200, result(&kid, &[0; 256]));
        let error = bench.generate(&session).await.unwrap_err();
        assert_eq!((error.fault(), error.code()), (&Fault::Unavailable, Some("KEY_MISMATCH")), "{kid}");
        bench.wire.answer(200, result(&kid, &[0; 64]));
        let error = bench.unwrap(&session, 256).await.err().unwrap();
        assert_eq!((error.fault(), error.code()), (&Fault::Unavailable, Some("KEY_MISMATCH")), "{kid}");
    }
}

#[tokio::test]
async fn an_answer_with_parts_missing_is_no_answer() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for body in [
        "{}".to_owned(),
        json!({ "kid": this_version() }).to_string(),
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
    ] {
        bench.wire.answer(200, &body);
        assert_eq!(bench.unwrap(&session, 256).await.err().unwrap().fault(), &Fault::Unavailable, "{body}");
        bench.wire.answer(200, &body);
        assert_eq!(bench.generate(&session).await.unwrap_err().fault(), &Fault::Unavailable, "{body}");
    }
    for length in [0, 1, 255, 257, 1024] {
        bench.wire.answer(200, result(&this_version(), &vec![0; length]));
        assert_eq!(
            bench.generate(&session).await.unwrap_err().fault(),
            &Fault::Unavailable,
            "{length} bytes"
        );
    }
    for body in [
        json!({}),
        json!({ "access_token": "", "expires_in": 3599 }),
        json!({ "access_token": TOKEN, "expires_in": 0 }),
        json!({ "access_token": TOKEN }),
    ] {
        bench.wire.answer(200, &body);
        assert_eq!(bench.assume().await.unwrap_err().fault(), &Fault::Unavailable, "{body}");
    }
}

/// A refusal of Entra's; the description is JSON as it is sent.
fn refusal(code: u32, description: &str) -> String {
    format!(
        r#"{{"error":"unauthorized_client","error_description":"{description}","error_codes":[{code}],"timestamp":"2026-11-21 00:00:00Z","trace_id":"t-1","correlation_id":"c-1"}}"#
    )
}

#[tokio::test]
async fn p2_a_denied_assume_is_one_whatever_is_escaped_in_its_description() {
    let bench = Bench::start().await;
    for (code, description, detail) in [
        (
            7_000_112,
            r"AADSTS7000112: Application 'a'(leasehold) is disabled.\r\nTrace ID: t-1\r\nCorrelation ID: c-1",
            "AADSTS7000112: Application 'a'(leasehold) is disabled.",
        ),
        (
            53_003,
            r#"AADSTS53003: Blocked by a \"Conditional Access\" policy. Trace ID: t-1"#,
            "AADSTS53003: Blocked by a \"Conditional Access\" policy.",
        ),
        (
            700_016,
            r"AADSTS700016: Application with identifier \u0027a\u0027 was not found.",
            "AADSTS700016: Application with identifier 'a' was not found.",
        ),
        (65_001, "AADSTS65001: Nobody consented.", "AADSTS65001: Nobody consented."),
    ] {
        bench.wire.answer(400, refusal(code, description));
        let error = bench.assume().await.unwrap_err();
        assert_eq!(error.fault(), &Fault::Denied { edge: Edge::Trust { hop: 0 } }, "{description}");
        assert_eq!(error.code(), Some(format!("AADSTS{code}").as_str()));
        assert_eq!((error.detail(), error.request_id()), (detail, Some("t-1")));
    }
}

#[tokio::test]
async fn a_token_for_an_absurd_time_is_no_answer() {
    let bench = Bench::start().await;
    for seconds in [i64::MAX, i64::MIN, 1 << 40, 48 * 3600 + 1, -1, 0] {
        let token = json!({ "token_type": "Bearer", "expires_in": seconds, "access_token": TOKEN });
        bench.wire.answer(200, token);
        let error = bench.assume().await.unwrap_err();
        assert_eq!((error.fault(), error.request_id()), (&Fault::Unavailable, Some("wire-1")), "{seconds}");
    }
    bench.session().await;
}

#[tokio::test]
async fn p9_an_answer_that_is_too_long_is_no_answer() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let padded = |mut answer: Value| {
        answer["padding"] = json!("x".repeat(256 * 1024));
        answer
    };
    let token = json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN });
    bench.wire.answer(200, padded(token));
    assert_eq!(bench.assume().await.unwrap_err().fault(), &Fault::Unavailable);
    bench.wire.answer(200, padded(result(&this_version(), &[0; 256])));
    assert_eq!(bench.generate(&session).await.unwrap_err().fault(), &Fault::Unavailable);
    let denial = serde_json::from_str(&refusal(7_000_112, "AADSTS7000112: Disabled.")).unwrap();
    bench.wire.answer(400, padded(denial));
    assert_eq!(bench.assume().await.unwrap_err().fault(), &Fault::Unavailable);
    bench.wire.answer(429, padded(json!({})));
    let throttled = Fault::Throttled { by: Throttler::Cloud, retry_after: None };
    assert_eq!(bench.assume().await.unwrap_err().fault(), &throttled, "the head was read");
}

#[tokio::test]
async fn what_was_wrapped_for_nobody_or_is_no_key_is_rejected() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for length in [1, 31, 32, 33, 48, 64, 96, 190] {
        bench.wire.answer(200, result(&this_version(), &vec![0; length]));
        assert_eq!(bench.unwrap(&session, 256).await.err().unwrap().fault(), &Fault::Rejected, "{length}");
    }
}

#[tokio::test]
async fn what_cannot_be_a_ciphertext_is_rejected_without_asking() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for length in [0, 1, 128, 255, 257, 383, 513, 4096] {
        assert_eq!(bench.unwrap(&session, length).await.err().unwrap().fault(), &Fault::Rejected, "{length}");
    }
    assert_eq!(bench.wire.requests().len(), 1, "the token's");
}

#[tokio::test]
async fn what_a_proxy_says_is_not_what_the_tenant_says() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let page = "<html><body>Access Denied by corporate policy</body></html>";
    for status in [400, 401, 403, 404, 407, 500, 502, 503] {
        bench.wire.answer(status, page);
        assert_eq!(bench.unwrap(&session, 256).await.err().unwrap().fault(), &Fault::Unavailable, "{status}");
        bench.wire.answer(status, page);
        assert_eq!(bench.assume().await.unwrap_err().fault(), &Fault::Unavailable, "{status}");
    }
    let throttled = Fault::Throttled { by: Throttler::Cloud, retry_after: None };
    bench.wire.answer(429, page);
    assert_eq!(bench.unwrap(&session, 256).await.err().unwrap().fault(), &throttled);
    bench.wire.answer(429, page);
    assert_eq!(bench.assume().await.unwrap_err().fault(), &throttled);
}

#[tokio::test]
async fn a_full_arena_is_our_own_shortage_and_nothing_is_asked() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let fill = || PlaintextKey::generate(&bench.arena, KeyLength::B32);
    let held: Vec<_> = std::iter::from_fn(|| fill().ok()).collect();
    assert_eq!(held.len(), bench.arena.capacity());
    let error = bench.generate(&session).await.unwrap_err();
    let ours = Fault::Throttled { by: Throttler::OwnBudget, retry_after: None };
    assert_eq!((error.fault(), error.code()), (&ours, Some("ARENA_FULL")));
    assert_eq!(bench.wire.requests().len(), 1, "the token's");
}

#[tokio::test]
async fn nothing_that_can_be_printed_shows_a_secret() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    bench
        .wire
        .answer(401, json!({ "error": { "code": "Unauthorized", "message": "AKV10022: Invalid audience" } }));
    let error = bench.unwrap(&session, 256).await.err().unwrap();
    assert_eq!(error.fault(), &Fault::SessionExpired);
    let printed = format!("{session:?} {:?} {error:?} {error}", bench.provider);
    for secret in [SECRET, TOKEN] {
        assert!(!printed.contains(secret), "{printed}");
    }
}
