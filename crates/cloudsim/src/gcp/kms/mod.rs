//! Cloud KMS.
//!
//! <https://cloud.google.com/kms/docs/reference/rest>

mod access;
mod admin;
mod blob;
mod crypto;
mod describe;
mod input;
mod policy;
pub(crate) mod resource;

use serde_json::Value;

use super::auth::authenticate;
use super::call::Call;
use super::error::GcpError;
use super::iam::Principal;
use super::world::State;
use crate::clock::Timestamp;
use crate::log::CallFacts;
use crate::simulator::Shared;
use resource::Resource;

/// One call in progress: who calls with which parameters, when, and what the log shall say.
struct KmsCall<'a> {
    call: &'a Call,
    caller: Principal,
    now: Timestamp,
    facts: &'a mut CallFacts,
}

/// Adds the key that a call is about, and the version as far as it can be told.
pub(crate) fn add_facts(call: &Call, resource: &Resource, facts: &mut CallFacts) {
    let (key, version) = match resource {
        Resource::Location { project, location } => {
            facts.account = Some(project.clone());
            facts.region = Some(location.clone());
            return;
        }
        Resource::Ring(ring) => {
            facts.account = Some(ring.project.to_string());
            facts.region = Some(ring.location.clone());
            facts.parameters.insert("keyRing".to_owned(), ring.to_string());
            return;
        }
        Resource::Malformed(_) => return,
        Resource::Key(key) => {
            (key, input::bytes(&call.input, "ciphertext").ok().and_then(|blob| blob::version(&blob)))
        }
        Resource::Version(key, version) => (key, Some(*version)),
    };
    facts.account = Some(key.ring.project.to_string());
    facts.region = Some(key.ring.location.clone());
    facts.key = Some(key.to_string());
    facts.key_version = version.map(|version| version.to_string());
}

/// Carries a call out.
pub(crate) fn execute(
    call: &Call,
    resource: &Resource,
    shared: &Shared,
    facts: &mut CallFacts,
) -> Result<Value, GcpError> {
    let world = &shared.gcp;
    let caller = authenticate(call, &world.read(), &shared.clock)?;
    let mut kms = KmsCall { call, caller, now: shared.clock.now(), facts };
    match call.operation.as_str() {
        "Encrypt" => kms.encrypt(&world.read(), resource),
        "Decrypt" => kms.decrypt(&world.read(), resource),
        "GetCryptoKey" => kms.get_key(&world.read(), resource),
        "GetCryptoKeyVersion" => kms.get_version(&world.read(), resource),
        "ListCryptoKeys" => kms.list_keys(&world.read(), resource),
        "ListCryptoKeyVersions" => kms.list_versions(&world.read(), resource),
        "GetKeyRing" => kms.get_key_ring(&world.read(), resource),
        "GetLocation" => kms.get_location(&world.read(), resource),
        "GetIamPolicy" => kms.get_policy(&world.read(), resource),
        "TestIamPermissions" => kms.test_permissions(&world.read(), resource),
        "SetIamPolicy" => kms.set_policy(&mut world.write(), resource),
        "UpdateCryptoKey" => kms.update_key(&mut world.write(), resource),
        "UpdateCryptoKeyPrimaryVersion" => kms.update_primary(&mut world.write(), resource),
        "CreateCryptoKeyVersion" => kms.create_version(&mut world.write(), resource),
        "UpdateCryptoKeyVersion" => kms.update_version(&mut world.write(), resource),
        "DestroyCryptoKeyVersion" => kms.destroy_version(&mut world.write(), resource),
        "RestoreCryptoKeyVersion" => kms.restore_version(&mut world.write(), resource),
        _ => Err(GcpError::not_found("Method not found.")),
    }
}

impl KmsCall<'_> {
    /// The key that a call is about, after the caller was found to have a permission on it.
    fn key<'s>(
        &self,
        state: &'s State,
        resource: &Resource,
        permission: &str,
    ) -> Result<&'s super::world::key::Key, GcpError> {
        let name = match resource {
            Resource::Key(name) | Resource::Version(name, _) => name,
            other => return Err(malformed(other)),
        };
        self.check(state, resource, permission)?;
        state.key(name).ok_or_else(|| GcpError::not_found(format!("CryptoKey {name} not found.")))
    }
}

fn malformed(resource: &Resource) -> GcpError {
    let name = match resource {
        Resource::Malformed(name) => name.clone(),
        Resource::Location { project, location } => format!("projects/{project}/locations/{location}"),
        Resource::Ring(name) => name.to_string(),
        Resource::Key(name) => name.to_string(),
        Resource::Version(name, number) => format!("{name}/cryptoKeyVersions/{number}"),
    };
    GcpError::invalid_argument(format!(
        "The request name '{name}' is not of the form that this method takes."
    ))
}

fn version_not_found(name: &str) -> GcpError {
    GcpError::not_found(format!("CryptoKeyVersion {name} not found."))
}
