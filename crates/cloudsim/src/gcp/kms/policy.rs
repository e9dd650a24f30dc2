//! Policies of key rings and keys, as their administrators read and write them.

use serde_json::{Value, json};

use super::resource::Resource;
use super::{KmsCall, malformed};
use crate::gcp::error::GcpError;
use crate::gcp::iam::AllowPolicy;
use crate::gcp::world::layered::Layered;
use crate::gcp::world::{EditKind, RemoveMember, State};

impl KmsCall<'_> {
    pub(super) fn get_policy(&self, state: &State, resource: &Resource) -> Result<Value, GcpError> {
        self.check(state, resource, &permission(resource, "getIamPolicy")?)?;
        let policy = match resource {
            Resource::Ring(name) => state.key_ring(name).map(|ring| ring.policy.newest()),
            Resource::Key(name) => state.key(name).map(|key| key.policy.newest()),
            _ => None,
        };
        policy.map(AllowPolicy::json).ok_or_else(missing)
    }

    pub(super) fn set_policy(&self, state: &mut State, resource: &Resource) -> Result<Value, GcpError> {
        self.check(state, resource, &permission(resource, "setIamPolicy")?)?;
        let written = self.call.input.get("policy").cloned().unwrap_or_else(|| json!({}));
        let policy =
            AllowPolicy::parse(&written).map_err(|error| GcpError::invalid_argument(error.to_string()))?;
        let time = state.edit_time(EditKind::Policy, self.now);
        let place: &mut Layered<AllowPolicy, RemoveMember> = match resource {
            Resource::Ring(name) => &mut state.key_ring_mut(name).map_err(|_| missing())?.policy,
            Resource::Key(name) => &mut state.key_mut(name).map_err(|_| missing())?.policy,
            _ => return Err(malformed(resource)),
        };
        let read = written.get("etag").and_then(Value::as_str).filter(|etag| !etag.is_empty());
        if read.is_some_and(|etag| etag != place.newest().etag()) {
            let message = "There were concurrent policy changes. Please retry the whole read-modify-write with exponential \
                           backoff.";
            return Err(GcpError::new(http::StatusCode::CONFLICT, "ABORTED", message));
        }
        let answer = policy.json();
        place.replace(policy, time);
        Ok(answer)
    }

    /// Tells which of the permissions the caller has. It needs none itself.
    pub(super) fn test_permissions(&self, state: &State, resource: &Resource) -> Result<Value, GcpError> {
        if let Resource::Malformed(_) = resource {
            return Err(malformed(resource));
        }
        let asked = self.call.input.get("permissions").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut held = Vec::new();
        for permission in asked {
            let text = permission.as_str().unwrap_or_default();
            if !text.starts_with("cloudkms.") {
                let message = format!("Permission {text} is not valid for this resource.");
                return Err(GcpError::invalid_argument(message));
            }
            if self.check(state, resource, text).is_ok() {
                held.push(permission);
            }
        }
        Ok(if held.is_empty() { json!({}) } else { json!({"permissions": held}) })
    }
}

fn permission(resource: &Resource, verb: &str) -> Result<String, GcpError> {
    match resource {
        Resource::Ring(_) => Ok(format!("cloudkms.keyRings.{verb}")),
        Resource::Key(_) => Ok(format!("cloudkms.cryptoKeys.{verb}")),
        other => Err(malformed(other)),
    }
}

fn missing() -> GcpError {
    GcpError::not_found("Requested entity was not found.")
}
