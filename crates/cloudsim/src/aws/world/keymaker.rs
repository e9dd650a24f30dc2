//! Makes KMS keys, for CreateKey and for the control interface.

use serde_json::Value;

use super::State;
use super::key::{Backing, Key, KeyOrigin, KeySpec, KeyState, KeyUsage};
use super::policies::EditablePolicies;
use crate::aws::arn::{AccountId, KeyArn, Region};
use crate::aws::policy::PolicyKind;
use crate::clock::Timestamp;
use crate::error::SimError;
use crate::propagated::Propagated;

/// A key to make.
#[derive(Debug)]
pub(crate) struct NewKey {
    /// The key id; a random UUID when absent.
    pub(crate) id: Option<String>,
    pub(crate) spec: KeySpec,
    pub(crate) usage: KeyUsage,
    pub(crate) origin: KeyOrigin,
    pub(crate) description: String,
    pub(crate) policy: Value,
    pub(crate) state: KeyState,
}

impl NewKey {
    /// Makes the key.
    ///
    /// # Errors
    /// When the account does not exist, the id is taken, or the policy is malformed.
    pub(crate) fn make(
        self,
        state: &mut State,
        account: &AccountId,
        region: &Region,
        now: Timestamp,
    ) -> Result<KeyArn, SimError> {
        let id = self.id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        // A ciphertext names its key by id alone, so ids are unique in a region.
        if state.key_by_id(region, &id).is_some() {
            return Err(SimError::Exists { what: "key", name: id });
        }
        let arn = KeyArn { region: region.clone(), account: account.clone(), id };
        let key = Key {
            arn: arn.clone(),
            spec: self.spec,
            usage: self.usage,
            origin: self.origin,
            description: self.description,
            created_at: now,
            policy: EditablePolicies::single(PolicyKind::Key, self.policy)?,
            state: Propagated::new(self.state),
            deletion_at: None,
            rotation: None,
            on_demand_rotations: 0,
            backings: vec![Backing::generate()?],
        };
        state.account_mut(account)?.keys.insert((region.clone(), arn.id.clone()), key);
        Ok(arn)
    }
}
