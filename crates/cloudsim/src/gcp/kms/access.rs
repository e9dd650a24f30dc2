//! Permissions on what Cloud KMS holds.

use super::resource::Resource;
use super::{KmsCall, malformed};
use crate::gcp::call::Service;
use crate::gcp::error::GcpError;
use crate::gcp::iam::{Access, AllowPolicy, Target};
use crate::gcp::name::ProjectId;
use crate::gcp::world::State;

const SERVICE: &str = "cloudkms.googleapis.com";

impl KmsCall<'_> {
    /// Asks whether the caller has a permission, and refuses as Google does: without telling whether there is such a
    /// resource.
    pub(super) fn check(&self, state: &State, resource: &Resource, permission: &str) -> Result<(), GcpError> {
        let place = Place::of(state, resource, self)?;
        let access = Access { state, now: self.now, caller: &self.caller };
        access.check(permission, &place.project, &place.policies, &place.target).map_err(|denial| {
            GcpError::denied(Service::CloudKms, permission, Some(&place.target.name), denial)
        })
    }
}

/// A resource with the policies that count for it below the project.
struct Place<'s> {
    project: ProjectId,
    policies: Vec<&'s AllowPolicy>,
    target: Target,
}

impl<'s> Place<'s> {
    fn of(state: &'s State, resource: &Resource, call: &KmsCall<'_>) -> Result<Self, GcpError> {
        let target = |kind, name| Target { service: SERVICE, kind, name };
        let ring_policy = |name| state.key_ring(name).map(|ring| ring.policy.at(call.now));
        let key_policy = |name| state.key(name).map(|key| key.policy.at(call.now));
        let (project, policies, target) = match resource {
            Resource::Location { project, location } => {
                let name = format!("projects/{project}/locations/{location}");
                let project = project.parse().map_err(|_| malformed(resource))?;
                (project, vec![], target("cloudkms.googleapis.com/Location", name))
            }
            Resource::Ring(name) => {
                let target = target("cloudkms.googleapis.com/KeyRing", name.to_string());
                (name.project.clone(), vec![ring_policy(name)], target)
            }
            Resource::Key(name) => {
                let target = target("cloudkms.googleapis.com/CryptoKey", name.to_string());
                (name.ring.project.clone(), vec![key_policy(name), ring_policy(&name.ring)], target)
            }
            // Versions have no policies of their own, but a name that conditions see.
            Resource::Version(name, number) => {
                let version = format!("{name}/cryptoKeyVersions/{number}");
                let target = target("cloudkms.googleapis.com/CryptoKeyVersion", version);
                (name.ring.project.clone(), vec![key_policy(name), ring_policy(&name.ring)], target)
            }
            Resource::Malformed(_) => return Err(malformed(resource)),
        };
        Ok(Self { project, policies: policies.into_iter().flatten().collect(), target })
    }
}
