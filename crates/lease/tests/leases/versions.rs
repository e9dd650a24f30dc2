//! Clouds disable the versions of a key one by one: each has a lease of its own.

use std::sync::Arc;

use leasehold_envelope::{Envelope, WrappedKey};
use leasehold_lease::{LeaseError, Subject};

use crate::bench::{Bench, S};
use crate::cloud::{Call, Mood};

/// The subject as the registry has it after the key was rotated to `version`.
async fn rotated(bench: &Bench, version: &str, revision: u64) -> Subject {
    bench.cloud.version(version);
    let mut subject = bench.subject();
    let mut binding = (*subject.binding).clone();
    binding.canary = Some(bench.leases.check_activation(&subject).await.unwrap().canary);
    subject.revision += revision;
    subject.binding = Arc::new(binding);
    subject
}

async fn wrapped(bench: &Bench, subject: &Subject) -> WrappedKey {
    let context = leasehold_envelope::EncryptionContext::empty();
    let made = bench.leases.generate(subject, leasehold_secret::KeyLength::B32, &context).await.unwrap();
    made.release().unwrap().value.wrapped
}

async fn unwrap(bench: &Bench, subject: &Subject, wrapped: &WrappedKey) -> Result<(), LeaseError> {
    let context = leasehold_envelope::EncryptionContext::empty();
    bench.leases.unwrap(subject, wrapped, &context).await?.release().map(|_| ())
}

#[tokio::test]
async fn p2_a_denial_of_one_version_leaves_the_other() {
    let bench = Bench::new().await;
    let first = rotated(&bench, "1", 1).await;
    let old = wrapped(&bench, &first).await;
    let second = rotated(&bench, "2", 2).await;
    let new = wrapped(&bench, &second).await;
    for known in [&old, &new] {
        unwrap(&bench, &second, known).await.unwrap();
    }
    assert_eq!(bench.arena.in_use(), 2, "a lease key for each version");

    bench.cloud.disable_version(Some("1"));
    bench.clock.advance(S(150)).await;
    assert!(matches!(unwrap(&bench, &second, &old).await, Err(LeaseError::Denied(_))), "its canary said so");
    unwrap(&bench, &second, &new).await.unwrap();
    assert_eq!(bench.arena.in_use(), 1, "what was cached under the denied version is gone, and nothing else");

    bench.cloud.disable_version(None);
    bench.clock.advance(S(10)).await;
    unwrap(&bench, &second, &old).await.unwrap();
}

#[tokio::test]
async fn p2_losing_the_principal_ends_the_leases_of_all_versions() {
    let bench = Bench::new().await;
    let first = rotated(&bench, "1", 1).await;
    let old = wrapped(&bench, &first).await;
    let second = rotated(&bench, "2", 2).await;
    let new = wrapped(&bench, &second).await;
    unwrap(&bench, &second, &old).await.unwrap();
    bench.cloud.trust(Mood::Deny);
    bench.clock.advance(S(150)).await;
    for known in [&old, &new] {
        assert!(matches!(unwrap(&bench, &second, known).await, Err(LeaseError::Denied(_))));
    }
    assert_eq!(bench.arena.in_use(), 0);
}

#[tokio::test]
async fn p9_versions_that_a_cloud_without_versions_cannot_have_get_no_lease() {
    let bench = Bench::new().await;
    let genuine = bench.wrapped().await;
    let envelope = Envelope::parse(genuine.as_bytes()).unwrap();
    let asked = bench.cloud.count(Call::Assume);
    for n in 0..100 {
        let mut header = envelope.header().clone();
        header.key_version = format!("made-up-{n}").parse().unwrap();
        let forged = Envelope::new(header, envelope.body().clone()).unwrap().encode();
        assert!(matches!(bench.unwrap(&forged).await, Err(LeaseError::ForeignEnvelope)));
    }
    assert_eq!(bench.cloud.count(Call::Assume), asked, "nor a proof");
    bench.clock.advance(S(3600)).await;
    bench.unwrap(&genuine).await.unwrap();
}
