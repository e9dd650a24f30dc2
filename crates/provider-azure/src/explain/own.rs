//! Why our own identity failed.

use leasehold_provider::{Cause, ProviderError};

use super::cause;
use crate::commands::Commands;

/// Ours to mend, whoever's binding it was.
pub(super) fn cause_of(commands: &Commands<'_>, error: &ProviderError) -> Cause {
    let id = commands.client;
    let credential = |what: &str| {
        format!(
            "The operator lists what the application trusts, az ad app federated-credential list --id {id}, and sets the \
             {what} to the one that the error names: az ad app federated-credential update --id {id} \
             --federated-credential-id NAME --parameters credential.json"
        )
    };
    match error.code().unwrap_or_default() {
        "AADSTS7000215" => cause(
            "SECRET_WRONG",
            "Our client secret is not one of our application; often its id was taken for its value.",
            format!(
                "The operator makes a new one, az ad app credential reset --id {id} --append, and writes its value to the secret's file."
            ),
        ),
        "AADSTS7000222" => cause(
            "SECRET_EXPIRED",
            "Our client secret has expired.",
            format!(
                "The operator makes a new one, az ad app credential reset --id {id} --append, and writes its value to the secret's file."
            ),
        ),
        "AADSTS700027" => cause(
            "CERTIFICATE_UNKNOWN",
            "Our certificate is not registered with our application, or has expired.",
            format!(
                "The operator registers it: az ad app credential reset --id {id} --cert @certificate.pem --append"
            ),
        ),
        "AADSTS700024" => cause(
            "ASSERTION_OUT_OF_TIME",
            "What proves who we are is too early or too late: our clock is wrong, or the token in the file was not renewed.",
            "The operator sets the clock (timedatectl), or restarts the pod so that its service account token is projected anew.",
        ),
        "AADSTS700211" => cause(
            "FEDERATED_ISSUER",
            "No federated credential of our application has this issuer.",
            credential("issuer"),
        ),
        "AADSTS700212" => cause(
            "FEDERATED_AUDIENCE",
            "No federated credential of our application has this audience.",
            credential("audience"),
        ),
        "AADSTS700213" => cause(
            "FEDERATED_SUBJECT",
            "No federated credential of our application has this subject.",
            credential("subject"),
        ),
        "AADSTS70021" | "AADSTS50013" | "AADSTS700222" | "AADSTS700229" | "AADSTS700236" => cause(
            "FEDERATED_CREDENTIAL",
            "No federated credential of our application fits the platform's token.",
            credential("issuer, subject and audience"),
        ),
        code if code.starts_with("AADSTS") => cause(
            "OWN_APPLICATION",
            "Our application cannot get a token even in our own directory, or cannot prove itself.",
            format!(
                "The operator checks that it is there, enabled and multi-tenant: az ad app show --id {id}; az ad sp show --id {id}"
            ),
        ),
        _ => cause(
            "OWN_CREDENTIALS",
            "What proves who we are could not be had: the platform gave no token, or a file is missing or wrong.",
            "The operator assigns the managed identity to the machine or container, or mends the file that the error names.",
        ),
    }
}
