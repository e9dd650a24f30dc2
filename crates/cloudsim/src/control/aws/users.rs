//! Accounts and users.

use std::collections::BTreeMap;

use serde_json::Value;

use super::AwsControl;
use super::roles::boundary;
use crate::aws::arn::{AccountId, is_iam_name};
use crate::aws::policy::PolicyKind;
use crate::aws::world::identity::{AccessKey, User};
use crate::aws::world::policies::EditablePolicies;
use crate::aws::world::{EditKind, UserName};
use crate::control::model::{AccessKeySpec, UserSpec};
use crate::error::SimError;
use crate::propagated::Propagated;
use crate::secret::{SecretText, unique_id};

impl AwsControl {
    /// Makes an account, if it does not exist.
    pub fn put_account(&self, account: &AccountId) {
        self.shared.aws.write().accounts.entry(account.clone()).or_default();
    }

    /// Sets or removes the organisation's policy (SCP) over an account. It binds whoever calls from there.
    ///
    /// # Errors
    /// When the account does not exist or the policy is malformed.
    pub fn set_service_control_policy(
        &self,
        account: &AccountId,
        policy: Option<Value>,
    ) -> Result<(), SimError> {
        let document = boundary(policy)?;
        let now = self.shared.clock.now();
        let mut state = self.shared.aws.write();
        let time = state.edit_time(EditKind::Identity, now);
        let place = &mut state.account_mut(account)?.service_control;
        place.get_or_insert_with(|| Propagated::new(None)).set(document, time.now, time.effective);
        Ok(())
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
}

fn check_name(what: &'static str, name: &str) -> Result<(), SimError> {
    if is_iam_name(name) { Ok(()) } else { Err(SimError::invalid(what, format!("{name:?}"))) }
}
