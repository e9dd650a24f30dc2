//! Rotation of key material. Ciphertexts of every earlier generation go on decrypting.
//!
//! <https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html>

use std::time::Duration;

use serde_json::{Value, json};

use super::admin::wrong_state;
use super::describe::seconds;
use super::{KmsCall, parameters};
use crate::aws::call::Service;
use crate::aws::error::AwsError;
use crate::aws::world::State;
use crate::aws::world::key::{Backing, Key, KeyOrigin, KeySpec, KeyState, Rotation};
use crate::clock::Timestamp;

const DAY: Duration = Duration::from_secs(86_400);
/// Days between automatic rotations unless the owner says otherwise.
const USUAL_PERIOD: u32 = 365;
/// The quota of on-demand rotations of one key.
const MAX_ON_DEMAND: u32 = 25;

impl KmsCall<'_> {
    pub(super) fn get_key_rotation_status(&mut self, state: &State) -> Result<Value, AwsError> {
        let named = parameters::text(self.input, "KeyId")?;
        let key = self.authorized(state, named, "kms:GetKeyRotationStatus", None)?;
        check_rotatable(
            key,
            self.caller.now,
            &[KeyState::Enabled, KeyState::Disabled, KeyState::PendingDeletion],
        )?;
        let mut status = json!({"KeyId": key.arn.to_string(), "KeyRotationEnabled": key.rotation.is_some()});
        if let Some(rotation) = key.rotation {
            status["RotationPeriodInDays"] = rotation.period_days.into();
            status["NextRotationDate"] = seconds(next(rotation, self.caller.now));
        }
        Ok(status)
    }

    pub(super) fn enable_key_rotation(&mut self, state: &mut State) -> Result<Value, AwsError> {
        let period_days = parameters::optional_number(self.input, "RotationPeriodInDays", 90, 2560)?;
        let now = self.caller.now;
        let key = self.owned(state, "kms:EnableKeyRotation")?;
        check_rotatable(key, now, &[KeyState::Enabled])?;
        key.rotation = Some(Rotation { period_days: period_days.unwrap_or(USUAL_PERIOD), since: now });
        Ok(Value::Null)
    }

    pub(super) fn disable_key_rotation(&mut self, state: &mut State) -> Result<Value, AwsError> {
        let now = self.caller.now;
        let key = self.owned(state, "kms:DisableKeyRotation")?;
        check_rotatable(key, now, &[KeyState::Enabled])?;
        key.rotation = None;
        Ok(Value::Null)
    }

    pub(super) fn rotate_key_on_demand(&mut self, state: &mut State) -> Result<Value, AwsError> {
        let now = self.caller.now;
        let key = self.owned(state, "kms:RotateKeyOnDemand")?;
        check_rotatable(key, now, &[KeyState::Enabled])?;
        if key.on_demand_rotations >= MAX_ON_DEMAND {
            return Err(AwsError::new(
                "LimitExceededException",
                "The number of on-demand rotations of this key is exhausted.",
            ));
        }
        rotate(key).map_err(|_| AwsError::internal(Service::Kms))?;
        key.on_demand_rotations += 1;
        Ok(json!({"KeyId": key.arn.to_string()}))
    }
}

/// Gives a key a new generation of material.
pub(crate) fn rotate(key: &mut Key) -> Result<(), crate::error::SimError> {
    key.backings.push(Backing::generate()?);
    Ok(())
}

fn check_rotatable(key: &Key, now: Timestamp, states: &[KeyState]) -> Result<(), AwsError> {
    if key.spec != KeySpec::SYMMETRIC_DEFAULT
        || matches!(key.origin, KeyOrigin::AWS_CLOUDHSM | KeyOrigin::EXTERNAL_KEY_STORE)
    {
        return Err(AwsError::new("UnsupportedOperationException", ""));
    }
    let state = key.state_at(now);
    if states.contains(&state) { Ok(()) } else { Err(wrong_state(key, state)) }
}

fn next(rotation: Rotation, now: Timestamp) -> Timestamp {
    let period = DAY * rotation.period_days;
    let periods = now.since(rotation.since).as_secs() / period.as_secs() + 1;
    rotation.since.plus(period * u32::try_from(periods).unwrap_or(u32::MAX))
}
