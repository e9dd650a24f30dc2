//! Tokens, signed by an issuer of the tests' own.

use std::collections::BTreeMap;

use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use leasehold_clock::{ManualClock, TimeSource};
use leasehold_cloudsim::aws::issuer::{TestIssuer, TokenAlgorithm};
use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const ISSUER: &str = "https://accounts.example";
const EMAIL: &str = "feed@acme.iam.example";

/// An issuer that serves its keys, and counts how often it is asked.
struct Issuer {
    signs: TestIssuer,
    body: Arc<Mutex<Vec<u8>>>,
    asked: Arc<AtomicUsize>,
    clock: ManualClock,
    tokens: Tokens,
}

impl Issuer {
    async fn start() -> Self {
        crate::install_crypto_provider();
        let signs = TestIssuer::new(ISSUER).unwrap();
        let body = Arc::new(Mutex::new(signs.jwks().to_string().into_bytes()));
        let asked = Arc::new(AtomicUsize::new(0));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let (served, count) = (Arc::clone(&body), Arc::clone(&asked));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (served, count) = (Arc::clone(&served), Arc::clone(&count));
                tokio::spawn(async move {
                    let service = service_fn(async |_| {
                        count.fetch_add(1, Ordering::Relaxed);
                        let body = served.lock().unwrap().clone();
                        Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(bytes::Bytes::from(
                            body,
                        ))))
                    });
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        let terms = TokenTerms {
            issuer: ISSUER.into(),
            audience: "leasehold".into(),
            holder: Holder::Email(EMAIL.into()),
            jwks_url: url.parse().unwrap(),
        };
        let clock = ManualClock::new();
        let source: Arc<dyn TimeSource> = Arc::new(clock.clone());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let keys = Arc::new(Jwks::new(terms.jwks_url.clone(), http, source));
        Self { signs, body, asked, clock, tokens: Tokens { terms, keys } }
    }

    /// Claims that are as they should be, and `change`d.
    fn claims(&self, change: Value) -> BTreeMap<String, Value> {
        let now = self.clock.wall().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let good =
            json!({"aud": "leasehold", "email": EMAIL, "email_verified": true, "sub": "1", "exp": now + 600});
        let mut claims: BTreeMap<_, _> = serde_json::from_value(good).unwrap();
        claims.extend(serde_json::from_value::<BTreeMap<String, Value>>(change).unwrap());
        claims.retain(|_, value| !value.is_null());
        claims
    }

    async fn check(&self, token: &str) -> Result<(), TokenError> {
        claimed(token)?;
        self.tokens.check(token, self.clock.wall()).await
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn a_token_shows_its_feed_if_all_of_it_is_right() {
    let issuer = Issuer::start().await;
    let now = issuer.clock.wall().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for algorithm in [TokenAlgorithm::RS256, TokenAlgorithm::ES256] {
        for (change, right) in [
            (json!({}), true),
            (json!({"aud": ["other", "leasehold"], "nbf": now}), true),
            (json!({"exp": now - 30}), true),
            (json!({"exp": now - 61}), false),
            (json!({"exp": null}), false),
            (json!({"nbf": now + 61}), false),
            (json!({"iss": "https://other.example"}), false),
            (json!({"aud": "other"}), false),
            (json!({"aud": null}), false),
            (json!({"email": "other@acme.iam.example"}), false),
            (json!({"email": null, "sub": EMAIL}), false),
            (json!({"email_verified": false}), false),
            (json!({"email_verified": null}), false),
        ] {
            let token = issuer.signs.mint(algorithm, &issuer.claims(change.clone())).unwrap();
            assert_eq!(issuer.check(&token).await.is_ok(), right, "{change}");
        }
    }
    assert_eq!(issuer.asked(), 1, "the keys were fetched once");
}

#[tokio::test]
async fn a_token_that_was_not_signed_by_its_issuer_shows_nothing() {
    let issuer = Issuer::start().await;
    let claims = issuer.claims(json!({}));
    let token = issuer.signs.mint(TokenAlgorithm::RS256, &claims).unwrap();
    let other = TestIssuer::new(ISSUER).unwrap().mint(TokenAlgorithm::RS256, &claims).unwrap();
    let (_, rest) = token.split_once('.').unwrap();
    let header = |header: Value| data_encoding::BASE64URL_NOPAD.encode(header.to_string().as_bytes());
    let with = |h: Value| format!("{}.{rest}", header(h));
    for forged in [
        other,
        with(json!({"alg": "none", "kid": "rsa"})),
        with(json!({"alg": "HS256", "kid": "rsa"})),
        with(json!({"alg": "RS512", "kid": "rsa"})),
        with(json!({"alg": "ES256", "kid": "rsa"})),
        with(json!({"alg": "RS256"})),
        format!("{}.{rest}", "%"),
        format!("{token}x"),
        "a.b.c".to_owned(),
        format!("a.{}.c", "x".repeat(MAX_LENGTH)),
    ] {
        assert!(issuer.check(&forged).await.is_err(), "{forged}");
    }
    assert!(issuer.check(&token).await.is_ok());
}

#[tokio::test]
async fn p9_made_up_key_ids_have_the_issuer_asked_once_a_minute() {
    let issuer = Issuer::start().await;
    let token = issuer.signs.mint(TokenAlgorithm::RS256, &issuer.claims(json!({}))).unwrap();
    let (_, rest) = token.split_once('.').unwrap();
    let unknown = data_encoding::BASE64URL_NOPAD.encode(br#"{"alg":"RS256","kid":"unknown"}"#);
    let unknown = format!("{unknown}.{rest}");
    for _ in 0..5 {
        assert!(matches!(issuer.check(&unknown).await, Err(TokenError::NoKey(NoKey::Unknown))));
        assert!(issuer.check(&token).await.is_ok());
    }
    assert_eq!(issuer.asked(), 1);
    issuer.clock.suspend_for(Duration::from_secs(60));
    assert!(issuer.check(&unknown).await.is_err());
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn p3_keys_that_cannot_be_fetched_are_no_refusal_and_old_ones_do_not_live_on() {
    let issuer = Issuer::start().await;
    let good = std::mem::replace(&mut *issuer.body.lock().unwrap(), vec![b' '; 65 * 1024]);
    let token = issuer.signs.mint(TokenAlgorithm::RS256, &issuer.claims(json!({"exp": 1e9}))).unwrap();
    let unavailable = |result| matches!(result, Err(TokenError::NoKey(NoKey::Unavailable)));
    assert!(unavailable(issuer.check(&token).await), "larger than any set of keys");
    *issuer.body.lock().unwrap() = good;
    assert!(unavailable(issuer.check(&token).await), "it was tried a moment ago");
    issuer.clock.suspend_for(Duration::from_secs(60));
    assert!(issuer.check(&token).await.is_ok());
    *issuer.body.lock().unwrap() = b"gone".to_vec();
    issuer.clock.suspend_for(Duration::from_secs(3599));
    assert!(issuer.check(&token).await.is_ok());
    issuer.clock.suspend_for(Duration::from_secs(1));
    assert!(unavailable(issuer.check(&token).await), "withdrawn keys end within the hour");
}
