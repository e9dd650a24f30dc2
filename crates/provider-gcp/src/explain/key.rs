//! Why Cloud KMS refused, or what is wrong with the key.

use leasehold_provider::{Cause, KeyState, ProviderError};
use leasehold_secret::Arena;

use super::{cause, deny_policy, not_propagated};
use crate::assume::{self, KeySession};
use crate::clients::Clients;
use crate::key::SessionKey;
use crate::kit::shell;
use crate::policy::{Documents, KEY_PERMISSIONS};
use crate::settings::Plan;
use crate::state::may_be_told;

/// What Cloud KMS calls a no of an external key manager.
const EXTERNAL_DENIED: &str = "EXTERNAL_PERMISSION_DENIED";
/// What it calls a key that the external key manager does not have.
const EXTERNAL_NOT_FOUND: &str = "EXTERNAL_NOT_FOUND";

/// Why the service account may not use the key. `worked` says whether the binding was activated, so that all of this worked
/// once.
pub(super) async fn denied(
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

pub(super) fn unusable(plan: &Plan, state: KeyState, error: &ProviderError) -> Cause {
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
