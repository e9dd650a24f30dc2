//! The two edges that a tenant can cut, and those who would use them by mistake.

use leasehold_provider::{Edge, Fault, ProviderError};

use crate::bench::{Bench, Bound, Outcome, ensure, fails};
use crate::fixture::Outage;

pub(crate) async fn a_revoked_trust_is_a_denial_at_the_trust_edge(bench: &Bench<'_>) -> Outcome {
    let binding = bench.fixture.binding();
    bench.open().await?;
    bench.fixture.revoke_trust().await;
    let is_trust = |f: &Fault| matches!(f, Fault::Denied { edge: Edge::Trust { .. } });
    let error = fails("assume", bench.provider.assume(&binding).await, is_trust)?;
    keeps_the_clouds_word(&error)?;
    bench.fixture.heal().await;
    bench.open().await.map(drop).map_err(|e| format!("after the trust was restored: {e}"))
}

pub(crate) async fn a_forbidden_key_is_a_denial_at_the_key_edge(bench: &Bench<'_>) -> Outcome {
    let (bound, open) = (Bound::usual()?, bench.open().await?);
    let (key, wrapped) = bench.wrapped(&open, &bound).await?;
    bench.fixture.deny_key().await;
    let is_key = |f: &Fault| matches!(f, Fault::Denied { edge: Edge::Key });
    // An older session and a fresh one are told the same.
    let fresh =
        bench.provider.assume(&bench.fixture.binding()).await.map_err(|e| format!("assume: {e}"))?.value;
    for session in [&open.session, &fresh] {
        let unwrapped = bench.provider.unwrap(session, &wrapped, bound.get()).await;
        keeps_the_clouds_word(&fails("unwrap", unwrapped, is_key)?)?;
        let again = bench.provider.wrap(session, &key, &open.version, bound.get()).await;
        fails("wrap", again, is_key)?;
        let made = bench.provider.generate(session, key.len(), &open.version, bound.get()).await;
        fails("generate", made, is_key)?;
        let unseen =
            bench.provider.generate_without_plaintext(session, key.len(), &open.version, bound.get()).await;
        fails("generate without plaintext", unseen, is_key)?;
    }
    bench.fixture.heal().await;
    let healed = bench.unwrap(&open, &wrapped, &bound).await;
    healed.map(drop).map_err(|e| format!("after the key was allowed again: {e}"))
}

pub(crate) async fn our_own_broken_identity_is_never_a_denial(bench: &Bench<'_>) -> Outcome {
    let binding = bench.fixture.binding();
    bench.fixture.break_own_identity().await;
    fails("assume", bench.provider.assume(&binding).await, |f| *f == Fault::OwnIdentity)?;
    fails("own identity", bench.provider.own_identity().await, |f| *f == Fault::OwnIdentity).map(drop)
}

pub(crate) async fn a_protected_principal_passes_the_deputy_check(bench: &Bench<'_>) -> Outcome {
    let (binding, open) = (bench.fixture.binding(), bench.open().await?);
    bench.provider.check_deputy(&binding, &open.session).await.map_err(|e| e.to_string())
}

pub(crate) async fn an_unprotected_principal_fails_the_deputy_check(bench: &Bench<'_>) -> Outcome {
    let binding = bench.fixture.unprotected_binding();
    let session = bench.provider.assume(&binding).await.map_err(|e| format!("assume: {e}"))?.value;
    let checked = bench.provider.check_deputy(&binding, &session).await;
    let error = fails("check", checked, |f| *f == Fault::Misconfigured)?;
    let told = error.detail().contains(binding.external_id.as_str());
    ensure(told, || format!("the advice does not say what to add: {}", error.detail()))
}

pub(crate) async fn a_principal_of_our_own_account_is_refused(bench: &Bench<'_>) -> Outcome {
    let Some(binding) = bench.fixture.own_account_binding() else { return Ok(()) };
    let open = bench.open().await?;
    let checked = bench.provider.check_deputy(&binding, &open.session).await;
    fails("check", checked, |f| *f == Fault::Misconfigured).map(drop)
}

pub(crate) async fn the_deputy_check_takes_no_outage_for_protection(bench: &Bench<'_>) -> Outcome {
    let (binding, open) = (bench.fixture.unprotected_binding(), bench.open().await?);
    for outage in Outage::ALL {
        bench.fixture.outage(outage).await;
        let checked = bench.provider.check_deputy(&binding, &open.session).await;
        fails(format_args!("{outage:?}"), checked, |f| *f == Fault::Unavailable)?;
        bench.fixture.heal().await;
    }
    bench.fixture.throttle().await;
    let checked = bench.provider.check_deputy(&binding, &open.session).await;
    fails("throttled", checked, |f| matches!(f, Fault::Throttled { .. })).map(drop)
}

/// A tenant finds the call in their own audit log by these.
fn keeps_the_clouds_word(error: &ProviderError) -> Outcome {
    ensure(error.code().is_some() && error.request_id().is_some(), || {
        format!("the denial lost the cloud's code or request id: {error:?}")
    })
}
