//! Why we may not become a role.

use leasehold_provider::Cause;

use super::words::{Policy, Said, Words};
use super::{Case, cause, not_yet_in_effect, took_effect};
use crate::arn::RoleArn;
use crate::assume::{self, Less};
use crate::kit::shell;
use crate::policy::{self, SourceIdentity};

const TAG: &str = "sts:TagSession";
const SET_SOURCE_IDENTITY: &str = "sts:SetSourceIdentity";

impl Case<'_> {
    /// Hop `hop` was denied.
    pub(super) async fn trust(&self, hop: usize) -> Vec<Cause> {
        let Some(documents) = self.documents.roles.get(hop) else { return Vec::new() };
        let words = Words::of(self.error.detail());
        match words.said {
            Some(Said::Deny(Policy::Resource)) => vec![self.trust_denies(documents.role)],
            Some(Said::NoAllow(Policy::Resource)) => self.trust_allows_not(hop, words.action, true).await,
            Some(said) => vec![self.caller_may_not(hop, said, words.action.unwrap_or("sts:AssumeRole"))],
            None => self.trust_allows_not(hop, words.action, false).await,
        }
    }

    /// The trust policy does not allow, or, unless that is `proven`, possibly our side does not.
    async fn trust_allows_not(&self, hop: usize, action: Option<&str>, proven: bool) -> Vec<Cause> {
        let role = &self.documents.roles[hop].role;
        if assume::reach(self.clients, self.plan, hop, Less::Nothing).await.is_ok() {
            return vec![took_effect(role.as_str())];
        }
        let action = action.unwrap_or("sts:AssumeRole");
        let mut causes = match action {
            TAG => vec![self.tags_not_allowed(hop)],
            SET_SOURCE_IDENTITY => vec![self.source_identity_not_allowed(hop)],
            _ => match self.what_is_in_the_way(hop).await {
                Some(cause) => return vec![cause],
                None => self.not_trusted(hop),
            },
        };
        if !proven {
            if !matches!(action, TAG | SET_SOURCE_IDENTITY) {
                causes.push(self.trust_denies(role));
            }
            causes.push(self.caller_may_not(hop, Said::NoAllow(Policy::Identity), action));
            causes.push(not_yet_in_effect(role.as_str()));
        }
        causes
    }

    /// Whether the role lets us in with less than the binding declares, and so what of it is in the way.
    async fn what_is_in_the_way(&self, hop: usize) -> Option<Cause> {
        let declared = self.plan.hops.get(hop)?;
        let tries = [
            (declared.external_id.is_some(), Less::ExternalId),
            (!declared.tags.is_empty(), Less::Tags),
            (declared.source_identity.is_some(), Less::SourceIdentity),
        ];
        for (_, less) in tries.into_iter().filter(|(is_declared, _)| *is_declared) {
            if assume::reach(self.clients, self.plan, hop, less).await.is_ok() {
                let (reason, what) = match less {
                    Less::Tags => ("TAGS_DIFFER", "session tags"),
                    Less::SourceIdentity => ("SOURCE_IDENTITY_DIFFERS", "a source identity"),
                    _ => ("EXTERNAL_ID_UNEXPECTED", "an external id"),
                };
                let text = format!(
                    "{} lets us in without {what}, but not with what the binding declares: a condition of its trust policy forbids it.",
                    declared.role
                );
                return Some(cause(reason, text, self.paste_trust(hop)));
            }
        }
        None
    }

    /// AWS does not say whether a role is missing or does not trust us.
    fn not_trusted(&self, hop: usize) -> Vec<Cause> {
        let (role, trusted) = (self.documents.roles[hop].role, self.trusted(hop));
        let mut causes = Vec::new();
        if self.worked {
            causes.push(cause(
                "TRUST_WITHDRAWN",
                format!(
                    "The trust policy of {role} let {trusted} in before, and does not any more: somebody took it out or put a \
                     Deny in, perhaps to revoke."
                ),
                self.paste_trust(hop),
            ));
        }
        if let Some(id) = &self.plan.hops[hop].external_id {
            causes.push(cause(
                "EXTERNAL_ID_DIFFERS",
                format!("The trust policy of {role} asks for another sts:ExternalId than {id}."),
                self.paste_trust(hop),
            ));
        }
        causes.push(cause(
            "TRUST_PRINCIPAL_DIFFERS",
            format!("The trust policy of {role} does not name {trusted}, letter for letter."),
            self.paste_trust(hop),
        ));
        causes.push(cause(
            "ROLE_MISSING",
            format!("The role {role} does not exist, or has another path."),
            format!(
                "{}# If it exists with another path, make another binding with the ARN that this prints:\naws iam get-role \
                 --role-name {} --query Role.Arn",
                shell::set_up_role(&self.documents.roles[hop]),
                role.name(),
            ),
        ));
        causes
    }

    fn tags_not_allowed(&self, hop: usize) -> Cause {
        let role = self.documents.roles[hop].role;
        let why = if self.plan.hops[hop].tags.is_empty() {
            "its sessions bring tags of the platform, as those of EKS Pod Identity do"
        } else {
            "the binding declares session tags"
        };
        cause(
            "TAG_SESSION_NOT_ALLOWED",
            format!("The trust policy of {role} does not allow {} {TAG}: {why}.", self.trusted(hop)),
            self.paste_trust(hop),
        )
    }

    fn source_identity_not_allowed(&self, hop: usize) -> Cause {
        let role = self.documents.roles[hop].role;
        cause(
            "SET_SOURCE_IDENTITY_NOT_ALLOWED",
            format!(
                "The trust policy of {role} does not allow {} {SET_SOURCE_IDENTITY}, which the binding declares.",
                self.trusted(hop)
            ),
            self.paste_trust(hop),
        )
    }

    fn trust_denies(&self, role: &RoleArn) -> Cause {
        let name = role.name();
        cause(
            "TRUST_POLICY_DENIES",
            format!("A Deny statement in the trust policy of {role} applies to us."),
            format!(
                "{}\naws iam get-role --role-name {name} --query Role.AssumeRolePolicyDocument > trust.json\n# In trust.json, \
                 take the Deny statement out or except {} from it. Then put it back:\naws iam update-assume-role-policy \
                 --role-name {name} --policy-document file://trust.json",
                shell::with_credentials_of(role.account()),
                self.documents
                    .roles
                    .iter()
                    .position(|documents| documents.role == role)
                    .map_or(self.own, |hop| self.trusted(hop)),
            ),
        )
    }

    pub(super) fn lets_anybody_in(&self) -> Vec<Cause> {
        let detail = self.error.detail();
        let named = |hop: &usize| detail.contains(self.documents.roles[*hop].role.as_str());
        let hop = (0..self.documents.roles.len()).rev().find(named).unwrap_or_default();
        vec![cause(
            "EXTERNAL_ID_NOT_REQUIRED",
            format!(
                "{} lets Leasehold in whoever's external id it brings, so another tenant could use this one's key through it.",
                self.documents.roles[hop].role
            ),
            self.paste_trust(hop),
        )]
    }

    /// The principal that becomes the role of hop `hop` may not, by a policy of its own side.
    fn caller_may_not(&self, hop: usize, said: Said, action: &str) -> Cause {
        let role = self.documents.roles[hop].role;
        let caller = self.trusted(hop);
        let ours = hop == 0;
        let who = if ours { "# Operator." } else { "# Owner of the earlier role." };
        match said {
            Said::NoAllow(Policy::Identity) => {
                let reason = if ours { "OWN_PERMISSION_MISSING" } else { "HOP_PERMISSION_MISSING" };
                let text = format!("The permissions of {caller} do not allow {action} on {role}.");
                cause(reason, text, format!("{who}\n{}", self.permit(hop)))
            }
            Said::Deny(Policy::Identity) => {
                let reason = if ours { "OWN_POLICY_DENIES" } else { "HOP_POLICY_DENIES" };
                let text = format!("A Deny statement in a policy of {caller} forbids {action} on {role}.");
                let mend = format!(
                    "{who} Take the Deny of {action} on {role} out of the policies of {caller}, or except {role}."
                );
                cause(reason, text, mend)
            }
            Said::NoAllow(policy) | Said::Deny(policy) => self.bounded(policy, caller, action, role.as_str()),
        }
    }

    /// A bound over the caller's permissions.
    pub(super) fn bounded(&self, policy: Policy, caller: &str, action: &str, on: &str) -> Cause {
        let account = caller.split(':').nth(4).unwrap_or_default();
        match policy {
            Policy::Boundary => cause(
                "PERMISSIONS_BOUNDARY",
                format!("The permissions boundary of {caller} leaves out {action} on {on}."),
                format!(
                    "# With credentials of account {account}: add {action} on {on} to the permissions boundary of {caller}."
                ),
            ),
            Policy::ServiceControl => cause(
                "SERVICE_CONTROL_POLICY",
                format!("The organisation's service control policy over account {account} forbids {action}."),
                format!(
                    "# Administrator of the organisation:\naws organizations list-policies-for-target --target-id {account} --filter \
                     SERVICE_CONTROL_POLICY\n# Let {caller} do {action} on {on} in the one that forbids it, or in one over a parent."
                ),
            ),
            Policy::ResourceControl => cause(
                "RESOURCE_CONTROL_POLICY",
                format!(
                    "A resource control policy of the organisation that owns {on} forbids {action} to {caller}."
                ),
                format!("# Administrator of that organisation: except {caller} from it for {on}."),
            ),
            Policy::VpcEndpoint => cause(
                "VPC_ENDPOINT_POLICY",
                format!(
                    "The policy of the VPC endpoint that Leasehold goes through forbids {action} on {on}."
                ),
                format!("# Operator: allow {action} on {on} in the policy of the VPC endpoint."),
            ),
            _ => cause(
                "SESSION_POLICY",
                format!(
                    "The session of {caller} was cut down by a session policy that leaves out {action} on {on}."
                ),
                format!(
                    "# Whoever makes that session of {caller}: allow {action} on {on} in its session policy."
                ),
            ),
        }
    }

    /// Lets the principal before hop `hop` become its role.
    fn permit(&self, hop: usize) -> String {
        let role = self.documents.roles[hop].role;
        let sets = self.plan.source_identity(hop) != SourceIdentity::None;
        let permissions = policy::become_next(role, sets);
        let (caller, file) = (self.trusted(hop), shell::file_of("become", role));
        let name: String =
            format!("leasehold-become-{}-{}", role.account(), role.name()).chars().take(128).collect();
        if let Ok(caller) = caller.parse::<RoleArn>() {
            let put = shell::put_role_policy(&caller, &name, &file, &permissions);
            return format!("{}\n{put}", shell::with_credentials_of(caller.account()));
        }
        match caller.split_once(":user/") {
            Some((_, path)) => shell::put_user_policy(path, &name, &file, &permissions),
            None => format!("{}# Give {caller} that policy.", shell::document(&file, &permissions)),
        }
    }

    /// The commands that put the kit's trust policy on the role of hop `hop`.
    fn paste_trust(&self, hop: usize) -> String {
        let documents = &self.documents.roles[hop];
        let role = documents.role;
        let put = shell::put_trust_policy(role, &shell::file_of("trust", role), &documents.trust);
        format!("{}\n{put}", shell::with_credentials_of(role.account()))
    }

    /// Who becomes the role of hop `hop`.
    fn trusted(&self, hop: usize) -> &str {
        let before = hop.checked_sub(1).and_then(|before| self.documents.roles.get(before));
        before.map_or(self.own, |documents| documents.role.as_str())
    }
}
