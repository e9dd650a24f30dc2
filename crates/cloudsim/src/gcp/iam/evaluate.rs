//! The decision about a permission.

use super::principal::Principal;
use super::{AllowPolicy, Target, role};
use crate::clock::Timestamp;
use crate::gcp::name::{ProjectId, RoleName};
use crate::gcp::world::State;
use crate::gcp::world::project::Project;

/// Why a permission is refused, for the log: callers are not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(crate) reason: String,
}

/// A question to the policies of the world, at a moment.
pub(crate) struct Access<'a> {
    pub(crate) state: &'a State,
    pub(crate) now: Timestamp,
    pub(crate) caller: &'a Principal,
}

impl Access<'_> {
    /// Asks whether the caller has a permission on a resource of a project. `policies` are those of the resource and of
    /// what contains it below the project.
    pub(crate) fn check(
        &self,
        permission: &str,
        project: &ProjectId,
        policies: &[&AllowPolicy],
        target: &Target,
    ) -> Result<(), Denial> {
        let caller = self.caller;
        let denial = |reason: String| Err(Denial { reason });
        let Some(owner) = self.state.projects.get(project) else {
            return denial(format!("there is no project {project}"));
        };
        let deny = owner.deny.at(self.now);
        if let Some((name, _)) =
            deny.iter().find(|(_, policy)| policy.denies(caller, permission, target, self.now))
        {
            return denial(format!("deny policy {name} of {project} denies {permission} to {caller}"));
        }
        let mut unmet = None;
        for policy in policies.iter().copied().chain([owner.policy.at(self.now)]) {
            for binding in &policy.bindings {
                let named = binding.members.iter().any(|member| caller.is_member(member));
                if !named || !self.role_contains(owner, project, &binding.role, permission) {
                    continue;
                }
                match &binding.condition {
                    Some((text, condition)) if !condition.holds(target, self.now) => {
                        unmet = Some(text.expression.clone());
                    }
                    _ => return Ok(()),
                }
            }
        }
        match unmet {
            Some(condition) => {
                denial(format!("{caller} has {permission} on {} only if {condition}", target.name))
            }
            None => denial(format!("no binding gives {caller} {permission} on {}", target.name)),
        }
    }

    fn role_contains(&self, owner: &Project, project: &ProjectId, name: &str, permission: &str) -> bool {
        if let Some(contained) = role::predefined(name, permission) {
            return contained;
        }
        // A custom role can only be given on resources of the project that it belongs to.
        name.parse::<RoleName>()
            .ok()
            .filter(|name| name.project == *project)
            .and_then(|name| owner.roles.get(&name.id))
            .is_some_and(|role| role.at(self.now).contains(permission))
    }
}
