//! Becoming the principal, and what a session is worth.

use std::time::SystemTime;

use leasehold_provider::{Fault, Session};

use crate::bench::{Bench, Bound, Outcome, ensure, fails};

/// A session from below us that is used twice would hide that the trust edge was cut in between.
pub(crate) async fn every_assume_asks_the_cloud_anew(bench: &Bench<'_>) -> Outcome {
    let binding = bench.fixture.binding();
    for round in 1..=3 {
        let before = bench.fixture.calls().await;
        bench.provider.assume(&binding).await.map_err(|e| e.to_string())?;
        let asked = bench.fixture.calls().await.assumes - before.assumes;
        let hops = bench.fixture.hops();
        ensure(asked == hops, || format!("assume {round} asked {asked} times, its chain has {hops} hops"))?;
    }
    Ok(())
}

pub(crate) async fn a_session_expires_when_it_says(bench: &Bench<'_>) -> Outcome {
    let session = bench.provider.assume(&bench.fixture.binding()).await.map_err(|e| e.to_string())?.value;
    ensure(session.expires_at() > SystemTime::UNIX_EPOCH, || "the session has no expiry".to_owned())
}

pub(crate) async fn an_expired_session_is_told_from_a_denial(bench: &Bench<'_>) -> Outcome {
    let (bound, open) = (Bound::usual()?, bench.open().await?);
    let (_, wrapped) = bench.wrapped(&open, &bound).await?;
    bench.fixture.expire_sessions().await;
    fails("unwrap", bench.unwrap(&open, &wrapped, &bound).await, |f| *f == Fault::SessionExpired)?;
    fails("describe", bench.provider.describe(&open.session).await, |f| *f == Fault::SessionExpired)?;
    let fresh = bench.open().await?;
    bench.unwrap(&fresh, &wrapped, &bound).await.map(drop).map_err(|e| format!("after a fresh assume: {e}"))
}

pub(crate) async fn a_foreign_session_is_refused(bench: &Bench<'_>) -> Outcome {
    let foreign = Session::new(SystemTime::UNIX_EPOCH, "somebody else's");
    fails("describe", bench.provider.describe(&foreign).await, |f| *f == Fault::Misconfigured).map(drop)
}

pub(crate) async fn we_know_who_we_are(bench: &Bench<'_>) -> Outcome {
    let own = bench.provider.own_identity().await.map_err(|e| e.to_string())?;
    ensure(!own.principal.is_empty() && !own.account.is_empty(), || format!("{own:?}"))
}
