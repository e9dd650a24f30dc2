//! Everything that exists in the simulated AWS: accounts, identities, keys and sessions.
//!
//! One lock guards it all. Nothing awaits under it, and the policy engine is pure, so it is held for microseconds.

pub(crate) mod identity;
pub(crate) mod key;
pub(crate) mod keymaker;
pub(crate) mod policies;
pub(crate) mod session;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::aws::ambient::AmbientRoles;
use crate::aws::arn::{AccountId, KeyArn, Region, RoleArn};
use crate::aws::edits::EditState;
use crate::aws::policy::PolicyDocument;
use crate::clock::Timestamp;
use crate::error::SimError;
use crate::issuer::TestIssuer;
use crate::propagated::Propagated;
use identity::{OidcProvider, Role, User};
use key::Key;
use policies::EditTime;
use session::Session;

/// Sessions are remembered this long after their end, so that using one says "expired" rather than "unknown".
const EXPIRED_SESSION_MEMORY: Duration = Duration::from_secs(3600);
/// Above this number of sessions, ended ones are swept on every 256th issue.
const SWEEP_ABOVE: usize = 4096;

/// How long edits take to take effect, per kind of edit, in milliseconds of simulated time. All zero by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Propagation {
    /// Edits of trust policies.
    pub trust_policy_ms: u64,
    /// Edits of roles' and users' identity policies and boundaries.
    pub identity_policy_ms: u64,
    /// Edits of key policies.
    pub key_policy_ms: u64,
    /// Changes of key states.
    pub key_state_ms: u64,
}

/// The kinds of edit that [`Propagation`] tells apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EditKind {
    Trust,
    Identity,
    KeyPolicy,
    KeyState,
}

/// An account and what it owns.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// What the organisation lets anybody in the account do; everything without one.
    pub(crate) service_control: Option<Propagated<Option<Arc<PolicyDocument>>>>,
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) roles: BTreeMap<String, Role>,
    /// By issuer without its scheme.
    pub(crate) oidc_providers: BTreeMap<String, OidcProvider>,
    /// By region and key id.
    pub(crate) keys: BTreeMap<(Region, String), Key>,
    /// By region and alias name (`alias/…`), the key id.
    pub(crate) aliases: BTreeMap<(Region, String), String>,
}

/// A static access key's owner.
#[derive(Clone, Debug)]
pub(crate) struct UserName {
    pub(crate) account: AccountId,
    pub(crate) name: String,
}

/// The contents of the world.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) accounts: BTreeMap<AccountId, Account>,
    /// By access key id.
    pub(crate) sessions: HashMap<String, Arc<Session>>,
    /// By access key id.
    pub(crate) access_keys: HashMap<String, UserName>,
    pub(crate) propagation: Propagation,
    pub(crate) edits: EditState,
    pub(crate) ambient: AmbientRoles,
    /// Test issuers by URL.
    pub(crate) issuers: BTreeMap<String, TestIssuer>,
    issued: usize,
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
    pub(crate) fn role(&self, arn: &RoleArn) -> Option<&Role> {
        self.accounts.get(&arn.account)?.roles.get(&arn.name)
    }

    pub(crate) fn role_mut(&mut self, arn: &RoleArn) -> Result<&mut Role, SimError> {
        self.accounts
            .get_mut(&arn.account)
            .and_then(|account| account.roles.get_mut(&arn.name))
            .ok_or_else(|| SimError::not_found("role", arn.to_string()))
    }

    pub(crate) fn key(&self, arn: &KeyArn) -> Option<&Key> {
        self.accounts.get(&arn.account)?.keys.get(&(arn.region.clone(), arn.id.clone()))
    }

    pub(crate) fn key_mut(&mut self, arn: &KeyArn) -> Result<&mut Key, SimError> {
        self.accounts
            .get_mut(&arn.account)
            .and_then(|account| account.keys.get_mut(&(arn.region.clone(), arn.id.clone())))
            .ok_or_else(|| SimError::not_found("key", arn.to_string()))
    }

    pub(crate) fn account_mut(&mut self, id: &AccountId) -> Result<&mut Account, SimError> {
        self.accounts.get_mut(id).ok_or_else(|| SimError::not_found("account", id.to_string()))
    }

    /// The organisation's policy over an account, as it is in effect.
    pub(crate) fn service_control(&self, account: &AccountId, now: Timestamp) -> Option<Arc<PolicyDocument>> {
        self.accounts.get(account)?.service_control.as_ref()?.at(now).clone()
    }

    /// Finds a key by its id alone, as a ciphertext names it, in one region of any account.
    pub(crate) fn key_by_id(&self, region: &Region, id: &str) -> Option<&Key> {
        let name = (region.clone(), id.to_owned());
        self.accounts.values().find_map(|account| account.keys.get(&name))
    }

    /// When an edit of this kind made now takes effect.
    pub(crate) fn edit_time(&self, kind: EditKind, now: Timestamp) -> EditTime {
        let delay = match kind {
            EditKind::Trust => self.propagation.trust_policy_ms,
            EditKind::Identity => self.propagation.identity_policy_ms,
            EditKind::KeyPolicy => self.propagation.key_policy_ms,
            EditKind::KeyState => self.propagation.key_state_ms,
        };
        EditTime { now, effective: now.plus(Duration::from_millis(delay)) }
    }

    /// Issues a session, and sweeps long-ended ones now and then.
    pub(crate) fn issue(&mut self, session: Arc<Session>, now: Timestamp) {
        self.issued = self.issued.wrapping_add(1);
        if self.sessions.len() > SWEEP_ABOVE && self.issued.is_multiple_of(256) {
            self.sessions.retain(|_, session| session.expires_at.plus(EXPIRED_SESSION_MEMORY) > now);
        }
        self.sessions.insert(session.access_key_id.clone(), session);
    }
}
