//! Why a step failed, and what to change.
//!
//! What AWS says comes first: a cause that its words prove comes alone. Where it keeps silent, assumes with less than the
//! binding declares and reads of the key tell causes apart; none of that has an effect in the tenant's account. What is
//! left comes as a list, the likeliest first.

mod key;
mod operator;
mod own;
mod state;
mod trust;
mod words;

use leasehold_provider::{Cause, Edge, FailedStage, Fault, KeyState, ProviderError, Stage};

use crate::arn::RoleArn;
use crate::assume::{LETS_ANYBODY_IN, ROLE_IN_OUR_ACCOUNT};
use crate::clients::Clients;
use crate::kit::{Documents, shell};
use crate::settings::{Plan, REGION_NOT_ALLOWED};

/// A failed step of a binding that can be read.
pub(crate) struct Case<'a> {
    clients: &'a Clients,
    plan: &'a Plan,
    documents: Documents<'a>,
    /// The one that uses the key.
    role: &'a RoleArn,
    /// Who we are, as trust policies name us.
    own: &'a str,
    stage: Stage,
    error: &'a ProviderError,
    /// Whether the binding was activated, so that all of this worked once.
    worked: bool,
}

/// Why `failed` failed. `plan` is `None` if the binding's settings cannot be read, and `own` if nobody knows who we are.
pub(crate) async fn explain(
    clients: &Clients,
    plan: Option<&Plan>,
    own: Option<&str>,
    failed: &FailedStage<'_>,
) -> Vec<Cause> {
    let error = failed.error;
    if let Some(causes) = without_plan(error) {
        return causes;
    }
    let Some(plan) = plan else { return vec![unreadable(failed)] };
    let own = own.unwrap_or("the principal of Leasehold");
    let (Some(documents), Some(role)) = (Documents::of(plan, own), plan.principal()) else {
        return vec![operator::explain(&plan.key, own, error)];
    };
    let worked = failed.binding.canary.is_some();
    let case = Case { clients, plan, documents, role, own, stage: failed.stage, error, worked };
    match error.fault() {
        Fault::Denied { edge: Edge::Trust { hop } } => case.trust(*hop).await,
        Fault::Denied { edge: Edge::Key } => case.key_denied().await,
        Fault::KeyUnusable(KeyState::NotFound) => case.key_not_found().await,
        Fault::KeyUnusable(state) => vec![state::unusable(&plan.key, *state, error)],
        Fault::SessionExpired => vec![case.session_refused()],
        Fault::Rejected => vec![state::rejected(&plan.key)],
        Fault::Misconfigured => case.misconfigured(),
        _ => case.unavailable(),
    }
}

/// Causes that have nothing to do with what the binding says.
fn without_plan(error: &ProviderError) -> Option<Vec<Cause>> {
    match error.fault() {
        Fault::OwnIdentity => Some(vec![own::broken(error)]),
        Fault::Throttled { by, .. } => Some(vec![own::throttled(*by)]),
        _ => None,
    }
}

/// The binding's settings, or its key's ARN, cannot be read.
fn unreadable(failed: &FailedStage<'_>) -> Cause {
    let (binding, error) = (failed.binding, failed.error);
    if error.code() == Some(REGION_NOT_ALLOWED) {
        return cause(
            "REGION_NOT_ALLOWED",
            format!("The key {} is in a region that this deployment does not allow.", binding.key),
            format!(
                "# Operator: add the region of {} to aws.allowed_regions, and restart Leasehold.\n# Or make another binding \
                 with a key in a region that is allowed.",
                binding.key
            ),
        );
    }
    cause(
        "SETTINGS_CANNOT_WORK",
        format!("The binding's key or settings cannot work: {}.", error.detail()),
        format!(
            "# Make another binding in place of {} with this put right: {}.",
            binding.name,
            error.detail()
        ),
    )
}

impl Case<'_> {
    fn misconfigured(&self) -> Vec<Cause> {
        let error = self.error;
        match error.code() {
            Some(LETS_ANYBODY_IN) => self.lets_anybody_in(),
            Some(ROLE_IN_OUR_ACCOUNT) => vec![cause(
                "ROLE_IN_OUR_ACCOUNT",
                format!(
                    "A role of the binding is in the account that Leasehold runs in: {}.",
                    error.detail()
                ),
                format!(
                    "# Make a role in the tenant's own account, for example next to the key in {}, and another binding that \
                     names it.",
                    self.plan.key.account()
                ),
            )],
            Some("PackedPolicyTooLarge" | "PackedPolicyTooLargeException") => vec![cause(
                "SESSION_TAGS_TOO_LARGE",
                "STS packs the session's policy and tags together, and these are too large.",
                format!("# Make another binding with fewer or shorter session_tags for {}.", self.role),
            )],
            Some("RegionDisabledException") => vec![cause(
                "STS_REGION_DISABLED",
                "STS is not active in this region for the account of the role.",
                format!(
                    "# With credentials of account {}, in the console: IAM, Account settings, Security Token Service: activate \
                     the region.\n# Or ask the operator to use another one (aws.region).",
                    self.role.account()
                ),
            )],
            _ if self.stage == Stage::Assume => vec![cause(
                "ASSUME_REFUSED_AS_INVALID",
                format!("STS finds a parameter of the assume invalid: {}.", error.detail()),
                format!(
                    "{}\naws iam get-role --role-name {}\n# Compare the binding's settings with it: its path, its tags, its names.",
                    shell::with_credentials_of(self.role.account()),
                    self.role.name()
                ),
            )],
            _ => vec![state::unfit(&self.plan.key, error)],
        }
    }

    fn unavailable(&self) -> Vec<Cause> {
        match self.error.code() {
            Some("KMSInvalidStateException" | "KeyUnavailableException" | "DependencyTimeoutException") => {
                vec![state::store_down(&self.plan.key)]
            }
            Some("KEY_MISMATCH") => vec![cause(
                "ANSWER_ABOUT_ANOTHER_KEY",
                format!("KMS answered about another key than {}.", self.plan.key),
                format!(
                    "# Operator: look for a proxy between Leasehold and KMS in {}, or an endpoint in aws.endpoints.",
                    self.plan.key.region()
                ),
            )],
            _ => vec![cause(
                "CLOUD_DID_NOT_ANSWER",
                format!("AWS gave no answer that says anything about the binding: {}.", self.error.detail()),
                format!(
                    "# Operator: see https://health.aws.amazon.com/health/status for STS and KMS in {}, then the way there \
                     (aws.endpoints, VPC endpoints, proxies). Then verify again.",
                    self.plan.key.region()
                ),
            )],
        }
    }
}

fn cause(reason: &'static str, text: impl Into<String>, mend: impl Into<String>) -> Cause {
    Cause { reason, text: text.into(), mend: mend.into() }
}

/// A change that was just made may simply not be in effect yet.
fn not_yet_in_effect(what: &str) -> Cause {
    cause(
        "NOT_YET_IN_EFFECT",
        "If this was changed within the last minutes, AWS may not have applied it everywhere yet.",
        format!("# Wait a minute or two and verify again. It concerns {what}."),
    )
}

/// It works by now.
fn took_effect(what: &str) -> Cause {
    cause(
        "TOOK_EFFECT_MEANWHILE",
        "The same request, made once more, succeeded: a change that was just made has taken effect.",
        format!("# Verify again. It concerned {what}."),
    )
}
