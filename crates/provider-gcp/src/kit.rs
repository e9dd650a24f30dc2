//! What a tenant must paste, how they take it back, and what it costs them.

mod levers;
pub(crate) mod shell;
mod terraform;

use leasehold_provider::{CallCost, KitFormat, KitRequest, KitSection, OnboardingKit, ProofCosts};
use serde_json::Value;

use crate::policy::Documents;
use crate::settings::Plan;

/// List price of 10,000 operations with a key version, in US dollars (<https://cloud.google.com/kms/pricing>).
const KMS_USD_PER_10_000: f64 = 0.03;

/// Everything for `plan`, given who we are.
pub(crate) fn kit(plan: &Plan, request: &KitRequest<'_>) -> OnboardingKit {
    let Some(documents) = Documents::of(plan, &request.own.principal) else {
        return operators(plan, request);
    };
    let mut sections = Vec::new();
    for role in documents.roles() {
        sections.push(section(format!("Custom role {}", role.name()), &role.definition()));
    }
    for (account, grant) in &documents.accounts {
        let title = format!("To add to the IAM policy of the service account {account}");
        sections.push(section(title, &grant.policy()));
    }
    sections
        .push(section(format!("To add to the IAM policy of the key {}", plan.key), &documents.key.policy()));
    sections.push(section(format!("Label of the key {}", plan.key), &documents.labels()));
    sections.push(KitSection {
        title: "Commands that set it all up".to_owned(),
        format: KitFormat::Shell,
        body: shell::set_up(&documents),
    });
    sections.push(KitSection {
        title: "The same as Terraform".to_owned(),
        format: KitFormat::Hcl,
        body: terraform::configuration(&documents),
    });
    OnboardingKit { sections, levers: levers::levers(&documents), costs: costs(request) }
}

/// The platform's own key: nothing to paste, and nothing for the tenant to pull.
fn operators(plan: &Plan, request: &KitRequest<'_>) -> OnboardingKit {
    let body = format!(
        "The key {} is the platform's own. There is nothing to set up, and the tenant cannot revoke: for keys that the tenant \
         can take back, create a binding with provider gcp to a key of the tenant's own. Leasehold uses the key as {}, and \
         tells this binding's keys from others' by the encryption context alone.",
        plan.key, request.own.principal
    );
    let title = "The platform's own key, not revocable by the tenant".to_owned();
    let sections = vec![KitSection { title, format: KitFormat::Text, body }];
    let notes = vec!["The operations are charged to the platform.".to_owned()];
    let costs = ProofCosts::of(request.proofs_per_month, vec![], notes);
    OnboardingKit { sections, levers: Vec::new(), costs }
}

/// One generateAccessToken for the whole chain, then one Decrypt of the canary.
fn costs(request: &KitRequest<'_>) -> ProofCosts {
    let calls = vec![
        CallCost { operation: "GenerateAccessToken", per_proof: 1, usd_per_10_000: 0.0 },
        CallCost { operation: "Decrypt", per_proof: 1, usd_per_10_000: KMS_USD_PER_10_000 },
    ];
    let notes = vec![
        format!(
            "At a revocation bound of {} s, while the keys are in use without a pause, and for each replica that serves them.",
            request.revocation_bound.as_secs()
        ),
        "List prices of https://cloud.google.com/kms/pricing: IAM is free, an operation with a key costs 0.03 US dollars per \
         10,000; the monthly price of the key version itself is not in the figure."
            .to_owned(),
        "Both calls are Data Access events in Cloud Audit Logs, which are off by default: then no event is left. The count is \
         for DATA_READ and ADMIN_READ turned on for iam.googleapis.com and cloudkms.googleapis.com."
            .to_owned(),
        "Each event carries Leasehold's own call id as protoPayload.requestMetadata.requestAttributes.reason, which is what \
         Leasehold reports as the request id, because Google gives none."
            .to_owned(),
        "Keys that are generated, wrapped or unwrapped cost one operation each when they are not cached; that depends on use \
         and is not in the figure."
            .to_owned(),
    ];
    ProofCosts::of(request.proofs_per_month, calls, notes)
}

fn section(title: String, value: &Value) -> KitSection {
    KitSection { title, format: KitFormat::Json, body: format!("{value:#}") }
}

#[cfg(test)]
#[path = "kit_tests.rs"]
mod tests;
