//! KMS keys.

use serde_json::Value;

use super::AwsControl;
use crate::aws::arn::KeyArn;
use crate::aws::kms::describe::default_policy;
use crate::aws::kms::rotation::rotate;
use crate::aws::trail;
use crate::aws::world::EditKind;
use crate::aws::world::key::KeyState;
use crate::aws::world::keymaker::NewKey;
use crate::control::model::KeyInput;
use crate::error::SimError;

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
        state.key_mut(arn)?.policy.replace_single(policy, time)?;
        drop(state);
        self.record(Some(trail::of_key("PutKeyPolicy", arn)));
        Ok(())
    }

    /// Puts a key in a state.
    ///
    /// # Errors
    /// When the key does not exist.
    pub fn set_key_state(&self, arn: &KeyArn, wanted: KeyState) -> Result<(), SimError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.aws.write();
        let time = state.edit_time(EditKind::KeyState, now);
        let key = state.key_mut(arn)?;
        let event = trail::of_state(arn, *key.state.newest(), wanted);
        key.state.set(wanted, time.now, time.effective);
        drop(state);
        self.record(event);
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
