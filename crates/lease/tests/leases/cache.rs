//! The sealed cache as requests see it.

use leasehold_envelope::{EncryptionContext, WrappedKey};
use leasehold_lease::{LeaseError, Source};
use leasehold_tenant::CacheMode;

use crate::bench::{Bench, S, context};
use crate::cloud::Call;

async fn source(bench: &Bench, wrapped: &WrappedKey) -> Source {
    bench.leases.unwrap(&bench.subject(), wrapped, &EncryptionContext::empty()).await.unwrap().source()
}

#[tokio::test]
async fn what_was_unwrapped_once_is_served_without_a_call() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    assert_eq!(source(&bench, &wrapped).await, Source::Cloud);
    let calls = bench.cloud.count(Call::Unwrap);
    for _ in 0..100 {
        assert_eq!(source(&bench, &wrapped).await, Source::Cache);
    }
    assert_eq!(bench.cloud.count(Call::Unwrap), calls);
}

#[tokio::test]
async fn the_cache_gives_back_the_very_key() {
    let bench = Bench::new().await;
    let made = bench
        .leases
        .generate(&bench.subject(), leasehold_secret::KeyLength::B64, &context("x"))
        .await
        .unwrap();
    let made = made.release().unwrap().value;
    for _ in 0..2 {
        let back = bench.unwrap_under(&made.wrapped, &context("x")).await.unwrap().value;
        assert!(back.matches(&made.key));
    }
}

#[tokio::test]
async fn an_entry_is_unwrapped_anew_after_its_age_however_much_it_is_used() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    source(&bench, &wrapped).await;
    for _ in 0..59 {
        bench.clock.advance(S(10)).await;
        assert_eq!(source(&bench, &wrapped).await, Source::Cache);
    }
    bench.clock.advance(S(10)).await;
    assert_eq!(source(&bench, &wrapped).await, Source::Cloud, "10 min, absolute");
}

#[tokio::test]
async fn a_tenant_can_switch_its_cache_off() {
    let mut bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    source(&bench, &wrapped).await;
    let now = std::time::SystemTime::UNIX_EPOCH;
    bench.change(|t| {
        t.clone().updated_to(t.display_name.clone(), t.terms.cache_mode(CacheMode::Off), now).unwrap()
    });
    for _ in 0..3 {
        assert_eq!(source(&bench, &wrapped).await, Source::Cloud);
    }
}

#[tokio::test]
async fn p6_neither_another_context_nor_another_binding_opens_a_cached_key() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped_under(&context("a")).await;
    bench.unwrap_under(&wrapped, &context("a")).await.unwrap();
    let calls = bench.cloud.count(Call::Unwrap);
    assert!(matches!(bench.unwrap_under(&wrapped, &context("b")).await, Err(LeaseError::WrongContext)));
    assert!(matches!(bench.unwrap(&wrapped).await, Err(LeaseError::WrongContext)));
    let mut foreign = bench.subject();
    let mut binding = (*foreign.binding).clone();
    binding.name = "tenants/evil/bindings/main".parse().unwrap();
    foreign.binding = binding.into();
    let stolen = bench.leases.unwrap(&foreign, &wrapped, &context("a")).await;
    assert!(matches!(stolen, Err(LeaseError::ForeignEnvelope)));
    assert_eq!(bench.cloud.count(Call::Unwrap), calls, "no cloud was asked");
}

#[tokio::test]
async fn a_canary_cannot_be_unwrapped_as_a_key() {
    let bench = Bench::new().await;
    let subject = bench.subject();
    let canary = subject.binding.canary.clone().unwrap();
    let opened = bench.leases.unwrap(&subject, &canary, &subject.binding.canary_context).await;
    assert!(matches!(opened, Err(LeaseError::Rejected(_))));
}

#[tokio::test]
async fn bytes_that_are_no_envelope_are_refused_without_a_proof() {
    let bench = Bench::new().await;
    let asked = bench.cloud.count(Call::Assume);
    let wrapped = WrappedKey::try_from(b"rubbish".to_vec()).unwrap();
    assert!(matches!(bench.unwrap(&wrapped).await, Err(LeaseError::Envelope(_))));
    assert_eq!(bench.cloud.count(Call::Assume), asked);
}
