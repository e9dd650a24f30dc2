//! Allow policies.

use serde_json::Value;

use super::{GcpControl, PolicyPlace};
use crate::error::SimError;
use crate::gcp::iam::AllowPolicy;
use crate::gcp::trail;
use crate::gcp::world::layered::Layered;
use crate::gcp::world::{EditKind, RemoveMember, State};
use crate::log::CallFacts;

impl GcpControl {
    /// A place's allow policy as its owner reads it back, in effect or not.
    ///
    /// # Errors
    /// When there is no such place.
    pub fn policy(&self, place: &PolicyPlace) -> Result<Value, SimError> {
        policy_mut(&mut self.shared.gcp.write(), place).map(|policy| policy.newest().json())
    }

    /// Replaces a place's allow policy, and with it the edits laid over the old one. It is taken as Google writes it:
    /// `{"bindings": [{"role", "members", "condition"}]}`.
    ///
    /// # Errors
    /// When there is no such place, or the policy names a role or member that is not one, or has a condition that cannot be
    /// evaluated.
    pub fn set_policy(&self, place: &PolicyPlace, policy: &Value) -> Result<(), SimError> {
        let policy = AllowPolicy::parse(policy)?;
        let time = self.edit_time(EditKind::Policy);
        policy_mut(&mut self.shared.gcp.write(), place)?.replace(policy, time);
        self.record(place.changed());
        Ok(())
    }

    /// Adds a binding to a place's allow policy, as `gcloud … add-iam-policy-binding` does.
    ///
    /// # Errors
    /// When there is no such place, role or form of member.
    pub fn grant(&self, place: &PolicyPlace, role: &str, member: &str) -> Result<(), SimError> {
        let binding = serde_json::json!({"bindings": [{"role": role, "members": [member]}]});
        AllowPolicy::parse(&binding)?;
        let time = self.edit_time(EditKind::Policy);
        policy_mut(&mut self.shared.gcp.write(), place)?.change(time, |policy| policy.add(role, member));
        self.record(place.changed());
        Ok(())
    }
}

impl PolicyPlace {
    fn changed(&self) -> CallFacts {
        match self {
            Self::Project(project) => trail::of_project("SetIamPolicy", project),
            Self::KeyRing(ring) => trail::of_key_ring("SetIamPolicy", ring),
            Self::Key(key) => trail::of_key("SetIamPolicy", key, None),
            Self::ServiceAccount(email) => trail::of_service_account("SetIAMPolicy", email),
        }
    }
}

fn policy_mut<'s>(
    state: &'s mut State,
    place: &PolicyPlace,
) -> Result<&'s mut Layered<AllowPolicy, RemoveMember>, SimError> {
    Ok(match place {
        PolicyPlace::Project(project) => &mut state.project_mut(project)?.policy,
        PolicyPlace::KeyRing(ring) => &mut state.key_ring_mut(ring)?.policy,
        PolicyPlace::Key(key) => &mut state.key_mut(key)?.policy,
        PolicyPlace::ServiceAccount(email) => &mut state.service_account_mut(email)?.policy,
    })
}
