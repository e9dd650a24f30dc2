//! The roles and grants that make a binding work, each as small as can be: without any one of them it does not.

use serde_json::{Value, json};

use crate::name::{ProjectId, ServiceAccount};
use crate::settings::Plan;
use crate::state::LABEL;

/// All that a session ever needs to do with the key, and so all that a tenant needs to allow.
pub(crate) const KEY_PERMISSIONS: [&str; 3] = [
    "cloudkms.cryptoKeyVersions.useToEncrypt",
    "cloudkms.cryptoKeyVersions.useToDecrypt",
    "cloudkms.cryptoKeys.get",
];

/// A custom role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) project: ProjectId,
    pub(crate) id: &'static str,
    title: &'static str,
    pub(crate) permissions: &'static [&'static str],
}

/// That a member has a role on something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) role: Role,
    pub(crate) member: String,
}

/// Everything that a tenant's owners set up.
pub(crate) struct Documents<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) challenge: &'a str,
    /// On each service account, in the order of the chain.
    pub(crate) accounts: Vec<(&'a ServiceAccount, Grant)>,
    /// On the key.
    pub(crate) key: Grant,
}

/// The API that must be on.
pub(crate) const KMS_API: &str = "cloudkms.googleapis.com";

/// The projects in which [`KMS_API`] must be on: that of the key, and that of the service account which uses it, because its
/// calls are charged there. That of who asks for its tokens is ours.
pub(crate) fn kms_projects(plan: &Plan) -> Vec<&ProjectId> {
    let mut projects = vec![plan.key.project()];
    projects.extend(plan.principal().map(ServiceAccount::project).filter(|own| **own != *plan.key.project()));
    projects
}

impl<'a> Documents<'a> {
    /// What `plan` takes, if `own` is what policies call us; `None` if the key is the operator's own.
    pub(crate) fn of(plan: &'a Plan, own: &str) -> Option<Self> {
        let (principal, challenge) = (plan.principal()?, plan.challenge.as_deref()?);
        let mut accounts = Vec::new();
        let mut member = own.to_owned();
        for (index, hop) in plan.hops.iter().enumerate() {
            let project = hop.project().clone();
            let role = if index + 1 == plan.hops.len() { become_it(project) } else { go_through_it(project) };
            accounts.push((hop, Grant { role, member }));
            member = hop.member();
        }
        let key = Grant { role: use_key(plan.key.project().clone()), member: principal.member() };
        Some(Self { plan, challenge, accounts, key })
    }

    /// Each custom role once.
    pub(crate) fn roles(&self) -> Vec<&Role> {
        let mut roles: Vec<&Role> = Vec::new();
        for role in self.accounts.iter().map(|(_, grant)| &grant.role).chain([&self.key.role]) {
            if !roles.contains(&role) {
                roles.push(role);
            }
        }
        roles
    }

    /// The labels of the key.
    pub(crate) fn labels(&self) -> Value {
        json!({ "labels": { LABEL: self.challenge } })
    }
}

impl Role {
    /// As grants name it.
    pub(crate) fn name(&self) -> String {
        format!("projects/{}/roles/{}", self.project, self.id)
    }

    /// As `gcloud iam roles create --file` takes it.
    pub(crate) fn definition(&self) -> Value {
        json!({ "title": self.title, "stage": "GA", "includedPermissions": self.permissions })
    }
}

impl Grant {
    /// As `set-iam-policy` takes it; to be merged with what is there.
    pub(crate) fn policy(&self) -> Value {
        json!({ "bindings": [{ "role": self.role.name(), "members": [self.member] }] })
    }
}

/// Getting a token for the service account itself.
fn become_it(project: ProjectId) -> Role {
    Role {
        project,
        id: "leaseholdTokenCreator",
        title: "Leasehold: get access tokens for a service account",
        permissions: &["iam.serviceAccounts.getAccessToken"],
    }
}

/// Going through the service account to the one after it, without getting a token for it
/// (<https://cloud.google.com/iam/docs/service-account-permissions#sa-impersonation>).
fn go_through_it(project: ProjectId) -> Role {
    Role {
        project,
        id: "leaseholdDelegate",
        title: "Leasehold: go through a service account to the next",
        permissions: &["iam.serviceAccounts.implicitDelegation"],
    }
}

fn use_key(project: ProjectId) -> Role {
    Role {
        project,
        id: "leaseholdKeyUser",
        title: "Leasehold: wrap and unwrap with a key, and look at its state",
        permissions: &KEY_PERMISSIONS,
    }
}
