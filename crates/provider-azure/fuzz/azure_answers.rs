//! Answers of Entra ID and Key Vault; `leasehold_fuzz::script` says how an input writes them down.

#![no_main]

use std::sync::LazyLock;

use data_encoding::BASE64URL_NOPAD;
use leasehold_fuzz::bench::{binding, wrapped};
use leasehold_fuzz::judge::{self, Words};
use leasehold_fuzz::{Answer, Bench, Outcome, Parts, Script, Wire};
use leasehold_provider_azure::{AzureConfig, AzureProvider, Endpoints, Identity};
use leasehold_tenant::Binding;
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::{Value, json};

const HOME: &str = "10000000-0000-4000-8000-000000000001";
const CLIENT: &str = "10000000-0000-4000-8000-0000000000a1";
const DIRECTORY: &str = "20000000-0000-4000-8000-000000000001";
const KEY: &str = "https://acme.vault.azure.net/keys/main";
const VERSION: &str = "0123456789abcdef0123456789abcdef";

/// Bytes before the key in what is wrapped.
const DIGEST: usize = 32;

const WORDS: Words = Words {
    no: &[
        // Entra ID: no principal of ours, none that is enabled or may have a token, or a policy forbids it.
        "700016",
        "700011",
        "7000112",
        "7000229",
        "65001",
        "500014",
        "501051",
        "50105",
        "53003",
        "530035",
        "50076",
        "50079",
        "90002",
        "900023",
        "500011", // Key Vault.
        "Forbidden",
        "AKV10032",
        "KeyNotFound",
        "Conflict",
    ],
    unusable: &["enabled", "nbf", "exp"],
};

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    Bench::start(async |arena| {
        let wire = Wire::tls(&["login.microsoftonline.com", "*.vault.azure.net"]).await;
        let folder = tempfile::tempdir().expect("there is a place for files");
        let (ca, secret) = (folder.path().join("ca.pem"), folder.path().join("secret"));
        std::fs::write(&ca, &wire.authority).expect("the folder is ours");
        std::fs::write(&secret, "the client's secret").expect("the folder is ours");
        let here = Some(wire.url.clone());
        let config = AzureConfig {
            identity: Identity::Secret { file: secret },
            endpoints: Endpoints { entra: here.clone(), key_vault: here, managed_identity: None },
            extra_root_cas: vec![ca],
            ..AzureConfig::new(CLIENT.parse().expect("a GUID"), HOME.parse().expect("a GUID"))
        };
        let provider = AzureProvider::build(config, arena).await.expect("the configuration is whole");
        // The secret is read again with every assume.
        let _ = folder.keep();
        let session = include_bytes!("seeds/azure_answers/assume");
        Parts {
            provider: Box::new(provider),
            wire,
            binding: bound(),
            wrapped: wrapped(256, VERSION),
            session,
        }
    })
});

fuzz_target!(|input: &[u8]| -> Corpus {
    match judge::answers(&BENCH, input, &WORDS, success) {
        true => Corpus::Keep,
        false => Corpus::Reject,
    }
});

fn bound() -> Binding {
    binding("azure", KEY, json!({ "directory_id": DIRECTORY }))
}

fn success(script: &Script, outcome: &Outcome) {
    let granted = match outcome {
        Outcome::Session | Outcome::Own(..) => script.grants(|answer| {
            let lasts = answer.json.as_ref().and_then(|json| json.get("expires_in")).and_then(Value::as_i64);
            let token = answer.at("/access_token").is_some_and(|token| !token.is_empty());
            token && lasts.is_some_and(|seconds| (1..=48 * 3600).contains(&seconds))
        }),
        Outcome::Key(key) => script.grants(|answer| {
            uses_key(answer, "/kid")
                && value(answer).is_some_and(|value| value.get(DIGEST..) == Some(key.as_slice()))
        }),
        Outcome::Generated(_, wrapped) | Outcome::Wrapped(wrapped) => script.grants(|answer| {
            uses_key(answer, "/kid") && value(answer).as_ref() == Some(wrapped) && wrapped.len() >= 256
        }),
        Outcome::Described(version) => script.grants(|answer| {
            answer.at("/key/kid").is_some_and(|kid| kid.ends_with(version)) && version.len() == VERSION.len()
        }),
        Outcome::Protected => script.grants(|answer| answer.says(&[bound().external_id.as_str()])),
        Outcome::Inspected => true,
    };
    assert!(granted, "not what was answered: {outcome:?}");
}

fn uses_key(answer: &Answer, pointer: &str) -> bool {
    answer.at(pointer).is_some_and(|kid| kid.eq_ignore_ascii_case(&format!("{KEY}/{VERSION}")))
}

fn value(answer: &Answer) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(answer.at("/value")?.trim_end_matches('=').as_bytes()).ok()
}
