//! Roles: who may assume them, and what they may do.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::AwsControl;
use crate::aws::arn::RoleArn;
use crate::aws::policy::{PolicyDocument, PolicyKind};
use crate::aws::scenario;
use crate::aws::trail;
use crate::aws::world::EditKind;
use crate::aws::world::identity::Role;
use crate::aws::world::policies::{EditablePolicies, parse};
use crate::control::model::RoleSpec;
use crate::error::SimError;
use crate::propagated::Propagated;
use crate::secret::unique_id;

impl AwsControl {
    /// Makes or replaces a role. A replaced role is another role: its sessions end.
    ///
    /// # Errors
    /// When the account does not exist, or the name or a policy is malformed.
    pub fn put_role(&self, arn: &RoleArn, spec: RoleSpec) -> Result<(), SimError> {
        if !(3600..=43200).contains(&spec.max_session_seconds) {
            return Err(SimError::invalid("maximum session duration", "it is 3600 to 43200 seconds"));
        }
        let role = Role {
            role_id: unique_id("AROA")?,
            trust: EditablePolicies::single(PolicyKind::Trust, spec.trust_policy)?,
            policies: EditablePolicies::new(PolicyKind::Identity, spec.identity_policies)?,
            boundary: Propagated::new(boundary(spec.boundary)?),
            max_session_seconds: spec.max_session_seconds,
            tags: spec.tags,
        };
        self.shared.aws.write().account_mut(&arn.account)?.roles.insert(arn.name.clone(), role);
        Ok(())
    }

    /// Deletes a role. Its sessions end.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn delete_role(&self, arn: &RoleArn) -> Result<(), SimError> {
        let removed = self.shared.aws.write().account_mut(&arn.account)?.roles.remove(&arn.name);
        removed.ok_or_else(|| SimError::not_found("role", arn.to_string()))?;
        self.record(Some(trail::of_role("DeleteRole", arn, None)));
        Ok(())
    }

    /// Replaces a role's trust policy, and with it the edits laid over the old one.
    ///
    /// # Errors
    /// When the role does not exist or the policy is malformed.
    pub fn set_trust_policy(&self, arn: &RoleArn, policy: Value) -> Result<(), SimError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.aws.write();
        let time = state.edit_time(EditKind::Trust, now);
        state.role_mut(arn)?.trust.replace_single(policy, time)?;
        drop(state);
        self.record(Some(trail::of_role("UpdateAssumeRolePolicy", arn, None)));
        Ok(())
    }

    /// Gives a role the trust policy of the onboarding: `principal` may assume it and tag its session, if it names
    /// `external_id`.
    ///
    /// # Errors
    /// When the role does not exist.
    pub fn trust_with_external_id(
        &self,
        arn: &RoleArn,
        principal: &str,
        external_id: &str,
    ) -> Result<(), SimError> {
        self.set_trust_policy(arn, scenario::trust_policy(principal, Some(external_id)))
    }

    /// Replaces a role's identity policies, and with them the edits laid over the old ones.
    ///
    /// # Errors
    /// When the role does not exist or a policy is malformed.
    pub fn set_identity_policies(
        &self,
        arn: &RoleArn,
        policies: BTreeMap<String, Value>,
    ) -> Result<(), SimError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.aws.write();
        let time = state.edit_time(EditKind::Identity, now);
        state.role_mut(arn)?.policies.replace(policies, time)?;
        drop(state);
        self.record(Some(trail::of_role("PutRolePolicy", arn, Some("access"))));
        Ok(())
    }

    /// Sets or removes a role's permission boundary.
    ///
    /// # Errors
    /// When the role does not exist or the policy is malformed.
    pub fn set_boundary(&self, arn: &RoleArn, policy: Option<Value>) -> Result<(), SimError> {
        let operation = match policy {
            Some(_) => "PutRolePermissionsBoundary",
            None => "DeleteRolePermissionsBoundary",
        };
        let document = boundary(policy)?;
        let now = self.shared.clock.now();
        let mut state = self.shared.aws.write();
        let time = state.edit_time(EditKind::Identity, now);
        state.role_mut(arn)?.boundary.set(document, time.now, time.effective);
        drop(state);
        self.record(Some(trail::of_role(operation, arn, None)));
        Ok(())
    }

    /// Makes a role's sessions worthless at once, as no edit of a real account could: their credentials are unknown from
    /// now on. Gives how many there were.
    pub fn forget_sessions(&self, arn: &RoleArn) -> usize {
        let mut state = self.shared.aws.write();
        let before = state.sessions.len();
        state.sessions.retain(|_, session| session.role != *arn);
        before - state.sessions.len()
    }
}

/// Reads a permission boundary.
pub(super) fn boundary(policy: Option<Value>) -> Result<Option<Arc<PolicyDocument>>, SimError> {
    policy.map(|policy| parse(PolicyKind::Identity, &policy).map(Arc::new)).transpose()
}
