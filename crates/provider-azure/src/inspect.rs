//! What no step of a proof shows: the token, how the key is kept, and what our principal may do that it need not.

use std::time::Duration;

use azure_core::time::OffsetDateTime;
use azure_security_keyvault_keys::models::{Key, KeyType};
use futures::StreamExt;
use leasehold_provider::{Cause, Depth, Fault, Finding, ProviderError, Verdict};
use serde_json::Value;

use crate::assume::VaultSession;
use crate::cloud::{Cloud, Store};
use crate::commands::Commands;
use crate::error::{Call, failure};
use crate::key::{EXPIRY_NOTICE, SessionKey, purgeable};

/// How old a version may be before it is worth a warning. Two years: the longest that Microsoft's own policies recommend.
/// <https://learn.microsoft.com/azure/key-vault/keys/how-to-configure-key-rotation>
const OLD: Duration = Duration::from_secs(2 * 365 * 24 * 3600);

/// Looks at everything there is to see with this session.
pub(crate) async fn inspect(
    commands: &Commands<'_>,
    session: &VaultSession,
    key: &SessionKey<'_>,
    depth: Depth,
) -> Vec<Finding> {
    let mut findings = vec![token(commands, session)];
    match key.look().await {
        Ok((described, _)) => findings.extend(keeping(commands, &described, OffsetDateTime::now_utc())),
        Err(error) => findings.push(Finding {
            verdict: Verdict::Skipped,
            ..Finding::failed("KEY_KEEPING", "how the key is kept", &error, Vec::new())
        }),
    }
    if depth == Depth::ExcessPermissions {
        findings.extend(probes(commands, session).await);
    }
    findings
}

/// What the token says about itself. Entra does not promise that it can be read.
fn token(commands: &Commands<'_>, session: &VaultSession) -> Finding {
    let title = "audience of the token that Entra ID gave us";
    let Some(claims) = session.held.claims() else {
        return Finding::new(
            "TOKEN",
            title,
            Verdict::Skipped,
            "the token is not in a form that can be read, which is no fault",
        );
    };
    let claim = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or("nothing");
    let detail = format!(
        "{}, in directory {}, for application {}, whose service principal there is {}",
        claim("aud"),
        claim("tid"),
        claim("appid"),
        claim("oid")
    );
    let as_asked = claim("tid").eq_ignore_ascii_case(commands.plan.directory.as_str())
        && claim("appid").eq_ignore_ascii_case(commands.client.as_str())
        && is_audience(commands.cloud, session.store, claim("aud"));
    if as_asked {
        return Finding::new("TOKEN", title, Verdict::Passed, detail);
    }
    Finding::new("TOKEN", title, Verdict::Warning, detail).because(Cause {
        reason: "TOKEN_DIFFERS",
        text: "The token is for another audience, directory or application than the one asked for.".to_owned(),
        mend: format!(
            "# Operator: compare azure.client_id with what this shows, and directory_id with the tenant's:\naz ad app show --id {}",
            commands.client
        ),
    })
}

/// Resources are named by their URL, or by the id of their application.
fn is_audience(cloud: Cloud, store: Store, audience: &str) -> bool {
    audience.trim_end_matches('/') == cloud.resource(store) || audience == store.application()
}

/// How the key is kept.
fn keeping(commands: &Commands<'_>, described: &Key, now: OffsetDateTime) -> Vec<Finding> {
    let (key, vault) = (&commands.plan.key, commands.plan.key.vault());
    let attributes = described.attributes.clone().unwrap_or_default();
    let mut findings = Vec::new();
    let mut found = |check, title: &str, good: &str, problem: Option<(String, Cause)>| {
        let finding = match problem {
            None => Finding::new(check, title, Verdict::Passed, good),
            Some((detail, cause)) => Finding::new(check, title, Verdict::Warning, detail).because(cause),
        };
        findings.push(finding);
    };
    let cause = |reason, text: &str, mend: String| Cause { reason, text: text.to_owned(), mend };

    let purge = purgeable(&attributes).then(|| {
        let mend = format!("az keyvault update --name {vault} --enable-purge-protection true");
        let text = "Whoever may purge can destroy a deleted key at once, and all that it wrapped with it.";
        ("it is off".to_owned(), cause("PURGE_PROTECTION_OFF", text, mend))
    });
    found("PURGE_PROTECTION", "purge protection of the vault", "it is on", purge);

    let expiry = attributes.expires.filter(|end| *end - now < EXPIRY_NOTICE).map(|end| {
        let mend = format!("az keyvault key rotate --id {key}");
        let text = "After its expiry nothing can be wrapped with this version; unwrapping goes on.";
        (format!("the newest version expires on {}", end.date()), cause("KEY_EXPIRES_SOON", text, mend))
    });
    found("EXPIRY", "expiry of the key", "not within 30 days", expiry);

    let age = attributes.created.filter(|created| now - *created > OLD).map(|created| {
        let mend = format!("# Then tag the new version like this one.\naz keyvault key rotate --id {key}");
        let text = "Nobody rotated the key for two years.";
        (format!("the newest version is of {}", created.date()), cause("KEY_OLD", text, mend))
    });
    found("ROTATION", "rotation of the key", "the newest version is less than two years old", age);

    let software = described.key.as_ref().is_some_and(|key| key.kty == Some(KeyType::Rsa));
    let software = (software && commands.plan.store == Store::Vault).then(|| {
        let mend = format!(
            "# Make another key with --protection hsm, and another binding with it in place of {key}."
        );
        let text = "The key is protected by software, not held in hardware.";
        ("by software: its type is RSA".to_owned(), cause("SOFTWARE_KEY", text, mend))
    });
    found("PROTECTION", "protection of the key", "it never leaves an HSM", software);
    findings
}

/// Reads that a least-privileged principal is refused. Nothing here has an effect.
async fn probes(commands: &Commands<'_>, session: &VaultSession) -> Vec<Finding> {
    let client = &session.client;
    let list = async {
        let mut pages = client.list_key_properties(None)?.into_pages();
        pages.next().await.transpose().map(drop)
    };
    let list_deleted = async {
        let mut pages = client.list_deleted_key_properties(None)?.into_pages();
        pages.next().await.transpose().map(drop)
    };
    let policy = async { client.get_key_rotation_policy(session.key.name(), None).await.map(drop) };
    let (list, list_deleted, policy) = tokio::join!(list, list_deleted, policy);
    vec![
        probed(commands, "MAY_LIST_KEYS", "list the keys of the vault", list),
        probed(commands, "MAY_LIST_DELETED_KEYS", "list the deleted keys of the vault", list_deleted),
        probed(commands, "MAY_READ_ROTATION_POLICY", "read the key's rotation policy", policy),
    ]
}

fn probed(
    commands: &Commands<'_>,
    check: &'static str,
    what: &str,
    outcome: azure_core::Result<()>,
) -> Finding {
    let title = format!("be refused to {what}");
    match outcome {
        Ok(()) => {
            let detail = format!("our service principal may {what}, which it does not need");
            let principal = format!("\"{}\"", commands.principal_id());
            let cause = Cause {
                reason: "EXCESS_PERMISSIONS",
                text: "The role was given at the vault or above it, or it is a greater one than needed."
                    .to_owned(),
                mend: format!(
                    "# Give the lesser role at the key alone, and take away the others that are listed:\n{}\n{}",
                    commands.assign_role(&principal),
                    commands.list_roles(&principal)
                ),
            };
            Finding::new(check, title, Verdict::Warning, detail).because(cause)
        }
        Err(error) => refused(check, title, &failure(Call::Look, &error, None)),
    }
}

fn refused(check: &'static str, title: String, error: &ProviderError) -> Finding {
    let verdict = match error.fault() {
        Fault::Denied { .. } => Verdict::Passed,
        _ => Verdict::Skipped,
    };
    // Being refused is as it should be: no edge was cut.
    Finding { verdict, edge: None, ..Finding::failed(check, title, error, Vec::new()) }
}
