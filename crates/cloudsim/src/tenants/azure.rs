//! A tenant on Azure: a directory that consented to the platform's application, and a key in a vault that it may use.

use super::Lever;
use crate::azure::edits::{Edit, EditId};
use crate::azure::scenario::{CHALLENGE_TAG, Scenario, Tenant};
use crate::control::AzureControl;
use crate::error::SimError;
use crate::log::CallMatch;

/// The tenant.
#[derive(Clone)]
pub(super) struct Home {
    pub(super) tenant: Tenant,
}

impl Home {
    pub(super) fn let_in(&self, control: &AzureControl, challenge: &str) -> Result<(), SimError> {
        match control.onboard(&self.tenant, challenge) {
            // Let in before: what is new is the challenge.
            Err(SimError::Exists { .. }) => control.put_tag(&self.tenant.key, CHALLENGE_TAG, challenge),
            outcome => outcome.map(drop),
        }
    }

    pub(super) fn pull(&self, control: &AzureControl, lever: Lever) -> Result<EditId, SimError> {
        let (directory, app) = (self.tenant.directory.clone(), self.tenant.app.clone());
        let key = self.tenant.key.clone();
        control.edit(match lever {
            Lever::Trust => Edit::DisableServicePrincipal { directory, app },
            Lever::KeyUse => Edit::RemoveRoleAssignments { directory, app },
            Lever::DisableKey => Edit::KeyDisabled { key },
            Lever::DeleteKey => Edit::KeyDeleted { key },
        })
    }

    pub(super) fn rotate_key(&self, control: &AzureControl) -> Result<(), SimError> {
        control.rotate_key(&self.tenant.key).map(drop)
    }

    pub(super) fn calls(&self) -> CallMatch {
        CallMatch { account: Some(self.tenant.directory.to_string()), ..CallMatch::default() }
    }
}

impl super::TenantsControl {
    /// Notes the tenants of a world that was made on Azure.
    pub(crate) fn note_azure(&self, scenario: &Scenario) {
        for tenant in &scenario.tenants {
            self.note(&tenant.name, super::Home::Azure(Home { tenant: tenant.clone() }));
        }
    }
}
