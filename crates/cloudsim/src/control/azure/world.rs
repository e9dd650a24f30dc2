//! What exists.

use super::AzureControl;
use super::model::{
    AppInfo, AzureKeyInfo, AzureWorldInfo, DirectoryInfo, KeyVersionInfo, PrincipalInfo, VaultInfo,
};
use crate::azure::rbac::RoleAssignmentInfo;
use crate::azure::world::app::App;
use crate::azure::world::directory::Directory;
use crate::azure::world::vault::{Key, Vault};

impl AzureControl {
    /// What exists, as its owners see it: with the newest edits, in effect or not.
    pub fn world(&self) -> AzureWorldInfo {
        let state = self.shared.azure.read();
        let assignments = state.access.assignments.iter().filter(|assignment| *assignment.present.newest());
        AzureWorldInfo {
            directories: state.directories.values().map(directory_info).collect(),
            apps: state.apps.values().map(app_info).collect(),
            vaults: state.vaults.values().map(vault_info).collect(),
            keys: state.vaults.values().flat_map(|vault| vault.keys.values()).map(key_info).collect(),
            role_assignments: assignments
                .map(|assignment| RoleAssignmentInfo {
                    name: assignment.name.clone(),
                    role: assignment.role.clone(),
                    principal: assignment.principal.clone(),
                    scope: assignment.scope.clone(),
                })
                .collect(),
        }
    }
}

fn directory_info(directory: &Directory) -> DirectoryInfo {
    let principals = directory.principals.iter().map(|(app, principal)| {
        let info = PrincipalInfo {
            object_id: principal.object_id.clone(),
            present: *principal.present.newest(),
            enabled: *principal.enabled.newest(),
        };
        (app.clone(), info)
    });
    DirectoryInfo {
        id: directory.id.clone(),
        name: directory.name.clone(),
        domains: directory.domains.clone(),
        subscription: directory.subscription.clone(),
        principals: principals.collect(),
    }
}

fn app_info(app: &App) -> AppInfo {
    AppInfo {
        id: app.id.clone(),
        directory: app.home.clone(),
        multi_tenant: app.multi_tenant,
        secrets: app.secrets.iter().map(|secret| secret.id.clone()).collect(),
        federated_credentials: app.federated.iter().map(|credential| credential.name.clone()).collect(),
    }
}

fn vault_info(vault: &Vault) -> VaultInfo {
    VaultInfo {
        name: vault.name.clone(),
        url: format!("https://{}", vault.host),
        directory: vault.directory.clone(),
        resource_id: vault.resource_id(),
        firewall: vault.firewall.newest().clone(),
    }
}

fn key_info(key: &Key) -> AzureKeyInfo {
    AzureKeyInfo {
        url: key.url.clone(),
        kind: key.kind,
        deleted: key.deleted.newest().is_some(),
        versions: key
            .versions
            .iter()
            .map(|version| KeyVersionInfo {
                id: version.id.clone(),
                enabled: *version.enabled.newest(),
                tags: version.newest_tags(),
            })
            .collect(),
    }
}
