//! What a ciphertext is bound to.

use leasehold_envelope::{HeaderDigest, Purpose};
use leasehold_provider::Fault;
use leasehold_secret::{KeyLength, PlaintextKey};

use crate::bench::{Bench, Bound, Open, Outcome, ensure, fails};

pub(crate) async fn every_length_survives_a_round_trip(bench: &Bench<'_>) -> Outcome {
    let (bound, open) = (Bound::usual()?, bench.open().await?);
    for length in KeyLength::ALL {
        wrap_and_unwrap(bench, &open, &bound, length).await?;
        generate_and_unwrap(bench, &open, &bound, length).await?;
    }
    Ok(())
}

async fn wrap_and_unwrap(bench: &Bench<'_>, open: &Open, bound: &Bound, length: KeyLength) -> Outcome {
    let key = PlaintextKey::generate(bench.arena(), length).map_err(|e| e.to_string())?;
    let wrapped = bench.provider.wrap(&open.session, &key, &open.version, bound.get()).await;
    let wrapped = wrapped.map_err(|e| format!("wrap {length:?}: {e}"))?.value;
    ensure(wrapped.key_version == open.version, || format!("wrapped under version {}", wrapped.key_version))?;
    let back = bench.unwrap(open, &wrapped, bound).await.map_err(|e| format!("unwrap {length:?}: {e}"))?;
    ensure(back.matches(&key), || format!("{length:?}: what was wrapped did not come back"))
}

async fn generate_and_unwrap(bench: &Bench<'_>, open: &Open, bound: &Bound, length: KeyLength) -> Outcome {
    let made = bench.provider.generate(&open.session, length, &open.version, bound.get()).await;
    let made = made.map_err(|e| format!("generate {length:?}: {e}"))?.value;
    ensure(made.key.len() == length, || format!("asked for {length:?}, got {:?}", made.key.len()))?;
    let back = bench.unwrap(open, &made.ciphertext, bound).await.map_err(|e| format!("{length:?}: {e}"))?;
    ensure(back.matches(&made.key), || format!("{length:?}: what was generated did not come back"))?;

    let unseen =
        bench.provider.generate_without_plaintext(&open.session, length, &open.version, bound.get()).await;
    let unseen = unseen.map_err(|e| format!("generate without plaintext {length:?}: {e}"))?.value;
    let first = bench.unwrap(open, &unseen, bound).await.map_err(|e| format!("{length:?}: {e}"))?;
    ensure(first.len() == length && !first.matches(&made.key), || format!("{length:?}: not a new key"))
}

pub(crate) async fn a_ciphertext_opens_in_its_own_context_only(bench: &Bench<'_>) -> Outcome {
    let (bound, open) = (Bound::usual()?, bench.open().await?);
    let (_, wrapped) = bench.wrapped(&open, &bound).await?;
    let others: [&[(&str, &str)]; 6] = [
        &[],
        &[("project", "p")],
        &[("project", "p"), ("branch", "other")],
        &[("project", "p"), ("branch", "main"), ("extra", "e")],
        &[("project", "main"), ("branch", "p")],
        &[("project", "p"), ("Branch", "main")],
    ];
    for entries in others {
        let other = Bound::of(entries)?;
        rejected(bench, &open, &wrapped, &other, format_args!("context {entries:?}")).await?;
    }
    let reordered = Bound::of(&[("branch", "main"), ("project", "p")])?;
    bench
        .unwrap(&open, &wrapped, &reordered)
        .await
        .map(drop)
        .map_err(|e| format!("order must not matter: {e}"))
}

pub(crate) async fn a_ciphertext_opens_under_its_own_header_only(bench: &Bench<'_>) -> Outcome {
    let (bound, open) = (Bound::usual()?, bench.open().await?);
    let (_, wrapped) = bench.wrapped(&open, &bound).await?;
    let other = Bound { header: HeaderDigest::from_bytes([2; 32]), ..Bound::usual()? };
    rejected(bench, &open, &wrapped, &other, format_args!("another header")).await
}

/// A KEK passed off as a DEK would be handed to a caller.
pub(crate) async fn a_ciphertext_opens_for_its_own_purpose_only(bench: &Bench<'_>) -> Outcome {
    let open = bench.open().await?;
    let all = [Purpose::Dek, Purpose::Kek, Purpose::Canary];
    for made_for in all {
        let bound = Bound { purpose: made_for, ..Bound::usual()? };
        let (_, wrapped) = bench.wrapped(&open, &bound).await?;
        for other in all.into_iter().filter(|other| *other != made_for) {
            let bound = Bound { purpose: other, ..Bound::usual()? };
            rejected(bench, &open, &wrapped, &bound, format_args!("a {made_for} as a {other}")).await?;
        }
    }
    Ok(())
}

/// The binding's key is the one addressed, whatever key a ciphertext was made with.
pub(crate) async fn another_tenants_ciphertext_is_rejected(bench: &Bench<'_>) -> Outcome {
    let (bound, ours) = (Bound::usual()?, bench.open().await?);
    let theirs = bench.open_as(&bench.fixture.other_binding()).await?;
    let (_, wrapped) = bench.wrapped(&theirs, &bound).await?;
    rejected(bench, &ours, &wrapped, &bound, format_args!("another tenant's ciphertext")).await?;
    bench.unwrap(&theirs, &wrapped, &bound).await.map(drop).map_err(|e| format!("by its owner: {e}"))
}

async fn rejected(
    bench: &Bench<'_>,
    open: &Open,
    wrapped: &leasehold_provider::Ciphertext,
    bound: &Bound,
    what: std::fmt::Arguments<'_>,
) -> Outcome {
    fails(what, bench.unwrap(open, wrapped, bound).await, |f| *f == Fault::Rejected).map(drop)
}
