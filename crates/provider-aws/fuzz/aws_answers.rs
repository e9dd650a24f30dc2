//! Answers of STS and KMS; `leasehold_fuzz::script` says how an input writes them down.

#![no_main]

use std::sync::LazyLock;

use data_encoding::BASE64;
use leasehold_fuzz::bench::{binding, wrapped};
use leasehold_fuzz::judge::{self, Words};
use leasehold_fuzz::{Answer, Bench, Outcome, Parts, Script, Wire};
use leasehold_provider_aws::{AwsConfig, AwsProvider, BaseIdentity, Endpoints};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::json;

const KEY: &str = "arn:aws:kms:eu-central-1:200000000001:key/k";
const ROLE: &str = "arn:aws:iam::200000000001:role/tenant";

const WORDS: Words = Words {
    no: &["AccessDenied", "NotAuthorized", "DisabledException", "NotFoundException"],
    unusable: &["Disabled", "PendingDeletion", "PendingReplicaDeletion", "PendingImport"],
};

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    Bench::start(async |arena| {
        let wire = Wire::plain().await;
        let config = AwsConfig {
            region: Some("eu-central-1".parse().expect("a region")),
            endpoints: Endpoints { sts: Some(wire.url.clone()), kms: Some(wire.url.clone()) },
            base: BaseIdentity::fixed("AKIA", "base-secret"),
            ..AwsConfig::default()
        };
        let provider = AwsProvider::build(config, arena).await.expect("the configuration is whole");
        let binding = binding("aws", KEY, json!({ "role_arn": ROLE }));
        let session = include_bytes!("seeds/aws_answers/assume");
        Parts { provider: Box::new(provider), wire, binding, wrapped: wrapped(64, ""), session }
    })
});

fuzz_target!(|input: &[u8]| -> Corpus {
    match judge::answers(&BENCH, input, &WORDS, success) {
        true => Corpus::Keep,
        false => Corpus::Reject,
    }
});

fn success(script: &Script, outcome: &Outcome) {
    let granted = match outcome {
        Outcome::Session => script.grants(|answer| {
            ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"]
                .iter()
                .all(|part| !empty(answer, part))
        }),
        Outcome::Own(principal, account) => {
            script.grants(|answer| !principal.is_empty() && !account.is_empty() && answer.says(&["Account"]))
        }
        Outcome::Key(key) => script.grants(|answer| uses_key(answer) && holds(answer, "/Plaintext", key)),
        Outcome::Generated(key, wrapped) => script.grants(|answer| {
            uses_key(answer) && holds(answer, "/Plaintext", key) && holds(answer, "/CiphertextBlob", wrapped)
        }),
        Outcome::Wrapped(wrapped) => {
            !wrapped.is_empty()
                && script.grants(|answer| uses_key(answer) && holds(answer, "/CiphertextBlob", wrapped))
        }
        Outcome::Described(_) => script.grants(|answer| {
            let is = |field: &str, values: &[&str]| {
                answer.at(&format!("/KeyMetadata/{field}")).is_some_and(|value| values.contains(&value))
            };
            is("Arn", &[KEY])
                && is("KeySpec", &["SYMMETRIC_DEFAULT"])
                && is("KeyState", &["Enabled", "Updating"])
        }),
        // Who we are, and a refusal to let us in without the external id and with a wrong one.
        Outcome::Protected => {
            script.answers.iter().any(|answer| !answer.is_success() && answer.says(WORDS.no))
        }
        Outcome::Inspected => true,
    };
    assert!(granted, "not what was answered: {outcome:?}");
}

/// Whether an XML element is not there, or says nothing.
fn empty(answer: &Answer, element: &str) -> bool {
    let found = answer.text.split_once(&format!("{element}>")).map(|(_, rest)| rest);
    found.is_none_or(|rest| rest.starts_with("</"))
}

fn uses_key(answer: &Answer) -> bool {
    answer.at("/KeyId") == Some(KEY)
}

fn holds(answer: &Answer, pointer: &str, bytes: &[u8]) -> bool {
    answer.at(pointer).and_then(|text| BASE64.decode(text.as_bytes()).ok()).is_some_and(|held| held == bytes)
}
