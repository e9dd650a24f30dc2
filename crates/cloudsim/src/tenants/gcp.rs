//! A tenant on Google Cloud: a service account that the platform's may become, and a Cloud KMS key that it may use.

use super::Lever;
use crate::control::GcpControl;
use crate::error::SimError;
use crate::gcp::edits::{Edit, EditId};
use crate::gcp::name::KeyName;
use crate::gcp::scenario::{CHALLENGE_LABEL, Scenario, Tenant};
use crate::log::CallMatch;

/// The tenant.
#[derive(Clone)]
pub(super) struct Home {
    pub(super) tenant: Tenant,
}

impl Home {
    pub(super) fn let_in(&self, control: &GcpControl, challenge: &str) -> Result<(), SimError> {
        match control.onboard(&self.tenant, challenge) {
            // Let in before: what is new is the challenge.
            Err(SimError::Exists { .. }) => control.set_label(&self.tenant.key, CHALLENGE_LABEL, challenge),
            outcome => outcome,
        }
    }

    pub(super) fn pull(&self, control: &GcpControl, lever: Lever) -> Result<EditId, SimError> {
        let key = self.tenant.key.clone();
        control.edit(match lever {
            Lever::Trust => Edit::RemoveTokenCreator {
                service_account: self.tenant.service_account.clone(),
                member: format!("serviceAccount:{}", self.tenant.platform),
            },
            Lever::KeyUse => Edit::RemoveKeyGrants { key, member: None },
            Lever::DisableKey => Edit::KeyVersionsDisabled { key },
            Lever::DeleteKey => {
                let version = primary(control, &key)?;
                Edit::VersionDestroyScheduled { key, version }
            }
        })
    }

    pub(super) fn rotate_key(&self, control: &GcpControl) -> Result<(), SimError> {
        control.rotate_key(&self.tenant.key).map(drop)
    }

    pub(super) fn calls(&self) -> CallMatch {
        CallMatch { account: Some(self.tenant.project.to_string()), ..CallMatch::default() }
    }
}

/// The version that wraps now.
fn primary(control: &GcpControl, key: &KeyName) -> Result<u32, SimError> {
    let world = control.world();
    let found = world.projects.values().flat_map(|project| &project.keys).find(|known| known.name == *key);
    found
        .and_then(|known| known.primary)
        .ok_or_else(|| SimError::not_found("primary version of", key.to_string()))
}

impl super::TenantsControl {
    /// Notes the tenants of a world that was made on Google Cloud.
    pub(crate) fn note_gcp(&self, scenario: &Scenario) {
        for tenant in &scenario.tenants {
            self.note(&tenant.name, super::Home::Gcp(Home { tenant: tenant.clone() }));
        }
    }
}
