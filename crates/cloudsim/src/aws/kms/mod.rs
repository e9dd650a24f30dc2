//! The Key Management Service.
//!
//! <https://docs.aws.amazon.com/kms/latest/APIReference/>

mod admin;
mod authorize;
mod blob;
mod crypto;
pub(crate) mod describe;
mod lookup;
mod parameters;
pub(crate) mod rotation;

use serde_json::Value;

use super::arn::KeyArn;
use super::auth::{Caller, authenticate};
use super::call::{Call, Parameters, Service};
use super::error::AwsError;
use super::world::State;
use crate::log::CallFacts;
use crate::simulator::Shared;

/// One call in progress: who calls with which parameters, and what the log shall say.
struct KmsCall<'a> {
    caller: &'a Caller,
    input: &'a Value,
    facts: &'a mut CallFacts,
}

/// Reads what a call says about itself, for faults and the log: the key as far as it can be resolved, and the context.
pub(crate) fn add_facts(call: &Call, state: &State, facts: &mut CallFacts) {
    let Parameters::Json(input) = &call.parameters else { return };
    facts.encryption_context = parameters::context_of(input, "EncryptionContext");
    if facts.encryption_context.is_empty() {
        facts.encryption_context = parameters::context_of(input, "SourceEncryptionContext");
    }
    if input.get("DryRun").and_then(Value::as_bool) == Some(true) {
        facts.parameters.insert("dryRun".to_owned(), "true".to_owned());
    }
    let Some(region) = facts.region.as_deref().and_then(|region| region.parse().ok()) else { return };
    let account = facts.caller_account.as_deref().and_then(|account| account.parse().ok());
    let named = input.get("KeyId").or_else(|| input.get("SourceKeyId")).and_then(Value::as_str);
    let key: Option<KeyArn> = match named {
        Some(name) => lookup::arn_of(state, name, account.as_ref(), &region),
        None => {
            parameters::claimed_key(input).and_then(|id| Some(state.key_by_id(&region, &id)?.arn.clone()))
        }
    };
    if let Some(key) = key {
        facts.account = Some(key.account.to_string());
        facts.key = Some(key.to_string());
    }
}

/// Carries a call out.
pub(crate) fn execute(call: &Call, shared: &Shared, facts: &mut CallFacts) -> Result<Value, AwsError> {
    let caller = authenticate(call, &shared.aws.read(), &shared.clock)?;
    let Parameters::Json(input) = &call.parameters else {
        return Err(AwsError::new("SerializationException", ""));
    };
    if !input.is_object() {
        return Err(AwsError::new("SerializationException", "the request is not a JSON object"));
    }
    let mut kms = KmsCall { caller: &caller, input, facts };
    kms.dispatch(shared, &call.operation)
}

impl KmsCall<'_> {
    fn dispatch(&mut self, shared: &Shared, operation: &str) -> Result<Value, AwsError> {
        let world = &shared.aws;
        match operation {
            "Encrypt" => self.encrypt(&world.read()),
            "Decrypt" => self.decrypt(&world.read()),
            "GenerateDataKey" => self.generate_data_key(&world.read(), crypto::Plaintext::Returned),
            "GenerateDataKeyWithoutPlaintext" => {
                self.generate_data_key(&world.read(), crypto::Plaintext::Withheld)
            }
            "ReEncrypt" => self.re_encrypt(&world.read()),
            "DescribeKey" => self.describe_key(&world.read()),
            "GetKeyPolicy" => self.get_key_policy(&world.read()),
            "CreateGrant" => self.create_grant(&world.read()),
            "ListKeys" => self.list_keys(&world.read()),
            "ListAliases" => self.list_aliases(&world.read()),
            "GetKeyRotationStatus" => self.get_key_rotation_status(&world.read()),
            "CreateKey" => self.create_key(&mut world.write()),
            "CreateAlias" => self.create_alias(&mut world.write()),
            "DeleteAlias" => self.delete_alias(&mut world.write()),
            "PutKeyPolicy" => self.put_key_policy(&mut world.write()),
            "EnableKey" => self.enable_key(&mut world.write()),
            "DisableKey" => self.disable_key(&mut world.write()),
            "ScheduleKeyDeletion" => self.schedule_key_deletion(&mut world.write()),
            "CancelKeyDeletion" => self.cancel_key_deletion(&mut world.write()),
            "EnableKeyRotation" => self.enable_key_rotation(&mut world.write()),
            "DisableKeyRotation" => self.disable_key_rotation(&mut world.write()),
            "RotateKeyOnDemand" => self.rotate_key_on_demand(&mut world.write()),
            other => Err(AwsError::unknown_operation(Service::Kms, other)),
        }
    }
}
