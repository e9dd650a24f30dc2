//! An authenticated caller, and the conditions that policies may put on it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::Holder;
use crate::aws::arn::{AccountId, Region};
use crate::aws::call::Call;
use crate::aws::policy::{ConditionContext, PolicyDocument, Principal};
use crate::aws::world::State;
use crate::aws::world::session::Session;
use crate::clock::Timestamp;

/// An authenticated caller, with the policies that bind it as they are in effect now.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    pub(crate) account: AccountId,
    pub(crate) region: Region,
    /// `AIDA…`, or `AROA…:{session}`.
    pub(crate) user_id: String,
    pub(crate) identity: Arc<Vec<PolicyDocument>>,
    pub(crate) boundary: Option<Arc<PolicyDocument>>,
    pub(crate) service_control: Option<Arc<PolicyDocument>>,
    pub(crate) session: Option<Arc<Session>>,
    /// Tags of the user or role, overridden by those of the session.
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) now: Timestamp,
    source_ip: Option<String>,
}

impl Caller {
    /// The holder of credentials, as it is now; nobody if it has been deleted.
    pub(super) fn new(
        call: &Call,
        state: &State,
        holder: Holder,
        region: Region,
        now: Timestamp,
    ) -> Option<Self> {
        let source_ip = source_ip(call);
        match holder {
            Holder::User { account, name } => {
                let user = state.accounts.get(&account)?.users.get(&name)?;
                let service_control = state.service_control(&account, now);
                Some(Caller {
                    principal: Principal::User { account: account.to_string(), name },
                    account,
                    region,
                    user_id: user.user_id.clone(),
                    identity: user.policies.at(now),
                    boundary: user.boundary.at(now).clone(),
                    service_control,
                    session: None,
                    tags: user.tags.clone(),
                    now,
                    source_ip,
                })
            }
            Holder::Session(session) => {
                let role = state.role(&session.role).filter(|role| role.role_id == session.role_id)?;
                let service_control = state.service_control(&session.role.account, now);
                let mut tags = role.tags.clone();
                tags.extend(session.tags.clone());
                Some(Caller {
                    principal: session.principal(),
                    account: session.role.account.clone(),
                    region,
                    user_id: session.user_id(),
                    identity: role.policies.at(now),
                    boundary: role.boundary.at(now).clone(),
                    service_control,
                    session: Some(session),
                    tags,
                    now,
                    source_ip,
                })
            }
        }
    }

    pub(crate) fn arn(&self) -> String {
        self.principal.arn()
    }

    /// The policies of its session, which only narrow.
    pub(crate) fn session_policies(&self) -> &[PolicyDocument] {
        self.session.as_ref().map_or(&[], |session| session.policies.as_slice())
    }

    /// The condition keys that say something about the caller and the moment.
    ///
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>
    pub(crate) fn context(&self) -> ConditionContext {
        let mut context = moment_context(self.now, self.source_ip.as_deref());
        context.set("aws:PrincipalArn", self.principal_arn());
        context.set("aws:PrincipalAccount", self.account.to_string());
        context.set("aws:userid", self.user_id.clone());
        context.set("aws:RequestedRegion", self.region.to_string());
        for (key, value) in &self.tags {
            context.set(&format!("aws:PrincipalTag/{key}"), value.clone());
        }
        match (&self.principal, &self.session) {
            (_, Some(session)) => add_session(&mut context, session),
            (Principal::User { name, .. }, None) => {
                context.set("aws:username", name.clone());
                context.set("aws:PrincipalType", "User");
            }
            (_, None) => context.set("aws:PrincipalType", "Account"),
        }
        context
    }

    /// For a session, the ARN of its role: `aws:PrincipalArn` names roles, not sessions.
    fn principal_arn(&self) -> String {
        self.session.as_ref().map_or_else(|| self.arn(), |session| session.role.to_string())
    }
}

fn add_session(context: &mut ConditionContext, session: &Session) {
    context.set("aws:PrincipalType", "AssumedRole");
    context.set("aws:TokenIssueTime", session.issued_at.iso());
    context.set("aws:MultiFactorAuthPresent", "false");
    if let Some(identity) = &session.source_identity {
        context.set("aws:SourceIdentity", identity.clone());
    }
    for (key, value) in &session.web_identity {
        context.set(key, value.clone());
    }
}

/// The condition keys that hold for anonymous requests too.
pub(crate) fn moment_context(now: Timestamp, source_ip: Option<&str>) -> ConditionContext {
    let mut context = ConditionContext::new();
    context.set("aws:CurrentTime", now.iso());
    context.set("aws:EpochTime", now.unix_seconds().to_string());
    // Loopback stands for the TLS that the real endpoints insist on.
    context.set("aws:SecureTransport", "true");
    if let Some(ip) = source_ip {
        context.set("aws:SourceIp", ip);
    }
    context
}

/// The peer's address, as policies see it.
pub(crate) fn source_ip(call: &Call) -> Option<String> {
    call.request.extensions().get::<SocketAddr>().map(|peer| peer.ip().to_string())
}
