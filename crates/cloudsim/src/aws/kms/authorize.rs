//! Whether a caller may do something with a key, and what it is told if not.

use super::KmsCall;
use super::admin::wrong_state;
use super::lookup;
use super::parameters::Context;
use crate::aws::arn::KeyArn;
use crate::aws::call::Service;
use crate::aws::error::AwsError;
use crate::aws::policy::{
    ConditionContext, Decision, Policies, PolicyDocument, Request, evaluate_identity, evaluate_kms,
};
use crate::aws::world::State;
use crate::aws::world::key::{Key, KeyState};
use crate::log::CallDecision;

/// What KMS tells a caller from another account, to which it does not say whether a key exists.
const FOREIGN: &str = "the resource does not exist in this Region, no resource-based policies allow access, or a \
                       resource-based policy explicitly denies access";

impl KmsCall<'_> {
    /// Finds the key that the member `name` names and checks that the caller may do `action` with it.
    pub(super) fn authorized<'s>(
        &mut self,
        state: &'s State,
        named: &str,
        action: &str,
        context: Option<&Context>,
    ) -> Result<&'s Key, AwsError> {
        let arn = lookup::resolve(state, self.caller, named)?;
        self.note(&arn);
        self.authorized_arn(state, &arn, action, context, named)
    }

    pub(super) fn authorized_arn<'s>(
        &self,
        state: &'s State,
        arn: &KeyArn,
        action: &str,
        context: Option<&Context>,
        named: &str,
    ) -> Result<&'s Key, AwsError> {
        let key = lookup::existing(state, self.caller, arn);
        let policy = key.map(|key| key.policy.at(self.caller.now));
        let conditions = self.conditions(context, named);
        let decision = match (&policy, arn.account == self.caller.account) {
            (Some(policy), _) => self.evaluate(arn, action, &conditions, policy.first()),
            // For a key of one's own account that does not exist, only the identity policies can be asked.
            (None, true) => self.evaluate_without_key(&arn.to_string(), action, &conditions),
            (None, false) => Decision::ImplicitDeny { reason: format!("because {FOREIGN}") },
        };
        self.enforce(&decision, action, &arn.to_string(), arn.account != self.caller.account)?;
        key.ok_or_else(|| AwsError::new("NotFoundException", format!("Key '{arn}' does not exist")))
    }

    /// Checks an action that is not about one key.
    pub(super) fn authorize_account(&self, action: &str) -> Result<(), AwsError> {
        let decision = self.evaluate_without_key("*", action, &self.conditions(None, ""));
        self.enforce(&decision, action, "*", false)
    }

    /// Whether the caller could do something with a key if it had this policy.
    pub(super) fn would_allow(&self, arn: &KeyArn, action: &str, policy: &PolicyDocument) -> bool {
        self.evaluate(arn, action, &self.conditions(None, ""), Some(policy)) == Decision::Allow
    }

    fn evaluate(
        &self,
        arn: &KeyArn,
        action: &str,
        context: &ConditionContext,
        key_policy: Option<&PolicyDocument>,
    ) -> Decision {
        let resource = arn.to_string();
        let request = Request {
            principal: &self.caller.principal,
            action,
            resource: &resource,
            resource_account: arn.account.as_str(),
            context,
        };
        evaluate_kms(&request, &self.policies(key_policy))
    }

    fn evaluate_without_key(&self, resource: &str, action: &str, context: &ConditionContext) -> Decision {
        let request = Request {
            principal: &self.caller.principal,
            action,
            resource,
            resource_account: self.caller.account.as_str(),
            context,
        };
        evaluate_identity(&request, &self.policies(None))
    }

    fn policies<'p>(&'p self, resource: Option<&'p PolicyDocument>) -> Policies<'p> {
        Policies {
            identity: &self.caller.identity,
            service_control: self.caller.service_control.as_deref(),
            boundary: self.caller.boundary.as_deref(),
            session: self.caller.session_policies(),
            resource,
        }
    }

    /// <https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html>; `kms:ViaService` is absent, because
    /// every simulated call comes straight from its principal.
    fn conditions(&self, context: Option<&Context>, named: &str) -> ConditionContext {
        let mut conditions = self.caller.context();
        conditions.set("kms:CallerAccount", self.caller.account.to_string());
        if let Some(alias) = named.rsplit(':').next().filter(|name| name.starts_with("alias/")) {
            conditions.set("kms:RequestAlias", alias);
        }
        let Some(context) = context else { return conditions };
        conditions.set("kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT");
        for (key, value) in context {
            conditions.set(&format!("kms:EncryptionContext:{key}"), value.clone());
        }
        if !context.is_empty() {
            conditions.set_many("kms:EncryptionContextKeys", context.keys().cloned().collect());
        }
        conditions
    }

    fn enforce(
        &self,
        decision: &Decision,
        action: &str,
        resource: &str,
        foreign: bool,
    ) -> Result<(), AwsError> {
        let (reason, explicit) = match decision {
            Decision::Allow => return Ok(()),
            Decision::ImplicitDeny { reason } => (reason, false),
            Decision::ExplicitDeny { reason } => (reason, true),
        };
        let from_resource = foreign && reason.contains("resource-based policy");
        let told = if from_resource { format!("because {FOREIGN}") } else { reason.clone() };
        let message = format!(
            "User: {} is not authorized to perform: {action} on resource: {resource} {told}",
            self.caller.arn()
        );
        let kind = if explicit { "explicit deny: " } else { "" };
        Err(AwsError::denied(Service::Kms, message).because(&format!("{kind}{reason}")))
    }

    /// Lets the log say which key was meant.
    pub(super) fn note(&mut self, arn: &KeyArn) {
        self.facts.account = Some(arn.account.to_string());
        self.facts.key = Some(arn.to_string());
    }
}

/// Whether the key's state lets it be used.
pub(super) fn check_usable(key: &Key, state: KeyState) -> Result<(), AwsError> {
    match state {
        KeyState::Enabled => Ok(()),
        KeyState::ExternalTimeout => Err(AwsError::new(
            "KMSInvalidStateException",
            "The external key store proxy did not respond to the request within the time limit. Retry the request.",
        )),
        other => Err(wrong_state(key, other)),
    }
}

/// What a dry run answers when the call would have been permitted.
pub(super) fn dry_run_success() -> AwsError {
    let message = "The request would have succeeded, but the DryRun option is set.";
    AwsError { decision: CallDecision::Allowed, ..AwsError::new("DryRunOperationException", message) }
}
