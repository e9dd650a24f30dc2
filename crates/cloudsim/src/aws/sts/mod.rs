//! The Security Token Service.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/>

mod assume_role;
pub(crate) mod issue;
mod parameters;
mod web_identity;

use serde_json::{Value, json};

use super::auth::authenticate;
use super::call::{Call, Service};
use super::error::AwsError;
use crate::log::CallFacts;
use crate::simulator::Shared;

/// Reads what a call says about itself, for faults and the log.
pub(crate) fn add_facts(call: &Call, facts: &mut CallFacts) {
    if let Some(role) = call.text("RoleArn") {
        facts.role = Some(role.to_owned());
        facts.account = role.split(':').nth(4).map(str::to_owned);
    }
    let audited = ["RoleSessionName", "ExternalId", "SourceIdentity", "DurationSeconds"];
    for (name, value) in audited.iter().filter_map(|name| Some((name, call.text(name)?))) {
        let mut key = (*name).to_owned();
        key[..1].make_ascii_lowercase();
        facts.parameters.insert(key, value.to_owned());
    }
    for tag in call.members("Tags") {
        if let (Some(key), Some(value)) = (tag.get("Key"), tag.get("Value")) {
            facts.parameters.insert(format!("tag:{key}"), (*value).to_owned());
        }
    }
}

/// Carries a call out.
pub(crate) fn execute(call: &Call, shared: &Shared, facts: &mut CallFacts) -> Result<Value, AwsError> {
    if call.operation == "AssumeRoleWithWebIdentity" {
        return web_identity::assume_role_with_web_identity(call, shared, facts);
    }
    let caller = authenticate(call, &shared.aws.read(), &shared.clock)?;
    match call.operation.as_str() {
        "AssumeRole" => assume_role::assume_role(call, shared, &caller),
        // Needs no permission: AWS answers it even to a caller who is denied everything.
        "GetCallerIdentity" => {
            Ok(json!({"UserId": caller.user_id, "Account": caller.account.to_string(), "Arn": caller.arn()}))
        }
        other => Err(AwsError::unknown_operation(Service::Sts, other)),
    }
}
