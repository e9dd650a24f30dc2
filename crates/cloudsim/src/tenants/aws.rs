//! A tenant on AWS: a role that trusts the platform, and a KMS key that the role may use.

use std::collections::BTreeMap;

use serde_json::json;

use super::Lever;
use crate::aws::edits::{Edit, EditId};
use crate::aws::scenario::{Scenario, Tenant};
use crate::aws::world::key::KeyState;
use crate::control::AwsControl;
use crate::error::SimError;
use crate::log::CallMatch;

/// The tenant, and whom it trusts once it lets the platform in.
#[derive(Clone)]
pub(super) struct Home {
    pub(super) tenant: Tenant,
    trusted: [String; 2],
}

impl Home {
    pub(super) fn of(tenant: &Tenant, scenario: &Scenario) -> Self {
        // The platform's machines are the role, and whoever has its access key is the user.
        let trusted = [scenario.base_role.to_string(), scenario.base_user.clone()];
        Self { tenant: tenant.clone(), trusted }
    }

    pub(super) fn let_in(&self, control: &AwsControl, external_id: &str) -> Result<(), SimError> {
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": { "AWS": self.trusted },
                "Action": ["sts:AssumeRole", "sts:TagSession"],
                "Condition": { "StringEquals": { "sts:ExternalId": external_id } },
            }],
        });
        control.set_trust_policy(&self.tenant.role, policy)
    }

    pub(super) fn pull(&self, control: &AwsControl, lever: Lever) -> Result<EditId, SimError> {
        let (role, key) = (self.tenant.role.clone(), self.tenant.key.clone());
        control.edit(match lever {
            Lever::Trust => Edit::TrustDenyPrincipal { role, principal: "*".to_owned() },
            Lever::KeyUse => Edit::KeyDeny {
                key,
                principal: role.to_string(),
                actions: Vec::new(),
                encryption_context: BTreeMap::new(),
            },
            Lever::DisableKey => Edit::KeyState { key, state: KeyState::Disabled },
            Lever::DeleteKey => Edit::KeyState { key, state: KeyState::PendingDeletion },
        })
    }

    pub(super) fn rotate_key(&self, control: &AwsControl) -> Result<(), SimError> {
        control.rotate_key(&self.tenant.key).map(drop)
    }

    pub(super) fn calls(&self) -> CallMatch {
        CallMatch { account: Some(self.tenant.account.to_string()), ..CallMatch::default() }
    }
}

impl super::TenantsControl {
    /// Notes the tenants of a world that was made on AWS.
    pub(crate) fn note_aws(&self, scenario: &Scenario) {
        for tenant in &scenario.tenants {
            self.note(&tenant.name, super::Home::Aws(Home::of(tenant, scenario)));
        }
    }
}
