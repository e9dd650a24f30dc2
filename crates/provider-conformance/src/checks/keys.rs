//! Keys that nobody can use, and keys that only seem so.

use leasehold_provider::{Fault, KeyState};

use crate::bench::{Bench, Bound, Outcome, fails};
use crate::fixture::KeyCondition;

pub(crate) async fn a_usable_key_is_described(bench: &Bench<'_>) -> Outcome {
    bench.open().await.map(drop)
}

pub(crate) async fn an_unusable_key_is_told_from_one_that_is_away(bench: &Bench<'_>) -> Outcome {
    let bound = Bound::usual()?;
    for (condition, expected) in [
        (KeyCondition::Disabled, Fault::KeyUnusable(KeyState::Disabled)),
        (KeyCondition::PendingDeletion, Fault::KeyUnusable(KeyState::PendingDeletion)),
        (KeyCondition::PendingImport, Fault::KeyUnusable(KeyState::PendingDeletion)),
        (KeyCondition::Expired, Fault::KeyUnusable(KeyState::Expired)),
        (KeyCondition::StoreDown, Fault::Unavailable),
    ] {
        let open = bench.open().await?;
        let (key, wrapped) = bench.wrapped(&open, &bound).await?;
        if !bench.fixture.set_key(condition).await {
            continue;
        }
        let as_expected = |f: &Fault| *f == expected;
        fails(
            format_args!("unwrap, {condition:?}"),
            bench.unwrap(&open, &wrapped, &bound).await,
            as_expected,
        )?;
        let made = bench.provider.generate(&open.session, key.len(), &open.version, bound.get()).await;
        fails(format_args!("generate, {condition:?}"), made, as_expected)?;
        let described = bench.provider.describe(&open.session).await;
        fails(format_args!("describe, {condition:?}"), described, as_expected)?;
        bench.fixture.heal().await;
        let back = bench.unwrap(&open, &wrapped, &bound).await;
        back.map_err(|e| format!("after {condition:?}: {e}"))?;
    }
    Ok(())
}

pub(crate) async fn a_missing_key_is_unusable(bench: &Bench<'_>) -> Outcome {
    let binding = bench.fixture.missing_key_binding();
    let session = bench.provider.assume(&binding).await.map_err(|e| format!("assume: {e}"))?.value;
    let gone = Fault::KeyUnusable(KeyState::NotFound);
    fails("describe", bench.provider.describe(&session).await, |f| *f == gone).map(drop)
}

pub(crate) async fn an_unfit_key_is_refused_with_advice(bench: &Bench<'_>) -> Outcome {
    for binding in bench.fixture.unfit_bindings() {
        let session = bench.provider.assume(&binding).await.map_err(|e| format!("assume: {e}"))?.value;
        let described = bench.provider.describe(&session).await;
        fails(format_args!("{}", binding.key), described, |f| *f == Fault::Misconfigured)?;
    }
    Ok(())
}
