//! What people are told when a binding does not work, and when it does.

use leasehold_provider::{Cause, Depth, FailedStage, ProviderError, Stage, Verdict};

use crate::bench::{Bench, Bound, Outcome, ensure, fails};
use crate::fixture::KeyCondition;

pub(crate) async fn every_hop_is_named(bench: &Bench<'_>) -> Outcome {
    let (hops, expected) = (bench.provider.hops(&bench.fixture.binding()), bench.fixture.hops());
    ensure(hops.len() == expected && hops.iter().all(|hop| !hop.is_empty()), || {
        format!("the chain has {expected} hops, named are {hops:?}")
    })
}

pub(crate) async fn a_trust_denial_is_explained(bench: &Bench<'_>) -> Outcome {
    let binding = bench.fixture.binding();
    bench.fixture.revoke_trust().await;
    let error = fails("assume", bench.provider.assume(&binding).await, |_| true)?;
    explained(bench, Stage::Assume, &error).await
}

pub(crate) async fn a_key_denial_is_explained(bench: &Bench<'_>) -> Outcome {
    let (bound, open) = (Bound::usual()?, bench.open().await?);
    let (_, wrapped) = bench.wrapped(&open, &bound).await?;
    bench.fixture.deny_key().await;
    let error = fails("unwrap", bench.unwrap(&open, &wrapped, &bound).await, |_| true)?;
    explained(bench, Stage::Unwrap, &error).await
}

pub(crate) async fn a_disabled_key_is_explained(bench: &Bench<'_>) -> Outcome {
    let open = bench.open().await?;
    if !bench.fixture.set_key(KeyCondition::Disabled).await {
        return Ok(());
    }
    let error = fails("describe", bench.provider.describe(&open.session).await, |_| true)?;
    explained(bench, Stage::Describe, &error).await
}

/// That the provider knows a cause of `error`, and a change that mends it, in the binding's own terms.
async fn explained(bench: &Bench<'_>, stage: Stage, error: &ProviderError) -> Outcome {
    let binding = bench.fixture.binding();
    let own = bench.provider.own_identity().await.map_err(|e| e.to_string())?;
    let failed = FailedStage { binding: &binding, own: Some(&own), stage, error };
    let causes = bench.provider.explain(&failed).await;
    ensure(!causes.is_empty(), || format!("no cause is known of: {error}"))?;
    let mut ids = bench.provider.hops(&binding);
    ids.push(binding.key.as_str().to_owned());
    ids.push(binding.external_id.as_str().to_owned());
    for Cause { reason, text, mend } in &causes {
        let is_reason = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        ensure(!reason.is_empty() && reason.bytes().all(is_reason), || format!("no reason: {reason:?}"))?;
        ensure(!text.trim().is_empty() && !mend.trim().is_empty(), || format!("{reason} says nothing"))?;
        ensure(is_shell(mend), || format!("{reason} is not mended by what a shell could run: {mend}"))?;
    }
    let names_ids = |cause: &Cause| ids.iter().any(|id| cause.mend.contains(id.as_str()));
    ensure(causes.iter().any(names_ids), || format!("no mend names an id of the binding: {causes:?}"))
}

/// Whether it begins as what people paste does. What is for them alone is comments.
fn is_shell(mend: &str) -> bool {
    let programs = ["aws", "az", "gcloud", "jq", "printf", "for", "leasehold"];
    let word = mend.split_whitespace().next().unwrap_or_default();
    word == "#" || programs.contains(&word)
}

pub(crate) async fn a_good_binding_fails_no_inspection(bench: &Bench<'_>) -> Outcome {
    let (binding, open) = (bench.fixture.binding(), bench.open().await?);
    let own = bench.provider.own_identity().await.map_err(|e| e.to_string())?;
    for depth in [Depth::Access, Depth::ExcessPermissions] {
        let findings = bench.provider.inspect(&binding, Some(&own), &open.session, depth).await;
        let failed: Vec<_> = findings.iter().filter(|finding| finding.verdict == Verdict::Failed).collect();
        ensure(failed.is_empty(), || format!("{depth:?}: {failed:?}"))?;
    }
    // Looking must leave the binding as it was.
    let bound = Bound::usual()?;
    let (_, wrapped) = bench.wrapped(&bench.open().await?, &bound).await?;
    bench.unwrap(&open, &wrapped, &bound).await.map(drop).map_err(|e| format!("afterwards: {e}"))
}
