//! The ways to revoke, the fastest first.

use leasehold_provider::Lever;

use super::shell::{
    add_to_key_policy, delete_role_policy, document, file_of, put_role_policy, put_trust_policy,
    remove_from_key_policy, with_credentials_of,
};
use super::{Documents, RoleDocuments};
use crate::arn::KeyArn;
use crate::policy;

/// The Sid of the statement that revokes.
pub(crate) const REVOKED: &str = "LeaseholdRevoked";
/// The inline policy that revokes.
pub(crate) const REVOKED_POLICY: &str = "leasehold-revoked";
/// What the console calls the policy with which it ends a role's sessions.
const OLDER_SESSIONS: &str = "AWSRevokeOlderSessions";

const KMS_PROPAGATION: &str = "Usually within seconds, at most a few minutes, also for sessions that exist: KMS is eventually \
    consistent (https://docs.aws.amazon.com/kms/latest/developerguide/accessing-kms.html#programming-eventual-consistency).";
const IAM_PROPAGATION: &str = "Seconds, sometimes minutes, also for sessions that exist: IAM is eventually consistent \
    (https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency).";
const TRUST_PROPAGATION: &str = "Seconds, sometimes minutes. AWS lets sessions that exist live on, up to 15 minutes for ours; \
    Leasehold stops when its next proof, which needs a new session, is refused.";

/// Each is enough by itself.
pub(super) fn levers(documents: &Documents<'_>) -> Vec<Lever> {
    let Some(last) = documents.roles.last() else { return Vec::new() };
    let key = &documents.plan.key;
    vec![
        disable_key(key),
        deny_in_key_policy(key, last),
        deny_on_role(key, last),
        trust_nobody(last),
        end_sessions(last),
    ]
}

fn disable_key(key: &KeyArn) -> Lever {
    let (account, region) = (with_credentials_of(key.account()), key.region());
    Lever {
        title: "Disable the key".to_owned(),
        revoke: format!("{account}\naws kms disable-key --region {region} --key-id {key}\n"),
        restore: format!("{account}\naws kms enable-key --region {region} --key-id {key}\n"),
        propagation: KMS_PROPAGATION.to_owned(),
        reach: "Everybody who uses the key, in every account.".to_owned(),
    }
}

/// Taking our statement away would not be enough where the rest of the policy delegates to the account.
fn deny_in_key_policy(key: &KeyArn, RoleDocuments { role, .. }: &RoleDocuments<'_>) -> Lever {
    let account = with_credentials_of(key.account());
    let denial = add_to_key_policy(key, "key-denial.json", &policy::key_denial(role));
    Lever {
        title: "Deny the role in the key's policy".to_owned(),
        revoke: format!("{account}\n{denial}"),
        restore: format!("{account}\n{}", remove_from_key_policy(key, REVOKED)),
        propagation: KMS_PROPAGATION.to_owned(),
        reach: format!("{role} and nobody else."),
    }
}

fn deny_on_role(key: &KeyArn, RoleDocuments { role, .. }: &RoleDocuments<'_>) -> Lever {
    let account = with_credentials_of(role.account());
    let denial =
        put_role_policy(role, REVOKED_POLICY, &file_of("role-denial", role), &policy::role_denial(key));
    Lever {
        title: "Deny the key in a policy of the role".to_owned(),
        revoke: format!("{account}\n{denial}"),
        restore: format!("{account}\n{}", delete_role_policy(role, REVOKED_POLICY)),
        propagation: IAM_PROPAGATION.to_owned(),
        reach: format!("{role} at this key; its other permissions stay."),
    }
}

fn trust_nobody(RoleDocuments { role, trust, .. }: &RoleDocuments<'_>) -> Lever {
    let account = with_credentials_of(role.account());
    let nobody = put_trust_policy(role, &file_of("trust-nobody", role), &policy::trust_nobody());
    let again = put_trust_policy(role, &file_of("trust", role), trust);
    Lever {
        title: "Let nobody become the role".to_owned(),
        revoke: format!("{account}\n{nobody}"),
        restore: format!("{account}\n{again}"),
        propagation: TRUST_PROPAGATION.to_owned(),
        reach: format!("Everybody who becomes {role}."),
    }
}

/// Ending sessions alone would last until the next assume.
fn end_sessions(documents: &RoleDocuments<'_>) -> Lever {
    let RoleDocuments { role, .. } = documents;
    let trust = trust_nobody(documents);
    let file = file_of("older-sessions", role);
    // The shell fills in the moment, for which the quoted document is interrupted.
    let older = document(&file, &policy::older_sessions("NOW"));
    let older = older.replace("NOW", r#"'"$(date -u +%Y-%m-%dT%H:%M:%SZ)"'"#);
    let end = format!(
        "{older}aws iam put-role-policy --role-name {} --policy-name {OLDER_SESSIONS} --policy-document file://{file}\n",
        role.name()
    );
    Lever {
        title: "Let nobody become the role, and end the sessions that exist".to_owned(),
        revoke: format!("{}{end}", trust.revoke),
        restore: format!("{}{}", trust.restore, delete_role_policy(role, OLDER_SESSIONS)),
        propagation: IAM_PROPAGATION.to_owned(),
        reach: format!("Everybody who becomes {role}, whatever they do with it."),
    }
}
