//! Why a role may not use a key, or nobody may.

use leasehold_provider::{Cause, Stage};

use super::state;
use super::words::{Policy, Said, Words};
use super::{Case, cause, not_yet_in_effect, took_effect};
use crate::assume::{self, Less};
use crate::kit::{POLICY_NAME, REVOKED, REVOKED_POLICY, shell};
use crate::policy;

/// How many other regions are looked into for a key.
const MOST_REGIONS: usize = 8;

impl Case<'_> {
    pub(super) async fn key_denied(&self) -> Vec<Cause> {
        let words = Words::of(self.error.detail());
        let action = words.action.unwrap_or("kms:Decrypt");
        match words.said {
            Some(Said::Deny(Policy::Resource)) => vec![self.key_policy_denies()],
            Some(Said::NoAllow(Policy::Resource)) => vec![self.key_policy_lacks(action)],
            Some(Said::NoAllow(Policy::Identity)) => vec![self.role_lacks(action)],
            Some(Said::Deny(Policy::Identity)) => vec![self.role_denies(action)],
            Some(Said::NoAllow(policy) | Said::Deny(policy)) => {
                let (role, key) = (self.role.as_str(), self.plan.key.as_str());
                vec![self.bounded(policy, role, action, key)]
            }
            None => self.key_denied_silently(action).await,
        }
    }

    /// To callers from other accounts KMS does not say whether a key exists, nor what its policy says.
    async fn key_denied_silently(&self, action: &str) -> Vec<Cause> {
        let key = self.plan.key.as_str();
        if self.describes().await {
            if action == "kms:DescribeKey" {
                return vec![took_effect(key)];
            }
            let mut causes =
                vec![self.key_policy_lacks(action), self.context_forbidden(), self.key_policy_denies()];
            if self.stage == Stage::Canary {
                // The step before it did the same in another encryption context.
                causes.swap(0, 1);
            }
            causes.push(not_yet_in_effect(key));
            return causes;
        }
        vec![
            self.key_policy_lacks(action),
            state::missing(&self.plan.key),
            self.key_policy_denies(),
            not_yet_in_effect(key),
        ]
    }

    /// KMS knows no such key. It may be in another region.
    pub(super) async fn key_not_found(&self) -> Vec<Cause> {
        let key = &self.plan.key;
        if let Some(found) = self.find_in_other_regions().await {
            return vec![cause(
                "KEY_IN_OTHER_REGION",
                format!(
                    "There is no such key in {}, but there is one in the region of {found}.",
                    key.region()
                ),
                format!("# Make another binding in place of this one, with the key {found}"),
            )];
        }
        vec![state::missing(key)]
    }

    pub(super) fn session_refused(&self) -> Cause {
        let role = self.role;
        cause(
            "SESSION_NOT_ACCEPTED",
            format!(
                "AWS no longer accepts the session of {role}: it expired, or the role was deleted and made anew meanwhile."
            ),
            format!("# Verify again: that makes a new session of {role}."),
        )
    }

    fn key_policy_lacks(&self, action: &str) -> Cause {
        let (key, role) = (&self.plan.key, self.role);
        let add = shell::add_to_key_policy(key, "key-statement.json", &self.documents.key_statement);
        cause(
            "KEY_POLICY_WITHOUT_ROLE",
            format!("The policy of the key {key} does not allow {role} {action}."),
            format!("{}\n{add}", shell::with_credentials_of(key.account())),
        )
    }

    fn role_lacks(&self, action: &str) -> Cause {
        let (key, role) = (&self.plan.key, self.role);
        let text = format!("The permissions of {role} do not allow {action} on {key}");
        if role.account() == key.account() {
            let add = shell::add_to_key_policy(key, "key-statement.json", &self.documents.key_statement);
            return cause(
                "ROLE_PERMISSION_MISSING",
                format!("{text}, and the key's policy leaves that decision to them."),
                format!("{}\n{add}", shell::with_credentials_of(key.account())),
            );
        }
        let put = shell::put_role_policy(
            role,
            POLICY_NAME,
            &shell::file_of("permissions", role),
            &policy::use_key(key),
        );
        cause(
            "ROLE_PERMISSION_MISSING",
            format!("{text}."),
            format!("{}\n{put}", shell::with_credentials_of(role.account())),
        )
    }

    fn role_denies(&self, action: &str) -> Cause {
        let (key, role) = (&self.plan.key, self.role);
        let name = role.name();
        cause(
            "ROLE_POLICY_DENIES",
            format!("A Deny statement in a policy of {role} forbids {action} on {key}."),
            format!(
                "{}\naws iam list-role-policies --role-name {name}\naws iam list-attached-role-policies --role-name {name}\n# Take the \
                 Deny out of the one that has it. If it was put there to revoke:\n{}",
                shell::with_credentials_of(role.account()),
                shell::delete_role_policy(role, REVOKED_POLICY),
            ),
        )
    }

    fn key_policy_denies(&self) -> Cause {
        let (key, role) = (&self.plan.key, self.role);
        cause(
            "KEY_POLICY_DENIES",
            format!("A Deny statement in the policy of the key {key} applies to {role}."),
            format!(
                "{}\naws kms get-key-policy --region {} --key-id {key} --policy-name default --query Policy --output text\n# Take the Deny \
                 statement out, or except {role}. If it was put there to revoke:\n{}",
                shell::with_credentials_of(key.account()),
                key.region(),
                shell::remove_from_key_policy(key, REVOKED),
            ),
        )
    }

    fn context_forbidden(&self) -> Cause {
        let key = &self.plan.key;
        cause(
            "ENCRYPTION_CONTEXT_FORBIDDEN",
            format!(
                "A condition in the policy of {key} on kms:EncryptionContext does not hold for this encryption context."
            ),
            format!(
                "{}\naws kms get-key-policy --region {} --key-id {key} --policy-name default --query Policy --output text\n# Relax \
                 the conditions on kms:EncryptionContext; or make another binding whose canary_context satisfies them, and \
                 have callers satisfy them too. Names that begin with leasehold: are always there besides.",
                shell::with_credentials_of(key.account()),
                key.region(),
            ),
        )
    }

    /// Whether the role can see the key by now.
    async fn describes(&self) -> bool {
        let (key, last) = (&self.plan.key, self.plan.hops.len().saturating_sub(1));
        let Some(client) = self.clients.kms(key.region()) else { return false };
        let Ok(credentials) = assume::reach(self.clients, self.plan, last, Less::Nothing).await else {
            return false;
        };
        let signed = self.clients.signed(credentials);
        client.describe_key().key_id(key.as_str()).customize().config_override(signed).send().await.is_ok()
    }

    /// A key of the same id in another region that we may ask about. The session for it is not cut down, because ours is
    /// for the one key alone.
    async fn find_in_other_regions(&self) -> Option<String> {
        let (key, last) = (&self.plan.key, self.plan.hops.len().saturating_sub(1));
        let credentials = assume::reach(self.clients, self.plan, last, Less::SessionPolicy).await.ok()?;
        for (region, client) in
            self.clients.regions().filter(|(region, _)| *region != key.region()).take(MOST_REGIONS)
        {
            let arn = key.as_str().replacen(&format!(":{}:", key.region()), &format!(":{region}:"), 1);
            let signed = self.clients.signed(credentials.clone());
            let asked = client.describe_key().key_id(&arn).customize().config_override(signed).send().await;
            if asked.is_ok() {
                return Some(arn);
            }
        }
        None
    }
}
