//! What exists.

use super::{GcpControl, KeyInfo, ProjectInfo, ServiceAccountInfo, VersionInfo, WorldInfo};
use crate::clock::Timestamp;
use crate::gcp::name::{KeyRingName, PoolName, ProjectId, RoleName};
use crate::gcp::world::key::Key;
use crate::gcp::world::project::Project;
use crate::gcp::world::service_account::ServiceAccount;

impl GcpControl {
    /// What exists.
    pub fn world(&self) -> WorldInfo {
        let state = self.shared.gcp.read();
        let now = self.shared.clock.now();
        let projects =
            state.projects.iter().map(|(id, project)| (id.clone(), project_info(id, project, now)));
        WorldInfo {
            projects: projects.collect(),
            instance_service_account: state.machine.service_account.clone(),
        }
    }
}

fn project_info(id: &ProjectId, project: &Project, now: Timestamp) -> ProjectInfo {
    let role = |name: &String| RoleName { project: id.clone(), id: name.clone() };
    let ring = |place: &(String, String)| KeyRingName {
        project: id.clone(),
        location: place.0.clone(),
        id: place.1.clone(),
    };
    let pool = |name: &String| PoolName { project_number: project.number, id: name.clone() };
    let deny = project.deny.newest().iter();
    ProjectInfo {
        number: project.number,
        policy: project.policy.newest().json(),
        deny_policies: deny.map(|(id, policy)| (id.clone(), policy.json().clone())).collect(),
        roles: project
            .roles
            .iter()
            .map(|(name, known)| (role(name), serde_json::to_value(known.newest()).unwrap_or_default()))
            .collect(),
        service_accounts: project.service_accounts.values().map(service_account_info).collect(),
        key_rings: project
            .key_rings
            .iter()
            .map(|(place, known)| (ring(place), known.policy.newest().json()))
            .collect(),
        keys: project
            .key_rings
            .values()
            .flat_map(|ring| ring.keys.values())
            .map(|key| key_info(key, now))
            .collect(),
        pools: project
            .pools
            .iter()
            .map(|(name, known)| (pool(name), known.providers.keys().cloned().collect()))
            .collect(),
    }
}

fn service_account_info(account: &ServiceAccount) -> ServiceAccountInfo {
    ServiceAccountInfo {
        email: account.email.clone(),
        unique_id: account.unique_id.clone(),
        disabled: *account.disabled.newest(),
        policy: account.policy.newest().json(),
        keys: account.keys.keys().cloned().collect(),
    }
}

fn key_info(key: &Key, now: Timestamp) -> KeyInfo {
    let version = |version: &crate::gcp::world::key::Version| VersionInfo {
        number: version.number,
        state: version.newest_state(now),
    };
    KeyInfo {
        name: key.name.clone(),
        purpose: key.purpose,
        protection_level: key.protection,
        labels: key.labels.newest().clone(),
        policy: key.policy.newest().json(),
        primary: *key.primary.newest(),
        versions: key.versions.values().map(version).collect(),
    }
}
