//! Keys that got a new version. Where nobody sees versions, none of this says anything.

use leasehold_provider::{Fault, KeyState};

use crate::bench::{Bench, Bound, Outcome, ensure, fails};

pub(crate) async fn a_rotated_key_wraps_under_its_new_version(bench: &Bench<'_>) -> Outcome {
    let (bound, before) = (Bound::usual()?, bench.open().await?);
    if !bench.fixture.rotate().await {
        return ensure(before.version.is_none(), || "a key without versions has one".to_owned());
    }
    let after = bench.open().await?;
    ensure(after.version != before.version, || format!("describe still says version {}", before.version))?;
    let (key, wrapped) = bench.wrapped(&after, &bound).await?;
    ensure(wrapped.key_version == after.version, || {
        format!("wrapped under version {}", wrapped.key_version)
    })?;
    let back = bench.unwrap(&after, &wrapped, &bound).await.map_err(|e| format!("unwrap: {e}"))?;
    ensure(back.matches(&key), || "what was wrapped did not come back".to_owned())
}

pub(crate) async fn what_an_older_version_wrapped_still_unwraps(bench: &Bench<'_>) -> Outcome {
    let (bound, before) = (Bound::usual()?, bench.open().await?);
    let (key, wrapped) = bench.wrapped(&before, &bound).await?;
    bench.fixture.rotate().await;
    let fresh = bench.open().await?;
    for open in [&before, &fresh] {
        let back = bench.unwrap(open, &wrapped, &bound).await.map_err(|e| format!("unwrap: {e}"))?;
        ensure(back.matches(&key), || "what was wrapped did not come back".to_owned())?;
    }
    Ok(())
}

/// Versions are disabled one by one: a denial of one must not black out the others.
pub(crate) async fn a_disabled_version_is_unusable_and_the_new_one_is_not(bench: &Bench<'_>) -> Outcome {
    let (bound, before) = (Bound::usual()?, bench.open().await?);
    let (_, old) = bench.wrapped(&before, &bound).await?;
    if !bench.fixture.rotate().await {
        return Ok(());
    }
    let after = bench.open().await?;
    let (_, new) = bench.wrapped(&after, &bound).await?;
    bench.fixture.disable_version(&before.version).await;
    let disabled = Fault::KeyUnusable(KeyState::Disabled);
    for open in [&before, &after] {
        fails("the old version", bench.unwrap(open, &old, &bound).await, |f| *f == disabled)?;
        bench.unwrap(open, &new, &bound).await.map_err(|e| format!("the new version: {e}"))?;
    }
    let again = bench.open().await?;
    bench.wrapped(&again, &bound).await.map_err(|e| format!("under the new version: {e}"))?;
    bench.fixture.heal().await;
    let healed = bench.unwrap(&again, &old, &bound).await;
    healed.map(drop).map_err(|e| format!("after the old version was enabled again: {e}"))
}
