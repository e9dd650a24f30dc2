//! Why a step of a verification failed, and the exact change that mends it.

mod key;

use leasehold_provider::{Cause, Edge, FailedStage, Fault, ProviderError};
use leasehold_secret::Arena;

use crate::clients::Clients;
use crate::kit::shell;
use crate::name::ServiceAccount;
use crate::policy::{Documents, Grant};
use crate::settings::Plan;
use crate::state::{LABEL, LABEL_DIFFERS, LABEL_MISSING, NO_PRIMARY_VERSION, WRONG_PURPOSE};

/// Why the settings could not be read: their own complaint says it.
pub(crate) fn misread(error: &ProviderError) -> Vec<Cause> {
    let mend = format!("# Make another binding with this put right: {}.", error.detail());
    vec![cause("SETTINGS_INVALID", "The binding's key or settings cannot work as they are.", mend)]
}

/// The likely causes of `failed`, the likeliest first.
pub(crate) async fn explain(
    clients: &Clients,
    arena: &Arena,
    plan: &Plan,
    failed: &FailedStage<'_>,
) -> Vec<Cause> {
    let error = failed.error;
    let own = failed.own.map_or("", |own| own.principal.as_str());
    match error.fault() {
        Fault::OwnIdentity => ours(error, failed.own.map(|own| own.account.as_str())),
        Fault::Denied { .. } | Fault::Unavailable if is_perimeter(error) => vec![perimeter(error, plan)],
        Fault::Denied { edge: Edge::Trust { hop } } => trust(plan, own, *hop, error),
        Fault::Denied { edge: Edge::Key | Edge::Version } => {
            let worked = failed.binding.canary.is_some();
            key::denied(clients, arena, plan, error, worked).await
        }
        Fault::KeyUnusable(state) => vec![key::unusable(plan, *state, error)],
        Fault::Misconfigured => misconfigured(plan, error),
        _ => Vec::new(),
    }
}

// === Ourselves ===

/// Why our own identity failed. The operator mends it; no tenant can.
fn ours(error: &ProviderError, account: Option<&str>) -> Vec<Cause> {
    let project = account.unwrap_or("OUR_PROJECT");
    let code = error.code().unwrap_or_default();
    if code.contains("SERVICE_DISABLED") {
        return vec![cause(
            "IAM_CREDENTIALS_API_OFF",
            "The IAM Service Account Credentials API is off in the project that Leasehold runs in.",
            format!("# Operator:\ngcloud services enable iamcredentials.googleapis.com --project={project}"),
        )];
    }
    if code.contains("USER_PROJECT_DENIED") {
        return vec![cause(
            "OWN_PROJECT_REFUSED",
            "Leasehold may not have its calls charged to the project that its credentials name.",
            format!(
                "# Operator, with Leasehold's own member in place of MEMBER:\ngcloud projects add-iam-policy-binding {project} \
                 --role=roles/serviceusage.serviceUsageConsumer --member=MEMBER"
            ),
        )];
    }
    if code.contains("BILLING_DISABLED") || code.contains("CONSUMER") {
        return vec![cause(
            "OWN_PROJECT_REFUSED",
            "Google does not charge calls to the project that Leasehold runs in.",
            format!(
                "# Operator: see which billing account it has, and link one:\ngcloud billing projects describe {project}"
            ),
        )];
    }
    if code.contains("SCOPE") {
        return vec![cause(
            "OWN_SCOPE_TOO_SMALL",
            "The machine's access scopes do not let Leasehold ask for tenants' tokens.",
            "# Operator, with the machine's name in place of INSTANCE:\ngcloud compute instances set-service-account INSTANCE \
             --scopes=cloud-platform",
        )];
    }
    if code.starts_with("invalid_") || code.starts_with("un") || code == "access_denied" {
        return vec![cause(
            "FEDERATION_BROKEN",
            "The Security Token Service does not take the token that our platform gives us: issuer, audience, attribute \
             condition or signing keys of the workload identity provider differ from what it says.",
            format!(
                "# Operator: compare the subject token's claims with what this shows:\ngcloud iam workload-identity-pools \
                 providers describe PROVIDER --workload-identity-pool=POOL --location=global --project={project}"
            ),
        )];
    }
    let mut causes = vec![
        cause(
            "OWN_ACCOUNT_DISABLED",
            "Leasehold's own service account is disabled or deleted, or its credentials were revoked.",
            format!(
                "# Operator: find ours, and enable or undelete it:\ngcloud iam service-accounts list --project={project}"
            ),
        ),
        cause(
            "NO_OWN_CREDENTIALS",
            "The place that Leasehold runs in gives it no credentials.",
            "# Operator: attach a service account to the machine or the Kubernetes service account, or configure \
             gcp.identity.",
        ),
    ];
    if code == "NOT_FOUND" {
        causes.reverse();
    }
    causes
}

// === The trust edge ===

fn trust(plan: &Plan, own: &str, hop: usize, error: &ProviderError) -> Vec<Cause> {
    let Some(documents) = Documents::of(plan, own) else { return Vec::new() };
    let Some((account, grant)) = documents.accounts.get(hop) else { return Vec::new() };
    let words = error.detail().to_ascii_lowercase();
    let code = error.code().unwrap_or_default();
    let project = account.project();
    let missing = cause(
        "SERVICE_ACCOUNT_MISSING",
        format!(
            "There is no service account {account}: it was deleted, or the binding's settings have a typo."
        ),
        // One that is made anew has none of the grants of the one before it.
        format!(
            "# If it is called otherwise, make another binding with its name. If there is none:\n{}",
            shell::set_up(&documents)
        ),
    );
    let disabled = cause(
        "SERVICE_ACCOUNT_DISABLED",
        format!("The service account {account} is disabled."),
        format!("gcloud iam service-accounts enable {account} --project={project}"),
    );
    if code.starts_with("NOT_FOUND") {
        return vec![missing];
    }
    if code.starts_with("FAILED_PRECONDITION") || words.contains("disabled") {
        return vec![disabled];
    }
    let mut causes = vec![cause(
        "NO_TOKEN_CREATOR",
        format!("{} may not get tokens for {account}: it has no grant there.", grant.member),
        put_grant(account, grant),
    )];
    for (other, (account, grant)) in documents.accounts.iter().enumerate().filter(|(other, _)| *other != hop)
    {
        causes.push(cause(
            "NO_DELEGATION",
            format!(
                "Hop {} of the chain: {} has no grant on {account}. Google does not always say which hop it is about.",
                other + 1,
                grant.member
            ),
            put_grant(account, grant),
        ));
    }
    causes.push(not_propagated(&format!(
        "gcloud iam service-accounts get-iam-policy {account} --project={project}"
    )));
    causes.push(missing);
    causes.push(disabled);
    causes.push(deny_policy(project.as_str(), &grant.member));
    causes
}

/// Gives `grant` on `account`, with the role that it is about.
fn put_grant(account: &ServiceAccount, grant: &Grant) -> String {
    format!("{}\n{}", shell::put_role(&grant.role), shell::grant_account(account, grant))
}

// === The binding ===

fn misconfigured(plan: &Plan, error: &ProviderError) -> Vec<Cause> {
    let challenge = plan.challenge.as_deref().unwrap_or_default();
    let labelled = |reason, text: &str| cause(reason, text, shell::label(&plan.key, challenge));
    match error.code() {
        Some(LABEL_MISSING) => vec![labelled(
            LABEL_MISSING,
            "The key does not carry the label by which its owner says that this binding may use it.",
        )],
        Some(LABEL_DIFFERS) => vec![labelled(
            LABEL_DIFFERS,
            &format!(
                "The key's label {LABEL} is another binding's: the key is in use elsewhere, or the label was pasted from \
                 another kit. A key serves one binding at a time."
            ),
        )],
        Some(code @ (WRONG_PURPOSE | NO_PRIMARY_VERSION)) => {
            let reason = if code == WRONG_PURPOSE { WRONG_PURPOSE } else { NO_PRIMARY_VERSION };
            let mend = match reason {
                WRONG_PURPOSE => format!(
                    "# Another key, for another binding, with its name in place of NAME:\ngcloud kms keys create NAME {} \
                     --purpose=encryption",
                    shell::place_of(&plan.key)
                ),
                _ => format!(
                    "# With the number of the version that is to wrap:\ngcloud kms keys set-primary-version {} --version=1 {}",
                    plan.key.key(),
                    shell::place_of(&plan.key)
                ),
            };
            vec![cause(reason, format!("The key {} cannot wrap for us: {}.", plan.key, error.detail()), mend)]
        }
        Some("OWN_PROJECT") => vec![cause(
            "OWN_PROJECT",
            "What is in Leasehold's own project may trust Leasehold whoever asks, so it is never taken as a tenant's.",
            format!("# Make another binding: {}.", error.detail()),
        )],
        _ => misread(error),
    }
}

// === Policies that we cannot see ===

fn is_perimeter(error: &ProviderError) -> bool {
    error.code().is_some_and(|code| {
        code.contains("SECURITY_POLICY_VIOLATED") || code.contains("VPC_SERVICE_CONTROLS")
    }) || error.detail().contains("vpcServiceControlsUniqueIdentifier")
        || error.detail().contains("prohibited by organization's policy")
}

fn perimeter(error: &ProviderError, plan: &Plan) -> Cause {
    cause(
        "VPC_SERVICE_CONTROLS",
        "A service perimeter of VPC Service Controls keeps Leasehold out.",
        format!(
            "# Administrator of the perimeter around {}: let in {} for cloudkms.googleapis.com and \
             iamcredentials.googleapis.com by an ingress rule. Its log has the refusal under the identifier in: {}",
            plan.key.project(),
            plan.principal().map(|account| account.member()).unwrap_or_default(),
            error.detail()
        ),
    )
}

fn not_propagated(look: &str) -> Cause {
    cause(
        "NOT_PROPAGATED",
        "The grant was made a moment ago: Google takes about 2 to 7 minutes to apply one.",
        format!("# Wait, and verify again. This shows what was granted:\n{look}"),
    )
}

fn deny_policy(project: &str, member: &str) -> Cause {
    cause(
        "DENY_POLICY",
        "A deny policy or a principal access boundary of the project, a folder or the organisation goes before every grant.",
        format!(
            "# Except {member} from the one that denies. This shows those of the project:\ngcloud iam policies list \
             --kind=denypolicies --attachment-point=cloudresourcemanager.googleapis.com/projects/{project}"
        ),
    )
}

fn cause(reason: &'static str, text: impl Into<String>, mend: impl Into<String>) -> Cause {
    Cause { reason, text: text.into(), mend: mend.into() }
}
