//! Why a step of a verification failed: the likely causes, and the change that mends each.

mod key;
mod own;

use leasehold_provider::{Cause, Fault, ProviderError, Stage};

use crate::cloud::Cloud;
use crate::commands::Commands;

/// What is known about a step that failed, besides how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    /// The object id of our service principal, if it could be found out.
    pub(crate) object_id: Option<&'a str>,
    /// Whether the binding was activated, so that all of this worked once.
    pub(crate) worked: bool,
}

/// The likely causes, the likeliest first.
pub(crate) fn causes(
    commands: &Commands<'_>,
    stage: Stage,
    error: &ProviderError,
    known: Known<'_>,
) -> Vec<Cause> {
    if matches!(error.fault(), Fault::Throttled { .. }) {
        return vec![throttled(stage)];
    }
    if error.fault() == &Fault::OwnIdentity {
        return vec![own::cause_of(commands, error)];
    }
    match stage {
        Stage::OwnIdentity => vec![unreachable(commands.cloud.authority())],
        Stage::Assume => assume(commands, error),
        _ => key::causes(commands, stage, error, known),
    }
}

/// Why a binding's settings cannot be read.
pub(crate) fn settings(cloud: Cloud, error: &ProviderError) -> Cause {
    cause(
        "SETTINGS",
        error.detail(),
        format!(
            "# Make another binding. Its key is https://VAULT.{}/keys/NAME, as az keyvault key show --query key.kid prints it \
             but without the version; its directory_id, which the platform's own keys have not, is what az keyvault show \
             --query properties.tenantId prints.",
            cloud.vault_suffix()
        ),
    )
}

fn cause(reason: &'static str, text: impl Into<String>, mend: impl Into<String>) -> Cause {
    Cause { reason, text: text.into(), mend: mend.into() }
}

fn throttled(stage: Stage) -> Cause {
    let (whose, mend) = match stage {
        Stage::OwnIdentity | Stage::Assume => (
            "Entra ID limits how often our application may ask for new tokens",
            "# Wait for a minute. If it lasts, the operator lengthens the revocation bounds or runs fewer replicas, so that \
             fewer proofs are made.",
        ),
        _ => (
            "The vault is asked more often than it allows",
            "# Wait for ten seconds, which is what the vault counts over. If it lasts, the tenant gives the key a vault of its \
             own, or uses a binding with hierarchy kek.",
        ),
    };
    cause("THROTTLED", format!("{whose}."), mend)
}

fn unreachable(host: &str) -> Cause {
    cause(
        "UNREACHABLE",
        format!("{host} did not answer, or answered that it is broken."),
        format!(
            "# Operator: see that https://{host} can be reached from where Leasehold runs: names, routes, egress rules."
        ),
    )
}

fn assume(commands: &Commands<'_>, error: &ProviderError) -> Vec<Cause> {
    let principal = commands.principal();
    let consent_url =
        commands.consent_url().map(|url| format!("# Or open this: {url}\n")).unwrap_or_default();
    let no_consent = cause(
        "NO_CONSENT",
        "Our application has no service principal in the tenant's directory: nobody let it in, or it was deleted.",
        format!(
            "{}\n{}\n{consent_url}# It makes the {principal}, to which its role must then be given anew:\n{}",
            commands.administrator(),
            commands.create_principal(),
            commands.assign_role(&format!("\"{}\"", commands.principal_id())),
        ),
    );
    let directory = wrong_directory(commands);
    match error.code().unwrap_or_default() {
        "AADSTS700016" | "AADSTS700011" | "AADSTS7000229" | "AADSTS65001" => vec![no_consent, directory],
        "AADSTS7000112" => vec![cause(
            "PRINCIPAL_DISABLED",
            "Our service principal is disabled in the tenant's directory.",
            format!("{}\n{}", commands.administrator(), commands.enable_principal(true)),
        )],
        "AADSTS53003" | "AADSTS530035" | "AADSTS50076" | "AADSTS50079" => vec![cause(
            "CONDITIONAL_ACCESS",
            "A conditional access policy of the tenant's directory blocks our service principal.",
            format!(
                "# In the portal, Entra ID, Conditional Access, Policies: exclude the {principal}, or add our egress addresses \
                 to the named locations."
            ),
        )],
        "AADSTS501051" | "AADSTS50105" => vec![cause(
            "ASSIGNMENT_REQUIRED",
            "The tenant's directory gives tokens for Key Vault to assigned applications only.",
            format!(
                "# In the portal, Entra ID, Enterprise applications, Azure Key Vault, Properties: set Assignment required to \
                 No, or assign the {principal}."
            ),
        )],
        "AADSTS500014" => vec![cause(
            "KEY_VAULT_DISABLED",
            "Azure Key Vault itself is disabled as an application of the tenant's directory.",
            format!(
                "{}\naz ad sp update --id {} --set accountEnabled=true",
                commands.administrator(),
                commands.plan.store.application()
            ),
        )],
        "AADSTS500011" => vec![directory, no_key_vault(commands)],
        "AADSTS90002" | "AADSTS900023" => vec![directory],
        _ => vec![unreachable(commands.cloud.authority())],
    }
}

fn no_key_vault(commands: &Commands<'_>) -> Cause {
    cause(
        "KEY_VAULT_MISSING",
        "Azure Key Vault itself was deleted from the applications of the tenant's directory.",
        format!("{}\naz ad sp create --id {}", commands.administrator(), commands.plan.store.application()),
    )
}

fn wrong_directory(commands: &Commands<'_>) -> Cause {
    cause(
        "DIRECTORY_DIFFERS",
        "directory_id is not the directory that the vault belongs to: it never was, the vault was moved, or the directory was \
         deleted.",
        format!(
            "# Make another binding with the directory that this prints, in place of {}:\naz keyvault show {} --query \
             properties.tenantId",
            commands.plan.directory,
            commands.vault_option(),
        ),
    )
}

#[cfg(test)]
mod tests;
