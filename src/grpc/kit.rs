//! Onboarding kits as they travel.

use leasehold_api::v1;
use leasehold_provider::{CallCost, KitSection, Lever, OnboardingKit, ProofCosts};

pub(crate) fn to_proto(kit: OnboardingKit) -> v1::OnboardingKit {
    let OnboardingKit { sections, levers, costs } = kit;
    v1::OnboardingKit {
        sections: sections.into_iter().map(section).collect(),
        levers: levers.into_iter().map(lever).collect(),
        costs: Some(self::costs(costs)),
    }
}

fn section(section: KitSection) -> v1::KitSection {
    let KitSection { title, format, body } = section;
    v1::KitSection { title, format: format.as_str().to_owned(), body }
}

fn lever(lever: Lever) -> v1::Lever {
    let Lever { title, revoke, restore, propagation, reach } = lever;
    v1::Lever { title, revoke, restore, propagation, reach }
}

fn costs(costs: ProofCosts) -> v1::ProofCosts {
    let call = |call: CallCost| v1::CallCost {
        operation: call.operation.to_owned(),
        per_proof: call.per_proof,
        usd_per_ten_thousand: call.usd_per_10_000,
    };
    let ProofCosts { calls, proofs_per_month, log_events_per_month, usd_per_month, notes } = costs;
    v1::ProofCosts {
        calls: calls.into_iter().map(call).collect(),
        proofs_per_month,
        log_events_per_month,
        usd_per_month,
        notes,
    }
}
