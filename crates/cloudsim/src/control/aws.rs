//! The control interface of the simulated AWS.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

use super::model::{
    AccessKeySpec, KeyInfo, KeyInput, OidcProviderSpec, RoleInfo, RoleSpec, UserSpec, WorldInfo,
};
use crate::aws::arn::{AccountId, KeyArn, RoleArn, is_iam_name};
use crate::aws::edits::{self, Edit, EditId, EditStatus};
use crate::aws::issuer::{TestIssuer, TokenAlgorithm};
use crate::aws::kms::describe::default_policy;
use crate::aws::kms::rotation::rotate;
use crate::aws::policy::{PolicyDocument, PolicyKind};
use crate::aws::scenario::{self, Scenario, ScenarioSpec};
use crate::aws::secret::{SecretText, unique_id};
use crate::aws::world::identity::{AccessKey, OidcProvider, Role, User};
use crate::aws::world::key::{Key, KeyState};
use crate::aws::world::keymaker::NewKey;
use crate::aws::world::policies::{EditablePolicies, parse};
use crate::aws::world::propagated::Propagated;
use crate::aws::world::{EditKind, Propagation, UserName};
use crate::error::SimError;
use crate::simulator::Shared;

/// The control interface of the simulated AWS. Clones control the same one.
#[derive(Clone)]
pub struct AwsControl {
    shared: Arc<Shared>,
}

impl fmt::Debug for AwsControl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AwsControl").finish_non_exhaustive()
    }
}

// === accounts, users and roles ===

impl AwsControl {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Makes a ready-made world; what it names must not exist yet, but for its accounts.
    ///
    /// # Errors
    /// When a name is taken or malformed.
    pub fn build(&self, spec: &ScenarioSpec) -> Result<Scenario, SimError> {
        scenario::build(self, spec)
    }

    /// Makes an account, if it does not exist.
    pub fn put_account(&self, account: &AccountId) {
        self.shared.aws.write().accounts.entry(account.clone()).or_default();
    }

    /// Deletes an account with all it owns. Its sessions and access keys are worthless from then on.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn delete_account(&self, account: &AccountId) -> Result<(), SimError> {
        let mut state = self.shared.aws.write();
        state.access_keys.retain(|_, owner| owner.account != *account);
        let removed = state.accounts.remove(account);
        removed.map(drop).ok_or_else(|| SimError::not_found("account", account.to_string()))
    }

    /// Makes or replaces a user, and gives its access key.
    ///
    /// # Errors
    /// When the account does not exist, or the name, a policy or the access key is malformed or taken.
    pub fn put_user(
        &self,
        account: &AccountId,
        name: &str,
        spec: UserSpec,
    ) -> Result<AccessKeySpec, SimError> {
        check_name("user name", name)?;
        let access_key = match spec.access_key {
            Some(access_key) => access_key,
            None => AccessKeySpec {
                access_key_id: unique_id("AKIA")?,
                secret_access_key: SecretText::generate(30)?,
            },
        };
        let user = User {
            user_id: unique_id("AIDA")?,
            policies: EditablePolicies::new(PolicyKind::Identity, spec.identity_policies)?,
            boundary: Propagated::new(boundary(spec.boundary)?),
            tags: spec.tags,
            access_keys: BTreeMap::from([(
                access_key.access_key_id.clone(),
                AccessKey { secret: access_key.secret_access_key.clone(), active: true },
            )]),
        };
        let mut state = self.shared.aws.write();
        let owner = UserName { account: account.clone(), name: name.to_owned() };
        let taken = state.access_keys.get(&access_key.access_key_id);
        if taken.is_some_and(|taken| taken.account != owner.account || taken.name != owner.name) {
            return Err(SimError::Exists { what: "access key", name: access_key.access_key_id });
        }
        state.account_mut(account)?.users.insert(name.to_owned(), user);
        state.access_keys.retain(|_, known| known.account != owner.account || known.name != owner.name);
        state.access_keys.insert(access_key.access_key_id.clone(), owner);
        Ok(access_key)
    }

    /// Deletes a user.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn delete_user(&self, account: &AccountId, name: &str) -> Result<(), SimError> {
        let mut state = self.shared.aws.write();
        state.access_keys.retain(|_, owner| owner.account != *account || owner.name != name);
        let removed = state.account_mut(account)?.users.remove(name);
        removed.map(drop).ok_or_else(|| SimError::not_found("user", name))
    }

    /// Activates or deactivates an access key.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn set_access_key_active(&self, access_key_id: &str, active: bool) -> Result<(), SimError> {
        let mut state = self.shared.aws.write();
        let missing = || SimError::not_found("access key", access_key_id);
        let owner = state.access_keys.get(access_key_id).cloned().ok_or_else(missing)?;
        let user = state.account_mut(&owner.account)?.users.get_mut(&owner.name).ok_or_else(missing)?;
        user.access_keys.get_mut(access_key_id).ok_or_else(missing)?.active = active;
        Ok(())
    }

    /// Makes or replaces a role. A replaced role is another role: its sessions end.
    ///
    /// # Errors
    /// When the account does not exist, or the name or a policy is malformed.
    pub fn put_role(&self, arn: &RoleArn, spec: RoleSpec) -> Result<(), SimError> {
        if !(3600..=43200).contains(&spec.max_session_seconds) {
            return Err(SimError::invalid("maximum session duration", "it is 3600 to 43200 seconds"));
        }
        let role = Role {
            role_id: unique_id("AROA")?,
            trust: EditablePolicies::single(PolicyKind::Trust, spec.trust_policy)?,
            policies: EditablePolicies::new(PolicyKind::Identity, spec.identity_policies)?,
            boundary: Propagated::new(boundary(spec.boundary)?),
            max_session_seconds: spec.max_session_seconds,
            tags: spec.tags,
        };
        self.shared.aws.write().account_mut(&arn.account)?.roles.insert(arn.name.clone(), role);
        Ok(())
    }

    /// Deletes a role. Its sessions end.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn delete_role(&self, arn: &RoleArn) -> Result<(), SimError> {
        let removed = self.shared.aws.write().account_mut(&arn.account)?.roles.remove(&arn.name);
        removed.map(drop).ok_or_else(|| SimError::not_found("role", arn.to_string()))
    }

    /// Replaces a role's trust policy, and with it the edits laid over the old one.
    ///
    /// # Errors
    /// When the role does not exist or the policy is malformed.
    pub fn set_trust_policy(&self, arn: &RoleArn, policy: Value) -> Result<(), SimError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.aws.write();
        let time = state.edit_time(EditKind::Trust, now);
        state.role_mut(arn)?.trust.replace_single(policy, time)
    }

    /// Gives a role the trust policy of the onboarding: `principal` may assume it and tag its session, if it names
    /// `external_id`.
    ///
    /// # Errors
    /// When the role does not exist.
    pub fn trust_with_external_id(
        &self,
        arn: &RoleArn,
        principal: &str,
        external_id: &str,
    ) -> Result<(), SimError> {
        self.set_trust_policy(arn, scenario::trust_policy(principal, Some(external_id)))
    }

    /// Replaces a role's identity policies, and with them the edits laid over the old ones.
    ///
    /// # Errors
    /// When the role does not exist or a policy is malformed.
    pub fn set_identity_policies(
        &self,
        arn: &RoleArn,
        policies: BTreeMap<String, Value>,
    ) -> Result<(), SimError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.aws.write();
        let time = state.edit_time(EditKind::Identity, now);
        state.role_mut(arn)?.policies.replace(policies, time)
    }

    /// Sets or removes a role's permission boundary.
    ///
    /// # Errors
    /// When the role does not exist or the policy is malformed.
    pub fn set_boundary(&self, arn: &RoleArn, policy: Option<Value>) -> Result<(), SimError> {
        let document = boundary(policy)?;
        let now = self.shared.clock.now();
        let mut state = self.shared.aws.write();
        let time = state.edit_time(EditKind::Identity, now);
        state.role_mut(arn)?.boundary.set(document, time.now, time.effective);
        Ok(())
    }

    /// Makes a role's sessions worthless at once, as no edit of a real account could: their credentials are unknown from
    /// now on. Gives how many there were.
    pub fn forget_sessions(&self, arn: &RoleArn) -> usize {
        let mut state = self.shared.aws.write();
        let before = state.sessions.len();
        state.sessions.retain(|_, session| session.role != *arn);
        before - state.sessions.len()
    }
}

// === keys ===

impl AwsControl {
    /// Makes a key.
    ///
    /// # Errors
    /// When the account does not exist, the id or an alias is taken, or the policy is malformed.
    pub fn create_key(&self, input: KeyInput) -> Result<KeyArn, SimError> {
        let usage = input.usage.unwrap_or(input.spec.usual_usage());
        if !input.spec.allows(usage) {
            return Err(SimError::invalid("key usage", "keys of this kind are not for that"));
        }
        let new = NewKey {
            id: input.key_id,
            spec: input.spec,
            usage,
            origin: input.origin,
            description: input.description,
            policy: input.policy.unwrap_or_else(|| default_policy(&input.account.root_arn())),
            state: input.state.unwrap_or(KeyState::Enabled),
        };
        let mut state = self.shared.aws.write();
        let account = state.account_mut(&input.account)?;
        let places: Vec<_> = input.aliases.into_iter().map(|alias| (input.region.clone(), alias)).collect();
        if let Some((_, alias)) = places.iter().find(|place| account.aliases.contains_key(place)) {
            return Err(SimError::Exists { what: "alias", name: alias.clone() });
        }
        let arn = new.make(&mut state, &input.account, &input.region, self.shared.clock.now())?;
        let aliases = &mut state.account_mut(&input.account)?.aliases;
        aliases.extend(places.into_iter().map(|place| (place, arn.id.clone())));
        Ok(arn)
    }

    /// Deletes a key at once, as no call to the real KMS could.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn delete_key(&self, arn: &KeyArn) -> Result<(), SimError> {
        let mut state = self.shared.aws.write();
        let removed = state.account_mut(&arn.account)?.keys.remove(&(arn.region.clone(), arn.id.clone()));
        removed.map(drop).ok_or_else(|| SimError::not_found("key", arn.to_string()))
    }

    /// Replaces a key's policy, and with it the edits laid over the old one.
    ///
    /// # Errors
    /// When the key does not exist or the policy is malformed.
    pub fn set_key_policy(&self, arn: &KeyArn, policy: Value) -> Result<(), SimError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.aws.write();
        let time = state.edit_time(EditKind::KeyPolicy, now);
        state.key_mut(arn)?.policy.replace_single(policy, time)
    }

    /// Puts a key in a state.
    ///
    /// # Errors
    /// When the key does not exist.
    pub fn set_key_state(&self, arn: &KeyArn, wanted: KeyState) -> Result<(), SimError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.aws.write();
        let time = state.edit_time(EditKind::KeyState, now);
        state.key_mut(arn)?.state.set(wanted, time.now, time.effective);
        Ok(())
    }

    /// Gives a key a new generation of material; the earlier ones go on decrypting.
    ///
    /// # Errors
    /// When the key does not exist.
    pub fn rotate_key(&self, arn: &KeyArn) -> Result<(), SimError> {
        rotate(self.shared.aws.write().key_mut(arn)?)
    }
}

// === edits, propagation and ambient identities ===

impl AwsControl {
    /// Makes an edit that can be undone.
    ///
    /// # Errors
    /// When what it edits does not exist.
    pub fn edit(&self, edit: Edit) -> Result<EditId, SimError> {
        edits::make(&mut self.shared.aws.write(), edit, self.shared.clock.now())
    }

    /// Undoes an edit.
    ///
    /// # Errors
    /// When it was undone already, or the policy it was laid over was replaced.
    pub fn undo(&self, id: EditId) -> Result<(), SimError> {
        edits::undo(&mut self.shared.aws.write(), id, self.shared.clock.now())
    }

    /// The edits that can be undone.
    pub fn edits(&self) -> Vec<EditStatus> {
        edits::list(&self.shared.aws.read())
    }

    /// How long edits take to take effect.
    pub fn propagation(&self) -> Propagation {
        self.shared.aws.read().propagation
    }

    /// Sets how long later edits take to take effect.
    pub fn set_propagation(&self, propagation: Propagation) {
        self.shared.aws.write().propagation = propagation;
    }

    /// Sets the role of the platform's instance, which the metadata service hands out.
    pub fn set_instance_role(&self, role: Option<RoleArn>) {
        self.shared.aws.write().ambient.instance_role = role;
    }

    /// Sets the role of the platform's container, and its session tags, which are transitive.
    pub fn set_container_role(&self, role: Option<RoleArn>, tags: BTreeMap<String, String>) {
        let mut state = self.shared.aws.write();
        state.ambient.container_role = role;
        state.ambient.container_tags = tags;
    }

    /// Registers an OpenID Connect provider in an account.
    ///
    /// # Errors
    /// When the account does not exist, the issuer is no `https` URL, or the key set is malformed or missing.
    pub fn put_oidc_provider(&self, account: &AccountId, spec: OidcProviderSpec) -> Result<(), SimError> {
        let invalid = |reason: &str| SimError::invalid("oidc provider", reason);
        let name =
            spec.issuer.strip_prefix("https://").ok_or_else(|| invalid("the issuer is no https URL"))?;
        let mut state = self.shared.aws.write();
        let keys = match spec.jwks {
            Some(jwks) => jwks,
            None => state
                .issuers
                .get(&spec.issuer)
                .map(TestIssuer::jwks)
                .ok_or_else(|| invalid("no key set is given"))?,
        };
        let keys = serde_json::from_value(keys).map_err(|_| invalid("the key set is malformed"))?;
        let provider = OidcProvider { audiences: spec.audiences, keys };
        state.account_mut(account)?.oidc_providers.insert(name.to_owned(), provider);
        Ok(())
    }

    /// Makes a test issuer, if there is none of that URL, and gives its public keys.
    ///
    /// # Errors
    /// When its keys cannot be made.
    pub fn put_test_issuer(&self, issuer: &str) -> Result<Value, SimError> {
        if let Some(known) = self.shared.aws.read().issuers.get(issuer) {
            return Ok(known.jwks());
        }
        // RSA keys take a while to make, so none is made under the lock.
        let made = TestIssuer::new(issuer)?;
        Ok(self.shared.aws.write().issuers.entry(issuer.to_owned()).or_insert(made).jwks())
    }

    /// Has a test issuer sign a token. `iat` is now and `exp` in an hour, in simulated time, unless the claims say else.
    ///
    /// # Errors
    /// When there is no such issuer.
    pub fn mint_token(
        &self,
        issuer: &str,
        algorithm: TokenAlgorithm,
        mut claims: BTreeMap<String, Value>,
    ) -> Result<String, SimError> {
        let now = self.shared.clock.now().unix_seconds();
        claims.entry("iat".to_owned()).or_insert(json!(now));
        claims.entry("exp".to_owned()).or_insert(json!(now + 3600));
        let state = self.shared.aws.read();
        state
            .issuers
            .get(issuer)
            .ok_or_else(|| SimError::not_found("issuer", issuer))?
            .mint(algorithm, &claims)
    }

    /// What exists.
    pub fn world(&self) -> WorldInfo {
        let state = self.shared.aws.read();
        let now = self.shared.clock.now();
        let mut info =
            WorldInfo { accounts: Vec::new(), users: BTreeMap::new(), roles: Vec::new(), keys: Vec::new() };
        for (id, account) in &state.accounts {
            info.accounts.push(id.clone());
            info.users.extend(account.users.iter().map(|(name, user)| {
                (format!("arn:aws:iam::{id}:user/{name}"), user.access_keys.keys().cloned().collect())
            }));
            info.roles.extend(account.roles.iter().map(|(name, role)| role_info(id, name, role)));
            info.keys.extend(account.keys.values().filter(|key| !key.is_deleted(now)).map(key_info));
        }
        info
    }
}

fn role_info(account: &AccountId, name: &str, role: &Role) -> RoleInfo {
    RoleInfo {
        arn: RoleArn { account: account.clone(), name: name.to_owned() },
        trust_policy: role.trust.newest().into_iter().next().unwrap_or(Value::Null),
        identity_policies: role.policies.newest(),
    }
}

fn key_info(key: &Key) -> KeyInfo {
    KeyInfo {
        arn: key.arn.clone(),
        state: *key.state.newest(),
        spec: key.spec,
        policy: key.policy.newest().into_iter().next().unwrap_or(Value::Null),
        generations: key.backings.len(),
    }
}

fn boundary(policy: Option<Value>) -> Result<Option<Arc<PolicyDocument>>, SimError> {
    policy.map(|policy| parse(PolicyKind::Identity, &policy).map(Arc::new)).transpose()
}

fn check_name(what: &'static str, name: &str) -> Result<(), SimError> {
    if is_iam_name(name) { Ok(()) } else { Err(SimError::invalid(what, format!("{name:?}"))) }
}
