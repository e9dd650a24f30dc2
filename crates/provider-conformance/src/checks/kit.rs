//! What a tenant is given to paste, and told about taking it back.

use std::time::Duration;

use leasehold_provider::{KitFormat, KitRequest, OnboardingKit, ProofCosts};

use crate::bench::{Bench, Outcome, ensure};

/// Proofs of a month at the default bound.
const PROOFS: u64 = 20_000;

async fn kit(bench: &Bench<'_>) -> Result<OnboardingKit, String> {
    let binding = bench.fixture.binding();
    let own = bench.provider.own_identity().await.map_err(|e| e.to_string())?;
    let request = KitRequest {
        binding: &binding,
        own: &own,
        revocation_bound: Duration::from_secs(300),
        proofs_per_month: PROOFS,
    };
    bench.provider.onboarding_kit(&request).map_err(|e| e.to_string())
}

pub(crate) async fn the_kit_names_us_and_what_we_issued(bench: &Bench<'_>) -> Outcome {
    let (binding, kit) = (bench.fixture.binding(), kit(bench).await?);
    let own = bench.provider.own_identity().await.map_err(|e| e.to_string())?;
    for part in [own.principal.as_str(), binding.external_id.as_str(), binding.key.as_str()] {
        ensure(kit.sections.iter().any(|section| section.body.contains(part)), || {
            format!("{part} is not in it")
        })?;
    }
    Ok(())
}

pub(crate) async fn the_kit_has_policies_commands_and_terraform(bench: &Bench<'_>) -> Outcome {
    let kit = kit(bench).await?;
    for section in &kit.sections {
        ensure(!section.title.trim().is_empty() && !section.body.trim().is_empty(), || {
            format!("an empty section: {section:?}")
        })?;
    }
    for format in [KitFormat::Json, KitFormat::Shell, KitFormat::Hcl] {
        ensure(kit.sections.iter().any(|section| section.format == format), || {
            format!("no section is {}", format.as_str())
        })?;
    }
    Ok(())
}

/// A tenant who can revoke but not find out how to undo it will not dare to.
pub(crate) async fn every_lever_can_be_pulled_and_put_back(bench: &Bench<'_>) -> Outcome {
    let kit = kit(bench).await?;
    ensure(!kit.levers.is_empty(), || "there is no lever".to_owned())?;
    for lever in &kit.levers {
        let parts = [&lever.title, &lever.revoke, &lever.restore, &lever.propagation, &lever.reach];
        ensure(parts.iter().all(|part| !part.trim().is_empty()), || format!("not all is said: {lever:?}"))?;
        ensure(lever.revoke != lever.restore, || format!("pulling it puts it back: {lever:?}"))?;
    }
    Ok(())
}

pub(crate) async fn the_costs_add_up(bench: &Bench<'_>) -> Outcome {
    let costs = kit(bench).await?.costs;
    let ProofCosts { proofs_per_month, .. } = costs;
    ensure(proofs_per_month == PROOFS, || format!("for {proofs_per_month} proofs, not {PROOFS}"))?;
    ensure(!costs.calls.is_empty() && !costs.notes.is_empty(), || "no calls, or no notes".to_owned())?;
    // Within a tenth of a cent: the same sum may have been added up in another order.
    let sum = ProofCosts::of(PROOFS, costs.calls.clone(), Vec::new());
    ensure((sum.usd_per_month - costs.usd_per_month).abs() < 0.001, || {
        format!("{} dollars, but its calls cost {}", costs.usd_per_month, sum.usd_per_month)
    })
}
