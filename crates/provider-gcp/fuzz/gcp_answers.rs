//! Answers of IAM Credentials and Cloud KMS; `leasehold_fuzz::script` says how an input writes them down.

#![no_main]

use std::sync::LazyLock;

use data_encoding::BASE64;
use leasehold_fuzz::bench::{binding, wrapped};
use leasehold_fuzz::judge::{self, Words};
use leasehold_fuzz::{Answer, Bench, Outcome, Parts, Script, Wire};
use leasehold_provider_gcp::{BaseIdentity, Endpoints, FixedToken, GcpConfig, GcpProvider};
use leasehold_tenant::Binding;
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::{Value, json};

const KEY: &str = "projects/acme-prod/locations/europe-west3/keyRings/ring/cryptoKeys/key";
const ACCOUNT: &str = "leasehold@acme-prod.iam.gserviceaccount.com";
const VERSION: &str = "2";

const WORDS: Words = Words {
    no: &["PERMISSION_DENIED", "UNAUTHENTICATED", "NOT_FOUND", "FAILED_PRECONDITION"],
    unusable: &["DISABLED", "DESTROY", "IMPORT", "EXTERNAL", "GENERATION_FAILED"],
};

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    Bench::start(async |arena| {
        let wire = Wire::plain().await;
        let url = || Some(wire.url.clone());
        let config = GcpConfig {
            identity: BaseIdentity::Fixed(FixedToken::new("our-own-token")),
            principal: Some("leasehold@our-platform.iam.gserviceaccount.com".parse().expect("an email")),
            endpoints: Endpoints { kms: url(), iam_credentials: url(), sts: None, metadata: None },
            ..GcpConfig::default()
        };
        let provider = GcpProvider::build(config, arena).await.expect("the configuration is whole");
        let session = include_bytes!("seeds/gcp_answers/assume");
        Parts { provider: Box::new(provider), wire, binding: bound(), wrapped: wrapped(64, VERSION), session }
    })
});

fuzz_target!(|input: &[u8]| -> Corpus {
    match judge::answers(&BENCH, input, &WORDS, success) {
        true => Corpus::Keep,
        false => Corpus::Reject,
    }
});

fn bound() -> Binding {
    binding("gcp", KEY, json!({ "service_account": ACCOUNT }))
}

fn success(script: &Script, outcome: &Outcome) {
    let version = || format!("{KEY}/cryptoKeyVersions/{VERSION}");
    let granted = match outcome {
        Outcome::Session => script.grants(|answer| {
            answer.at("/accessToken").is_some_and(|token| !token.is_empty())
                && answer.at("/expireTime").is_some()
        }),
        // A fixed token says who we are by itself.
        Outcome::Own(..) | Outcome::Inspected => true,
        Outcome::Key(key) => script.grants(|answer| holds(answer, "plaintext", key)),
        Outcome::Generated(_, wrapped) | Outcome::Wrapped(wrapped) => script.grants(|answer| {
            answer.at("/name") == Some(version().as_str())
                && holds(answer, "ciphertext", wrapped)
                && verified(answer, "verifiedPlaintextCrc32c")
                && verified(answer, "verifiedAdditionalAuthenticatedDataCrc32c")
        }),
        Outcome::Described(_) => script.grants(|answer| answer.at("/name") == Some(KEY)),
        Outcome::Protected => script
            .grants(|answer| answer.at("/name") == Some(KEY) && answer.says(&[bound().external_id.as_str()])),
    };
    assert!(granted, "not what was answered: {outcome:?}");
}

/// Whether these are the bytes of a field, and its checksum is theirs.
fn holds(answer: &Answer, field: &str, bytes: &[u8]) -> bool {
    let held = answer.at(&format!("/{field}")).and_then(|text| BASE64.decode(text.as_bytes()).ok());
    let stated = answer.json.as_ref().and_then(|json| json.get(format!("{field}Crc32c")));
    let stated = stated.map(|stated| stated.as_str().map_or_else(|| stated.to_string(), str::to_owned));
    held.is_some_and(|held| held == bytes) && stated == Some(crc32c::crc32c(bytes).to_string())
}

fn verified(answer: &Answer, field: &str) -> bool {
    answer.json.as_ref().and_then(|json| json.get(field)).is_some_and(|value| *value == Value::Bool(true))
}
