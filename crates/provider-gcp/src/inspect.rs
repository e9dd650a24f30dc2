//! What no step of a proof shows.

use leasehold_provider::{Cause, Depth, Finding, Verdict};

use google_cloud_kms_v1::model::{CryptoKey, ProtectionLevel};

use crate::key::SessionKey;
use crate::kit::shell::place_of;
use crate::name::KeyName;
use crate::state::{destroy_duration, is_short, may_be_told, protection};

/// What comes of the look itself.
const KEY_STATE: &str = "KEY_STATE";

/// Permissions on the key that we never need. What they allow ranges from reading the key's policy to destroying it.
const EXCESS: [&str; 8] = [
    "cloudkms.cryptoKeys.update",
    "cloudkms.cryptoKeys.getIamPolicy",
    "cloudkms.cryptoKeys.setIamPolicy",
    "cloudkms.cryptoKeyVersions.create",
    "cloudkms.cryptoKeyVersions.destroy",
    "cloudkms.cryptoKeyVersions.restore",
    "cloudkms.cryptoKeyVersions.update",
    "cloudkms.cryptoKeyVersions.list",
];

/// Looks at the key of a session that works. Only reads and permission tests.
pub(crate) async fn inspect(key: &SessionKey<'_>, depth: Depth) -> Vec<Finding> {
    let plan = &key.session.plan;
    let name = &plan.key;
    let title = || format!("look at {name}");
    let (mut findings, is_told) = match key.look().await {
        Ok(answer) if may_be_told(&answer.value, plan).is_err() => {
            let why = "nothing is said about a key without this binding's label";
            (vec![Finding::new(KEY_STATE, title(), Verdict::Skipped, why)], false)
        }
        Ok(answer) => {
            let key = &answer.value;
            (vec![rotation(key, name), destruction(key, name), protection_level(key)], true)
        }
        Err(error) => {
            // Why it failed was told by the step that looks at the key.
            let failed = Finding::failed(KEY_STATE, title(), &error, Vec::new());
            (vec![Finding { verdict: Verdict::Skipped, ..failed }], plan.activated)
        }
    };
    if is_told && depth == Depth::ExcessPermissions {
        findings.push(excess(key).await);
    }
    findings
}

fn rotation(key: &CryptoKey, name: &KeyName) -> Finding {
    let finding =
        |verdict, detail: &str| Finding::new("ROTATION", "automatic rotation of the key", verdict, detail);
    if key.next_rotation_time.is_some() {
        return finding(Verdict::Passed, "Cloud KMS makes a new primary version by itself");
    }
    if key.import_only || matches!(protection(key), ProtectionLevel::External | ProtectionLevel::ExternalVpc)
    {
        return finding(Verdict::Passed, "Cloud KMS cannot rotate imported or external material by itself");
    }
    finding(Verdict::Warning, "it is off").because(Cause {
        reason: "ROTATION_OFF",
        text: "No rotation period is set, so the key is never rotated by itself.".to_owned(),
        mend: format!(
            "gcloud kms keys update {} {} --rotation-period=90d --next-rotation-time=\"$(date -u -d '+90 days' \
             +%Y-%m-%dT%H:%M:%SZ)\"",
            name.key(),
            place_of(name)
        ),
    })
}

fn destruction(key: &CryptoKey, name: &KeyName) -> Finding {
    let finding = |verdict, detail: String| {
        Finding::new("DELETION_PROTECTION", "time to restore a destroyed version", verdict, detail)
    };
    match destroy_duration(key) {
        Some(duration) if is_short(duration) => {
            let days = duration.as_secs() / (24 * 3600);
            finding(Verdict::Warning, format!("{days} days only"))
                .because(Cause {
                reason: "DESTROYED_SOON",
                text:
                    "The key was created with a short --destroy-scheduled-duration, which cannot be changed."
                        .to_owned(),
                mend: format!(
                    "# Make a key like {name} with --destroy-scheduled-duration=30d, and another binding with it."
                ),
            })
        }
        Some(duration) => {
            let days = duration.as_secs() / (24 * 3600);
            finding(Verdict::Passed, format!("{days} days"))
        }
        None => finding(Verdict::Skipped, "Cloud KMS does not say".to_owned()),
    }
}

fn protection_level(key: &CryptoKey) -> Finding {
    let level = protection(key);
    let text = format!("at level {}", level.name().unwrap_or("unknown"));
    Finding::new("PROTECTION_LEVEL", "protection of the key's material", Verdict::Passed, text)
}

async fn excess(key: &SessionKey<'_>) -> Finding {
    const CHECK: &str = "EXCESS_PERMISSIONS";
    let title = "permissions on the key that are not needed";
    match key.permitted(&EXCESS).await {
        Ok(permitted) if permitted.is_empty() => {
            Finding::new(CHECK, title, Verdict::Passed, "none of those that were tested")
        }
        Ok(permitted) => {
            let name = &key.session.plan.key;
            let account = key.session.plan.principal().map(ToString::to_string).unwrap_or_default();
            let detail = format!("the service account also has {}", permitted.join(", "));
            Finding::new(CHECK, title, Verdict::Warning, detail).because(Cause {
                reason: "TOO_MUCH_GRANTED",
                text: "A role on the key, its key ring or its project allows more than Leasehold needs.".to_owned(),
                mend: format!(
                    "# Give {account} the custom role of the onboarding kit instead of the role that this shows, or those of \
                     the key ring and the project:\ngcloud kms keys get-iam-policy {} {}",
                    name.key(),
                    place_of(name)
                ),
            })
        }
        Err(error) => {
            Finding { verdict: Verdict::Skipped, ..Finding::failed(CHECK, title, &error, Vec::new()) }
        }
    }
}
