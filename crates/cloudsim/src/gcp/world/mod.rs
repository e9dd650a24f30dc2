//! Everything that exists in the simulated Google Cloud: projects, service accounts, keys, pools and tokens.
//!
//! One lock guards it all. Nothing awaits under it, and policies are evaluated in microseconds.

pub(crate) mod key;
pub(crate) mod layered;
pub(crate) mod pool;
pub(crate) mod project;
pub(crate) mod service_account;
pub(crate) mod token;

use std::collections::BTreeMap;
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::edits::EditState;
use super::iam::{AllowPolicy, Principal};
use super::metadata::Machine;
use super::name::{KeyName, KeyRingName, PoolName, ProjectId, ServiceAccountEmail};
use super::oauth::User;
use crate::clock::Timestamp;
use crate::error::SimError;
use crate::issuer::TestIssuer;
use key::{Key, KeyRing};
use layered::{EditTime, Layer};
use pool::Pool;
use project::Project;
use service_account::ServiceAccount;
use token::Tokens;

/// Who issues Google's own ID tokens.
pub(crate) const GOOGLE: &str = "https://accounts.google.com";

/// How long edits take to take effect, per kind of edit, in milliseconds of simulated time. All zero by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Propagation {
    /// Edits of allow policies, deny policies and custom roles.
    pub iam_policy_ms: u64,
    /// Disabling and enabling of service accounts.
    pub service_account_ms: u64,
    /// Changes of the states of key versions, and of which version is primary.
    pub key_state_ms: u64,
}

/// The kinds of edit that [`Propagation`] tells apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EditKind {
    Policy,
    ServiceAccount,
    KeyState,
    /// Labels, which are read back as they were written.
    Label,
}

/// What an edit does to an allow policy: it takes a member out, or everyone.
#[derive(Clone, Debug)]
pub(crate) struct RemoveMember(pub(crate) Option<String>);

impl Layer<AllowPolicy> for RemoveMember {
    fn apply(&self, policy: &mut AllowPolicy) {
        policy.remove_member(self.0.as_deref());
    }
}

/// The contents of the world.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) projects: BTreeMap<ProjectId, Project>,
    pub(crate) tokens: Tokens,
    /// By email.
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) machine: Machine,
    pub(crate) propagation: Propagation,
    pub(crate) edits: EditState,
    /// Test issuers by URL.
    pub(crate) issuers: BTreeMap<String, TestIssuer>,
}

/// The world behind its lock, and Google's own issuer of ID tokens, which is made when it is first needed.
#[derive(Debug)]
pub(crate) struct World {
    state: RwLock<State>,
    url: String,
    google: OnceLock<TestIssuer>,
}

impl World {
    /// An empty world that is reached at this URL.
    pub(crate) fn new(url: String) -> Self {
        Self { state: RwLock::default(), url, google: OnceLock::new() }
    }

    /// Where it is reached, as key files tell their holders.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The issuer of ID tokens.
    pub(crate) fn google(&self) -> Result<&TestIssuer, SimError> {
        if let Some(issuer) = self.google.get() {
            return Ok(issuer);
        }
        let made = TestIssuer::new(GOOGLE)?;
        Ok(self.google.get_or_init(|| made))
    }
}

impl State {
    pub(crate) fn project_mut(&mut self, id: &ProjectId) -> Result<&mut Project, SimError> {
        self.projects.get_mut(id).ok_or_else(|| SimError::not_found("project", id.to_string()))
    }

    pub(crate) fn project_by_number(&self, number: u64) -> Option<&Project> {
        self.projects.values().find(|project| project.number == number)
    }

    pub(crate) fn service_account(&self, email: &ServiceAccountEmail) -> Option<&ServiceAccount> {
        self.projects.get(&email.project)?.service_accounts.get(&email.name)
    }

    pub(crate) fn service_account_mut(
        &mut self,
        email: &ServiceAccountEmail,
    ) -> Result<&mut ServiceAccount, SimError> {
        self.projects
            .get_mut(&email.project)
            .and_then(|project| project.service_accounts.get_mut(&email.name))
            .ok_or_else(|| SimError::not_found("service account", email.to_string()))
    }

    /// Finds a service account by its email or its unique id.
    pub(crate) fn find_service_account(&self, named: &str) -> Option<&ServiceAccount> {
        if let Ok(email) = named.parse() {
            return self.service_account(&email);
        }
        let mut all = self.projects.values().flat_map(|project| project.service_accounts.values());
        all.find(|account| account.unique_id == named)
    }

    pub(crate) fn key_ring(&self, name: &KeyRingName) -> Option<&KeyRing> {
        self.projects.get(&name.project)?.key_rings.get(&(name.location.clone(), name.id.clone()))
    }

    pub(crate) fn key_ring_mut(&mut self, name: &KeyRingName) -> Result<&mut KeyRing, SimError> {
        self.projects
            .get_mut(&name.project)
            .and_then(|project| project.key_rings.get_mut(&(name.location.clone(), name.id.clone())))
            .ok_or_else(|| SimError::not_found("key ring", name.to_string()))
    }

    pub(crate) fn key(&self, name: &KeyName) -> Option<&Key> {
        self.key_ring(&name.ring)?.keys.get(&name.id)
    }

    pub(crate) fn key_mut(&mut self, name: &KeyName) -> Result<&mut Key, SimError> {
        self.key_ring_mut(&name.ring)
            .ok()
            .and_then(|ring| ring.keys.get_mut(&name.id))
            .ok_or_else(|| SimError::not_found("key", name.to_string()))
    }

    pub(crate) fn pool(&self, name: &PoolName) -> Option<&Pool> {
        self.project_by_number(name.project_number)?.pools.get(&name.id)
    }

    /// Whether an identity is still one: its service account exists and is enabled, its pool too.
    pub(crate) fn is_alive(&self, principal: &Principal, now: Timestamp) -> bool {
        match principal {
            Principal::ServiceAccount { email, unique_id } => self
                .service_account(email)
                .is_some_and(|account| account.unique_id == *unique_id && !*account.disabled.at(now)),
            Principal::User(email) => self.users.contains_key(email),
            Principal::Federated(federated) => self.pool(&federated.pool).is_some_and(|pool| !pool.disabled),
        }
    }

    /// When an edit of this kind made now takes effect.
    pub(crate) fn edit_time(&self, kind: EditKind, now: Timestamp) -> EditTime {
        let delay = match kind {
            EditKind::Policy => self.propagation.iam_policy_ms,
            EditKind::ServiceAccount => self.propagation.service_account_ms,
            EditKind::KeyState => self.propagation.key_state_ms,
            EditKind::Label => 0,
        };
        EditTime { now, effective: now.plus(Duration::from_millis(delay)) }
    }
}
