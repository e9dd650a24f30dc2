//! AssumeRole.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::issue::{NewSession, answer, issue};
use super::parameters::{SessionParameters, optional};
use crate::aws::arn::is_iam_name_byte;
use crate::aws::auth::Caller;
use crate::aws::call::{Call, Service};
use crate::aws::error::AwsError;
use crate::aws::policy::{ConditionContext, Decision, Policies, Principal, Request, evaluate_assume_role};
use crate::aws::world::identity::Role;
use crate::simulator::Shared;

/// Seconds of a session when the caller names none, and the most that a role may hand on to another role.
const HOUR: u32 = 3600;

/// What was asked for beyond what the assume operations share.
struct Wanted<'a> {
    shared: SessionParameters,
    external_id: Option<&'a str>,
    /// As requested, or as inherited from the calling session.
    source_identity: Option<String>,
    /// Tags that the calling session hands on.
    inherited: BTreeMap<String, String>,
}

pub(super) fn assume_role(call: &Call, shared: &Shared, caller: &Caller) -> Result<Value, AwsError> {
    if matches!(caller.principal, Principal::Root { .. }) {
        return Err(AwsError::denied(Service::Sts, "Roles may not be assumed by root accounts."));
    }
    let wanted = parse(call, caller)?;
    let chained = caller.session.is_some();
    if chained && wanted.shared.duration.is_some_and(|seconds| seconds > HOUR) {
        let message = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining";
        return Err(AwsError::validation(Service::Sts, message));
    }
    let max_seconds = {
        let state = shared.aws.read();
        // A role that does not exist is refused like one that does not trust the caller.
        let role = state
            .role(&wanted.shared.role)
            .ok_or_else(|| denied(caller, "sts:AssumeRole", &wanted, "no such role"))?;
        authorize(role, caller, &wanted)?;
        role.max_session_seconds
    };
    let seconds = wanted.shared.duration.unwrap_or(HOUR);
    if seconds > max_seconds {
        let message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(AwsError::validation(Service::Sts, message));
    }
    grant(shared, caller, wanted, seconds)
}

fn parse<'a>(call: &'a Call, caller: &Caller) -> Result<Wanted<'a>, AwsError> {
    let parameters = SessionParameters::parse(call)?;
    let external_id = optional(call, "ExternalId", "externalId", 1224, "[\\w+=,.@:\\/-]*", |byte| {
        is_iam_name_byte(byte) || b":/".contains(&byte)
    })?;
    let requested = optional(call, "SourceIdentity", "sourceIdentity", 64, "[\\w+=,.@-]*", is_iam_name_byte)?;
    let inherited = inherited_tags(caller);
    if parameters.tags.keys().any(|key| inherited.keys().any(|known| known.eq_ignore_ascii_case(key))) {
        let message = "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.";
        return Err(AwsError::new("InvalidParameterValue", message));
    }
    let own = caller.session.as_ref().and_then(|session| session.source_identity.clone());
    let wanted = Wanted {
        shared: parameters,
        external_id,
        source_identity: own.clone().or_else(|| requested.map(str::to_owned)),
        inherited,
    };
    // A source identity, once set, stays with the chain and cannot be changed.
    if own.is_some() && requested.is_some_and(|requested| own.as_deref() != Some(requested)) {
        return Err(denied(
            caller,
            "sts:SetSourceIdentity",
            &wanted,
            "the calling session has another source identity",
        ));
    }
    Ok(wanted)
}

fn inherited_tags(caller: &Caller) -> BTreeMap<String, String> {
    let Some(session) = &caller.session else { return BTreeMap::new() };
    let transitive = |key: &String| session.transitive.contains(key);
    session
        .tags
        .iter()
        .filter(|(key, _)| transitive(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Every right that the request needs: to assume, and to set tags and a source identity where it brings any.
fn authorize(role: &Role, caller: &Caller, wanted: &Wanted<'_>) -> Result<(), AwsError> {
    let context = context(role, caller, wanted);
    let tagged = !wanted.shared.tags.is_empty() || !wanted.inherited.is_empty();
    let needed = [
        Some("sts:AssumeRole"),
        tagged.then_some("sts:TagSession"),
        wanted.source_identity.as_ref().map(|_| "sts:SetSourceIdentity"),
    ];
    let trust = role.trust.at(caller.now);
    let policies = Policies {
        identity: &caller.identity,
        service_control: caller.service_control.as_deref(),
        boundary: caller.boundary.as_deref(),
        session: caller.session_policies(),
        resource: trust.first(),
    };
    let arn = wanted.shared.role.to_string();
    for action in needed.into_iter().flatten() {
        let request = Request {
            principal: &caller.principal,
            action,
            resource: &arn,
            resource_account: wanted.shared.role.account.as_str(),
            context: &context,
        };
        match evaluate_assume_role(&request, &policies) {
            Decision::Allow => {}
            Decision::ImplicitDeny { reason } | Decision::ExplicitDeny { reason } => {
                return Err(denied(caller, action, wanted, &reason));
            }
        }
    }
    Ok(())
}

fn context(role: &Role, caller: &Caller, wanted: &Wanted<'_>) -> ConditionContext {
    let mut context = caller.context();
    context.set("sts:RoleSessionName", wanted.shared.session_name.clone());
    if let Some(external_id) = wanted.external_id {
        context.set("sts:ExternalId", external_id);
    }
    if let Some(identity) = &wanted.source_identity {
        context.set("sts:SourceIdentity", identity.clone());
    }
    for (key, value) in &wanted.shared.tags {
        context.set(&format!("aws:RequestTag/{key}"), value.clone());
    }
    if !wanted.shared.tags.is_empty() {
        context.set_many("aws:TagKeys", wanted.shared.tags.keys().cloned().collect());
    }
    if !wanted.shared.transitive.is_empty() {
        context.set_many("sts:TransitiveTagKeys", wanted.shared.transitive.iter().cloned().collect());
    }
    for (key, value) in &role.tags {
        context.set(&format!("aws:ResourceTag/{key}"), value.clone());
        context.set(&format!("iam:ResourceTag/{key}"), value.clone());
    }
    context
}

fn grant(shared: &Shared, caller: &Caller, wanted: Wanted<'_>, seconds: u32) -> Result<Value, AwsError> {
    let mut transitive: BTreeSet<String> = wanted.inherited.keys().cloned().collect();
    transitive.extend(wanted.shared.transitive);
    let mut tags = wanted.inherited;
    tags.extend(wanted.shared.tags);
    let packed_percent = wanted.shared.packed_percent;
    let new = NewSession {
        policies: wanted.shared.policies,
        tags,
        transitive,
        source_identity: wanted.source_identity,
        ..NewSession::plain(
            wanted.shared.role,
            wanted.shared.session_name,
            Duration::from_secs(seconds.into()),
        )
    };
    let session =
        issue(&mut shared.aws.write(), new, caller.now).map_err(|_| AwsError::internal(Service::Sts))?;
    shared.issued.note(session.secret.clone());
    shared.issued.note(session.token.clone());
    Ok(answer(&session, packed_percent))
}

/// AWS tells a caller what its own account's policies say, and what a role's trust policy says to callers of the role's
/// account alone: <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>.
fn denied(caller: &Caller, action: &str, wanted: &Wanted<'_>, reason: &str) -> AwsError {
    let role = &wanted.shared.role;
    let mut message =
        format!("User: {} is not authorized to perform: {action} on resource: {role}", caller.arn());
    let is_policy = reason.starts_with("because no ") || reason.starts_with("with an explicit deny ");
    let own = !reason.contains("role trust policy") || role.account == caller.account;
    if is_policy && own {
        message = format!("{message} {reason}");
    }
    AwsError::denied(Service::Sts, message).because(reason)
}
