//! Why our own identity failed.

use leasehold_provider::{Cause, ProviderError};

use super::cause;
use crate::commands::Commands;

/// Ours to mend, whoever's binding it was.
pub(super) fn cause_of(commands: &Commands<'_>, error: &ProviderError) -> Cause {
    let id = commands.client;
    let credential = |what: &str| {
        format!(
            "# Operator: see what the application trusts:\naz ad app federated-credential list --id {id} > \
             credentials.json\n# In credential.json, write the one of ours with the {what} that the error names. Then, with its \
             name in place of NAME:\n# az ad app federated-credential update --id {id} --federated-credential-id NAME \
             --parameters credential.json"
        )
    };
    let new_secret = format!(
        "# Operator: make a new one, and write the password that this prints to the secret's file:\naz ad app credential reset \
         --id {id} --append"
    );
    match error.code().unwrap_or_default() {
        "AADSTS7000215" => cause(
            "SECRET_WRONG",
            "Our client secret is not one of our application; often its id was taken for its value.",
            new_secret,
        ),
        "AADSTS7000222" => cause("SECRET_EXPIRED", "Our client secret has expired.", new_secret),
        "AADSTS700027" => cause(
            "CERTIFICATE_UNKNOWN",
            "Our certificate is not registered with our application, or has expired.",
            format!(
                "# Operator: register it:\naz ad app credential reset --id {id} --cert @certificate.pem --append"
            ),
        ),
        "AADSTS700024" => cause(
            "ASSERTION_OUT_OF_TIME",
            "What proves who we are is too early or too late: our clock is wrong, or the token in the file was not renewed.",
            "# Operator: set the clock (timedatectl), or restart the pod so that its service account token is projected anew.",
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
                "# Operator: see that it is there, enabled and multi-tenant:\naz ad app show --id {id}\naz ad sp show --id {id}"
            ),
        ),
        _ => cause(
            "OWN_CREDENTIALS",
            "What proves who we are could not be had: the platform gave no token, or a file is missing or wrong.",
            "# Operator: assign the managed identity to the machine or container, or mend the file that the error names.",
        ),
    }
}
