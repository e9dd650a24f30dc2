//! Clouds that are busy, broken or far away. None of that is a tenant's no.

use leasehold_provider::{Ciphertext, Fault, ProviderError, Throttler};
use leasehold_secret::{KeyLength, PlaintextKey};

use crate::bench::{Bench, Bound, Open, Outcome, fails};
use crate::fixture::Outage;

pub(crate) async fn throttling_is_throttling(bench: &Bench<'_>) -> Outcome {
    let (bound, open) = (Bound::usual()?, bench.open().await?);
    let (key, wrapped) = bench.wrapped(&open, &bound).await?;
    let with = (&open, &bound, &key, &wrapped);
    bench.fixture.throttle().await;
    all_fail(bench, with, "throttled", |f| matches!(f, Fault::Throttled { by: Throttler::Cloud, .. })).await
}

pub(crate) async fn an_outage_is_never_a_denial(bench: &Bench<'_>) -> Outcome {
    let (bound, open) = (Bound::usual()?, bench.open().await?);
    let (key, wrapped) = bench.wrapped(&open, &bound).await?;
    let with = (&open, &bound, &key, &wrapped);
    for outage in Outage::ALL {
        bench.fixture.outage(outage).await;
        all_fail(bench, with, &format!("{outage:?}"), |f| *f == Fault::Unavailable).await?;
        bench.fixture.heal().await;
    }
    Ok(())
}

/// Every operation, each of which has its own way of reading an error.
async fn all_fail(
    bench: &Bench<'_>,
    (open, bound, key, ciphertext): (&Open, &Bound, &PlaintextKey, &Ciphertext),
    how: &str,
    expected: impl Fn(&Fault) -> bool + Copy,
) -> Outcome {
    let check = |what: &str, outcome: Result<(), ProviderError>| {
        fails(format_args!("{what}, {how}"), outcome, expected).map(drop)
    };
    let (provider, session, version) = (bench.provider, &open.session, &open.version);
    check("assume", provider.assume(&bench.fixture.binding()).await.map(drop))?;
    check("own identity", provider.own_identity().await.map(drop))?;
    check("describe", provider.describe(session).await.map(drop))?;
    check("wrap", provider.wrap(session, key, version, bound.get()).await.map(drop))?;
    check("unwrap", provider.unwrap(session, ciphertext, bound.get()).await.map(drop))?;
    check("generate", provider.generate(session, KeyLength::B32, version, bound.get()).await.map(drop))?;
    let unseen = provider.generate_without_plaintext(session, KeyLength::B32, version, bound.get()).await;
    check("generate without plaintext", unseen.map(drop))
}
