//! What a tenant must paste, how they take it back, and what it costs them.

mod levers;
pub(crate) mod shell;
mod terraform;

pub(crate) use levers::{REVOKED, REVOKED_POLICY};

use leasehold_provider::{CallCost, KitFormat, KitRequest, KitSection, OnboardingKit, ProofCosts};
use serde_json::Value;

use crate::arn::RoleArn;
use crate::policy::{self, SourceIdentity};
use crate::settings::Plan;

/// The name of the inline policy that the kit puts on a role.
pub(crate) const POLICY_NAME: &str = "leasehold";

/// List price of 10,000 symmetric requests to KMS, in US dollars (<https://aws.amazon.com/kms/pricing/>).
const KMS_USD_PER_10_000: f64 = 0.03;

/// The policies that make a plan work, each as small as can be: without any one of them it does not.
pub(crate) struct Documents<'a> {
    pub(crate) plan: &'a Plan,
    /// In the order of the chain.
    pub(crate) roles: Vec<RoleDocuments<'a>>,
    /// To add to the key's policy.
    pub(crate) key_statement: Value,
}

/// The policies of one role.
pub(crate) struct RoleDocuments<'a> {
    pub(crate) role: &'a RoleArn,
    pub(crate) trust: Value,
    /// `None` if what comes next is in the role's own account, where the policy over there is enough.
    pub(crate) permissions: Option<Value>,
}

impl<'a> Documents<'a> {
    /// The policies of `plan`, whose first role is to trust `own`. `None` if the plan names no role.
    pub(crate) fn of(plan: &'a Plan, own: &str) -> Option<Self> {
        let mut roles = Vec::new();
        let mut trusted = own;
        for (index, hop) in plan.hops.iter().enumerate() {
            let source_identity = plan.source_identity(index);
            let trust = policy::trust(trusted, hop.external_id.as_deref(), source_identity);
            // Within one account, a policy that names the role allows by itself; across accounts both sides have to.
            // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html
            let permissions = match plan.hops.get(index + 1) {
                Some(next) if next.role.account() == hop.role.account() => None,
                Some(next) => Some(policy::become_next(&next.role, source_identity != SourceIdentity::None)),
                None if plan.key.account() == hop.role.account() => None,
                None => Some(policy::use_key(&plan.key)),
            };
            roles.push(RoleDocuments { role: &hop.role, trust, permissions });
            trusted = hop.role.as_str();
        }
        let key_statement = policy::key_statement(plan.principal()?.as_str());
        Some(Self { plan, roles, key_statement })
    }
}

/// Everything for `plan`, given who we are.
pub(crate) fn kit(plan: &Plan, request: &KitRequest<'_>) -> OnboardingKit {
    let Some(documents) = Documents::of(plan, &request.own.principal) else {
        return OnboardingKit::default();
    };
    let mut sections = Vec::new();
    for RoleDocuments { role, trust, permissions } in &documents.roles {
        sections.push(section(format!("Trust policy of the role {role}"), trust));
        if let Some(permissions) = permissions {
            sections.push(section(format!("Permissions of the role {role}"), permissions));
        }
    }
    let title = format!("Statement to add to the policy of the key {}", plan.key);
    sections.push(section(title, &documents.key_statement));
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
    OnboardingKit { sections, levers: levers::levers(&documents), costs: costs(plan, request) }
}

/// What there is to say to a tenant who brings no key.
pub(crate) fn operator_kit(plan: &Plan, request: &KitRequest<'_>) -> OnboardingKit {
    let body = format!(
        "There is nothing to paste. What belongs to the binding {} is wrapped under {}, a key of the platform's own, which the \
         platform uses as {}. It was issued the external id {}, which nobody asks for here.\n\nNobody but the platform's operator \
         can revoke this. To hold the lever yourself, bring a key of your own and make a binding for it.",
        request.binding.name, plan.key, request.own.principal, request.binding.external_id,
    );
    let title = "A key of the platform's own".to_owned();
    let sections = vec![KitSection { title, format: KitFormat::Text, body }];
    let notes = vec!["The platform pays for the calls, and they are in its own audit log.".to_owned()];
    let costs = ProofCosts::of(request.proofs_per_month, Vec::new(), notes);
    OnboardingKit { sections, levers: Vec::new(), costs }
}

/// One AssumeRole for each hop, then one Decrypt of the canary.
fn costs(plan: &Plan, request: &KitRequest<'_>) -> ProofCosts {
    let hops = u32::try_from(plan.hops.len()).unwrap_or(u32::MAX);
    let calls = vec![
        CallCost { operation: "sts:AssumeRole", per_proof: hops, usd_per_10_000: 0.0 },
        CallCost { operation: "kms:Decrypt", per_proof: 1, usd_per_10_000: KMS_USD_PER_10_000 },
    ];
    let notes = vec![
        format!(
            "At a revocation bound of {} s, while the keys are in use without a pause, and for each replica that serves them.",
            request.revocation_bound.as_secs()
        ),
        "List prices of https://aws.amazon.com/kms/pricing/: AssumeRole is free, Decrypt costs 0.03 US dollars per 10,000; \
         the 20,000 requests a month that are free are not taken off."
            .to_owned(),
        "Each call is one management event in CloudTrail: the first copy is free, further copies cost 2 US dollars per \
         100,000 (https://aws.amazon.com/cloudtrail/pricing/)."
            .to_owned(),
        "Keys that are generated, wrapped or unwrapped cost one request to KMS each when they are not cached; that depends \
         on use and is not in the figure."
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
