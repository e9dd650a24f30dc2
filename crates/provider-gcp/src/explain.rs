//! Why a step of a verification failed, and the exact change that mends it.

use leasehold_provider::{Cause, Edge, FailedStage, Fault, KeyState, ProviderError};
use leasehold_secret::Arena;

use crate::assume::{self, KeySession};
use crate::clients::Clients;
use crate::key::SessionKey;
use crate::kit::shell;
use crate::name::ServiceAccount;
use crate::policy::{Documents, Grant, KEY_PERMISSIONS};
use crate::settings::Plan;
use crate::state::{LABEL, LABEL_DIFFERS, LABEL_MISSING, NO_PRIMARY_VERSION, WRONG_PURPOSE, may_be_told};

/// What Cloud KMS calls a no of an external key manager.
const EXTERNAL_DENIED: &str = "EXTERNAL_PERMISSION_DENIED";
/// What it calls a key that the external key manager does not have.
const EXTERNAL_NOT_FOUND: &str = "EXTERNAL_NOT_FOUND";

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
        Fault::Denied { edge: Edge::Key } => {
            let worked = failed.binding.canary.is_some();
            key_denied(clients, arena, plan, error, worked).await
        }
        Fault::KeyUnusable(state) => vec![unusable(plan, *state, error)],
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

// === The key edge ===

/// `worked` says whether the binding was activated, so that all of this worked once.
async fn key_denied(
    clients: &Clients,
    arena: &Arena,
    plan: &Plan,
    error: &ProviderError,
    worked: bool,
) -> Vec<Cause> {
    let code = error.code().unwrap_or_default();
    let project = plan.key.project();
    if code.contains("SERVICE_DISABLED") || error.detail().contains("has not been used in project") {
        return vec![cause(
            "KMS_API_OFF",
            "The Cloud KMS API is off in the service account's project or the key's.",
            format!("# {}\n{}", plan.key, shell::enable_kms(plan)),
        )];
    }
    if code.contains("BILLING_DISABLED") || code.contains("CONSUMER") {
        return vec![cause(
            "BILLING_OFF",
            "Billing is off for the service account's project or the key's, or the project is suspended.",
            format!(
                "# See which billing account it has, and link one:\ngcloud billing projects describe {project}"
            ),
        )];
    }
    if code.contains(EXTERNAL_DENIED) {
        return vec![external(
            plan,
            "EXTERNAL_KEY_DENIED",
            "The external key manager does not let Cloud KMS use the key.",
        )];
    }
    if code.contains("ACCOUNT_STATE_INVALID") {
        let account = plan.principal().map(ToString::to_string).unwrap_or_default();
        return vec![cause(
            "SERVICE_ACCOUNT_DISABLED",
            format!("The service account {account} was disabled or deleted while Leasehold held a session."),
            format!("gcloud iam service-accounts enable {account}"),
        )];
    }
    let permitted = permitted(clients, arena, plan).await;
    let mut causes = lacking(plan, permitted.as_deref());
    // All that is needed is granted by now: what was refused was refused before that, or by something that tests of
    // permissions do not see.
    causes.push(not_propagated(&format!(
        "gcloud kms keys get-iam-policy {} {}",
        plan.key.key(),
        shell::place_of(&plan.key)
    )));
    let member = plan.principal().map(|account| account.member()).unwrap_or_default();
    causes.push(deny_policy(project.as_str(), &member));
    if !worked && permitted.is_none() {
        // Cloud KMS says the same of a key that there is not, and a key that there was is there for ever.
        causes.insert(causes.len().min(1), no_such_key(plan));
    }
    causes
}

/// What the service account may do with the key, by Cloud KMS's own word now; `None` if it does not say, or if nothing may be
/// said about the key.
async fn permitted(clients: &Clients, arena: &Arena, plan: &Plan) -> Option<Vec<String>> {
    let session = assume::assume(clients, plan.clone()).await.ok()?.value;
    let session: &KeySession = session.credentials()?;
    let key = SessionKey { kms: &clients.kms, session, arena };
    if !plan.activated {
        may_be_told(&key.look().await.ok()?.value, plan).ok()?;
    }
    key.permitted(&KEY_PERMISSIONS).await.ok()
}

/// The permissions that are missing; all of them in one if it is not known which.
fn lacking(plan: &Plan, permitted: Option<&[String]>) -> Vec<Cause> {
    let (Some(documents), Some(account)) = (Documents::of(plan, ""), plan.principal()) else {
        return vec![cause(
            "OWN_KEY_DENIED",
            format!("Leasehold itself may not use {}.", plan.key),
            format!(
                "# Operator, with Leasehold's own member in place of MEMBER:\ngcloud kms keys add-iam-policy-binding {} {} \
                 --member=MEMBER --role=roles/cloudkms.cryptoKeyEncrypterDecrypter\ngcloud kms keys add-iam-policy-binding {} {} \
                 --member=MEMBER --role=roles/cloudkms.viewer",
                plan.key.key(),
                shell::place_of(&plan.key),
                plan.key.key(),
                shell::place_of(&plan.key)
            ),
        )];
    };
    let lacks = |permission: &&str| permitted.is_none_or(|has| !has.iter().any(|has| has == permission));
    let lacking: Vec<_> = KEY_PERMISSIONS.into_iter().filter(lacks).collect();
    let (role, grant) = (shell::put_role(&documents.key.role), shell::grant_key(&plan.key, &documents.key));
    let mend = format!("{role}\n{grant}");
    let reason = match lacking.as_slice() {
        [] => return Vec::new(),
        ["cloudkms.cryptoKeyVersions.useToEncrypt"] => "NO_USE_TO_ENCRYPT",
        ["cloudkms.cryptoKeyVersions.useToDecrypt"] => "NO_USE_TO_DECRYPT",
        ["cloudkms.cryptoKeys.get"] => "NO_KEY_GET",
        _ => "NO_KEY_GRANT",
    };
    let lacks = if permitted.is_some() { "lacks" } else { "does not have all of" };
    vec![cause(reason, format!("{account} {lacks} {} on the key.", lacking.join(", ")), mend)]
}

fn unusable(plan: &Plan, state: KeyState, error: &ProviderError) -> Cause {
    let key = &plan.key;
    match state {
        KeyState::Disabled => cause(
            "KEY_VERSION_DISABLED",
            "The version of the key that was used is disabled.",
            shell::each_version(key, "DISABLED", "enable"),
        ),
        KeyState::PendingDeletion
            if error.detail().contains("import") || error.detail().contains("IMPORT") =>
        {
            cause(
                "KEY_MATERIAL_MISSING",
                "The key awaits the import of its material.",
                format!(
                    "# With the import job and the file in place of JOB and FILE, and the number that comes of it in place of \
                     NUMBER:\ngcloud kms keys versions import --key={name} {place} --import-job=JOB \
                     --algorithm=google-symmetric-encryption --target-key-file=FILE\ngcloud kms keys set-primary-version {name} \
                     --version=NUMBER {place}",
                    name = key.key(),
                    place = shell::place_of(key)
                ),
            )
        }
        KeyState::PendingDeletion => cause(
            "KEY_VERSION_DESTROY_SCHEDULED",
            "The version of the key that was used is scheduled for destruction. What it wrapped is lost for good once that \
             is done.",
            format!(
                "{}\n{}",
                shell::each_version(key, "DESTROY_SCHEDULED", "restore"),
                shell::each_version(key, "DISABLED", "enable")
            ),
        ),
        KeyState::NotFound if error.code().is_some_and(|code| code.contains(EXTERNAL_NOT_FOUND)) => {
            external(plan, "EXTERNAL_KEY_MISSING", "The external key manager does not have the key.")
        }
        KeyState::NotFound if error.code().is_some_and(|code| code.contains("DESTROYED")) => cause(
            "KEY_VERSION_DESTROYED",
            "The version of the key that was used was destroyed, and what it wrapped is lost for good.",
            format!(
                "# So that new keys can be wrapped:\ngcloud kms keys versions create --key={} {} --primary",
                key.key(),
                shell::place_of(key)
            ),
        ),
        KeyState::NotFound | KeyState::Expired | KeyState::NotYetValid => no_such_key(plan),
    }
}

/// What only the owner of the external key manager can mend. Cloud KMS disables a version that was refused there.
fn external(plan: &Plan, reason: &'static str, text: &str) -> Cause {
    let key = &plan.key;
    cause(
        reason,
        text,
        format!(
            "# In the external key manager: the key that {key} stands for must be there, and the service agent of Cloud EKM, \
             service-NUMBER@gcp-sa-ekms.iam.gserviceaccount.com with the number of project {}, must be allowed to use it. \
             Then:\n{}",
            key.project(),
            shell::each_version(key, "DISABLED", "enable")
        ),
    )
}

fn no_such_key(plan: &Plan) -> Cause {
    let key = &plan.key;
    cause(
        "KEY_MISSING",
        format!("There is no key {key}: its name, key ring, location or project has a typo."),
        format!(
            "# Make another binding with the right one. A key cannot be moved: its location is part of its name. In this ring \
             there are:\ngcloud kms keys list {}",
            shell::place_of(key)
        ),
    )
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
