//! Everything that exists in the simulated Azure: directories, applications, vaults and who may do what.
//!
//! One lock guards it all. Nothing awaits under it, and no key is made under it.

pub(crate) mod app;
pub(crate) mod directory;
pub(crate) mod layered;
pub(crate) mod material;
pub(crate) mod vault;

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::edits::{EditId, EditState};
use super::identity::IdentityToken;
use super::ids::{AppId, DirectoryId, KeyUrl, VaultName};
use super::rbac::Access;
use crate::clock::Timestamp;
use crate::error::SimError;
use app::App;
use directory::{Directory, ManagedIdentity, Principal};
use layered::EditTime;
use vault::{Key, Vault};

/// Entra ID says 3599 where it means an hour; real lifetimes vary between 60 and 90 minutes.
const TOKEN_SECONDS: u32 = 3599;

/// How long edits take to take effect, per kind of edit, in milliseconds of simulated time. All zero by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Propagation {
    /// Consent, service principals, applications and their secrets.
    pub principal_ms: u64,
    /// Role assignments.
    pub rbac_ms: u64,
    /// Keys, their versions and tags, and firewalls.
    pub key_state_ms: u64,
}

/// The kinds of edit that [`Propagation`] tells apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EditKind {
    Principal,
    Rbac,
    KeyState,
}

/// The contents of the world.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) directories: BTreeMap<DirectoryId, Directory>,
    pub(crate) apps: BTreeMap<AppId, App>,
    /// By client id.
    pub(crate) identities: BTreeMap<AppId, ManagedIdentity>,
    /// The one that the platform's machine has when it asks for none by name.
    pub(crate) default_identity: Option<AppId>,
    /// What the platform has cached for its managed identities, by client id and resource.
    pub(crate) identity_tokens: HashMap<(AppId, String), IdentityToken>,
    pub(crate) vaults: BTreeMap<VaultName, Vault>,
    pub(crate) access: Access,
    pub(crate) propagation: Propagation,
    pub(crate) edits: EditState,
    /// Tokens of an earlier epoch are expired.
    pub(crate) token_epoch: u64,
    pub(crate) token_seconds: u32,
    /// Keys made so far, by size.
    materials: BTreeMap<u32, usize>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            directories: BTreeMap::new(),
            apps: BTreeMap::new(),
            identities: BTreeMap::new(),
            default_identity: None,
            identity_tokens: HashMap::new(),
            vaults: BTreeMap::new(),
            access: Access::default(),
            propagation: Propagation::default(),
            edits: EditState::default(),
            token_epoch: 0,
            token_seconds: TOKEN_SECONDS,
            materials: BTreeMap::new(),
        }
    }
}

/// The world behind its lock.
#[derive(Debug, Default)]
pub(crate) struct World(RwLock<State>);

impl World {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn directory_mut(&mut self, id: &DirectoryId) -> Result<&mut Directory, SimError> {
        self.directories.get_mut(id).ok_or_else(|| SimError::not_found("directory", id.as_str()))
    }

    /// A directory by its id or by one of its verified domains.
    pub(crate) fn directory_named(&self, name: &str) -> Option<&Directory> {
        match name.parse() {
            Ok(id) => self.directories.get(&id),
            Err(_) => self
                .directories
                .values()
                .find(|directory| directory.domains.iter().any(|domain| domain.eq_ignore_ascii_case(name))),
        }
    }

    pub(crate) fn app_mut(&mut self, id: &AppId) -> Result<&mut App, SimError> {
        self.apps.get_mut(id).ok_or_else(|| SimError::not_found("application", id.as_str()))
    }

    pub(crate) fn principal_mut(
        &mut self,
        directory: &DirectoryId,
        app: &AppId,
    ) -> Result<&mut Principal, SimError> {
        self.directory_mut(directory)?
            .principals
            .get_mut(app)
            .ok_or_else(|| SimError::not_found("service principal", app.as_str()))
    }

    pub(crate) fn vault_mut(&mut self, name: &VaultName) -> Result<&mut Vault, SimError> {
        self.vaults.get_mut(name).ok_or_else(|| SimError::not_found("vault", name.as_str()))
    }

    pub(crate) fn key_mut(&mut self, url: &KeyUrl) -> Result<&mut Key, SimError> {
        let missing = || SimError::not_found("key", url.to_string());
        let vault = self.vaults.get_mut(&url.vault).ok_or_else(missing)?;
        vault.keys.get_mut(&url.name.to_ascii_lowercase()).ok_or_else(missing)
    }

    /// When an edit of this kind made now takes effect.
    pub(crate) fn edit_time(&self, kind: EditKind, now: Timestamp) -> EditTime {
        let delay = match kind {
            EditKind::Principal => self.propagation.principal_ms,
            EditKind::Rbac => self.propagation.rbac_ms,
            EditKind::KeyState => self.propagation.key_state_ms,
        };
        EditTime { now, effective: now.plus(Duration::from_millis(delay)) }
    }

    /// The number of the next key of this size.
    pub(crate) fn next_material(&mut self, bits: u32) -> usize {
        let made = self.materials.entry(bits).or_default();
        *made += 1;
        *made - 1
    }

    /// Takes an edit off everything that it lies on; says whether it lay on anything.
    pub(crate) fn lift(&mut self, id: EditId, now: Timestamp) -> bool {
        let principal = self.edit_time(EditKind::Principal, now);
        let rbac = self.edit_time(EditKind::Rbac, now);
        let key = self.edit_time(EditKind::KeyState, now);
        let mut lifted = false;
        for known in self.directories.values_mut().flat_map(|directory| directory.principals.values_mut()) {
            lifted |= known.lift(id, principal);
        }
        for secret in self.apps.values_mut().flat_map(|app| &mut app.secrets) {
            lifted |= secret.expires.lift(id, principal);
        }
        for assignment in &mut self.access.assignments {
            lifted |= assignment.present.lift(id, rbac);
        }
        for vault in self.vaults.values_mut() {
            lifted |= vault.firewall.lift(id, key);
            for stored in vault.keys.values_mut() {
                lifted |= stored.lift(id, key);
            }
        }
        lifted
    }
}
