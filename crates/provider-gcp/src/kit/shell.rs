//! The kit as commands of gcloud.
//!
//! Everything written into a command is a name that `crate::name` parsed, or our own; neither has a character that means
//! anything to a shell. Nothing depends on where a line begins, because reports and kits print commands indented.

use std::fmt::Write;

use crate::name::{KeyName, ServiceAccount};
use crate::policy::{Documents, Grant, KMS_API, Role, kms_projects};
use crate::settings::Plan;
use crate::state::LABEL;

/// Sets everything up, in an order in which nothing names what is not there yet. Can be run again.
pub(crate) fn set_up(documents: &Documents<'_>) -> String {
    let mut out = format!("{}\n\n", enable_kms(documents.plan));
    for role in documents.roles() {
        let _ = writeln!(out, "{}\n", put_role(role));
    }
    for (account, grant) in &documents.accounts {
        let _ = writeln!(out, "{}\n{}\n", put_account(account), grant_account(account, grant));
    }
    let key = &documents.plan.key;
    let _ = writeln!(out, "{}\n{}", grant_key(key, &documents.key), label(key, documents.challenge));
    out
}

/// Switches Cloud KMS on wherever `plan` needs it; where it is on, nothing happens.
pub(crate) fn enable_kms(plan: &Plan) -> String {
    let enable = |project| format!("gcloud services enable {KMS_API} --project={project}");
    kms_projects(plan).into_iter().map(enable).collect::<Vec<_>>().join("\n")
}

/// Writes the role's definition to a file, and makes the role from there, or changes the one that there is.
pub(crate) fn put_role(role: &Role) -> String {
    let Role { id, project, .. } = role;
    let file = format!("{id}.json");
    format!(
        "printf '%s\\n' '{:#}' > {file}\ngcloud iam roles create {id} --project={project} --file={file} ||\n  \
         gcloud iam roles update {id} --project={project} --file={file} --quiet",
        role.definition(),
    )
}

/// Makes a service account, if there is none of its name.
fn put_account(account: &ServiceAccount) -> String {
    let (name, project) = (account.email().split('@').next().unwrap_or_default(), account.project());
    format!(
        "gcloud iam service-accounts describe {account} --project={project} > /dev/null ||\n  \
         gcloud iam service-accounts create {name} --project={project}"
    )
}

/// Gives `grant` on a service account.
pub(crate) fn grant_account(account: &ServiceAccount, grant: &Grant) -> String {
    change_account("add", account, grant)
}

/// Takes it away.
pub(crate) fn revoke_account(account: &ServiceAccount, grant: &Grant) -> String {
    change_account("remove", account, grant)
}

fn change_account(verb: &str, account: &ServiceAccount, grant: &Grant) -> String {
    format!(
        "gcloud iam service-accounts {verb}-iam-policy-binding {account} --project={} --role={} --member='{}' \
         --condition=None",
        account.project(),
        grant.role.name(),
        grant.member
    )
}

/// Gives `grant` on the key.
pub(crate) fn grant_key(key: &KeyName, grant: &Grant) -> String {
    change_key("add", key, grant)
}

/// Takes it away.
pub(crate) fn revoke_key(key: &KeyName, grant: &Grant) -> String {
    change_key("remove", key, grant)
}

fn change_key(verb: &str, key: &KeyName, grant: &Grant) -> String {
    format!(
        "gcloud kms keys {verb}-iam-policy-binding {} {} --role={} --member='{}' --condition=None",
        key.key(),
        place_of(key),
        grant.role.name(),
        grant.member
    )
}

/// Puts our challenge on the key.
pub(crate) fn label(key: &KeyName, challenge: &str) -> String {
    format!("gcloud kms keys update {} {} --update-labels={LABEL}={challenge}", key.key(), place_of(key))
}

/// Does `verb` with every version of the key that is in `state`.
pub(crate) fn each_version(key: &KeyName, state: &str, verb: &str) -> String {
    let place = place_of(key);
    format!(
        "# {key}\nfor version in $(gcloud kms keys versions list --key={} {place} --filter=state={state} \
         --format='value(name.basename())'); do\n  gcloud kms keys versions {verb} \"$version\" --key={} {place}\ndone",
        key.key(),
        key.key(),
    )
}

/// The options that say where a key is.
pub(crate) fn place_of(key: &KeyName) -> String {
    format!("--keyring={} --location={} --project={}", key.ring(), key.location(), key.project())
}
