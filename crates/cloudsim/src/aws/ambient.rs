//! What the metadata service and the container endpoint share: roles that the platform's own machines hold, and sessions
//! for them that are renewed halfway through.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::arn::RoleArn;
use super::sts::issue::{NewSession, issue};
use super::world::session::Session;
use crate::exchange::{self, Reply};
use crate::faults::FaultEffect;
use crate::log::{CallDecision, CallFacts};
use crate::server::{Outcome, plain};
use crate::simulator::Shared;

/// The id of the one simulated instance, which names its sessions.
pub(crate) const INSTANCE_ID: &str = "i-0123456789abcdef0";
/// The name of the container's sessions.
const TASK: &str = "leasehold-0";
/// EC2 hands out credentials for about six hours.
const LIFETIME: Duration = Duration::from_secs(6 * 3600);

/// The roles of the platform's own machines.
#[derive(Debug, Default)]
pub(crate) struct AmbientRoles {
    pub(crate) instance_role: Option<RoleArn>,
    pub(crate) container_role: Option<RoleArn>,
    /// Session tags of the container's sessions, all transitive, as EKS Pod Identity sets them.
    pub(crate) container_tags: BTreeMap<String, String>,
    /// Access key ids of the sessions being handed out.
    instance_session: Option<String>,
    container_session: Option<String>,
}

/// The session that the instance gets now.
pub(crate) fn instance_session(shared: &Shared) -> Option<Arc<Session>> {
    let role = shared.aws.read().ambient.instance_role.clone()?;
    let new = NewSession::plain(role, INSTANCE_ID.to_owned(), LIFETIME);
    current(shared, new, |roles| &mut roles.instance_session)
}

/// The session that the container gets now.
pub(crate) fn container_session(shared: &Shared) -> Option<Arc<Session>> {
    let (role, tags) = {
        let state = shared.aws.read();
        (state.ambient.container_role.clone()?, state.ambient.container_tags.clone())
    };
    let new = NewSession {
        transitive: tags.keys().cloned().collect(),
        tags,
        ..NewSession::plain(role, TASK.to_owned(), LIFETIME)
    };
    current(shared, new, |roles| &mut roles.container_session)
}

/// The session at hand while it has more than half of its life and still fits, else a new one.
fn current(
    shared: &Shared,
    new: NewSession,
    slot: fn(&mut AmbientRoles) -> &mut Option<String>,
) -> Option<Arc<Session>> {
    let now = shared.clock.now();
    let mut state = shared.aws.write();
    let role_id = state.role(&new.role)?.role_id.clone();
    let at_hand = slot(&mut state.ambient).clone().and_then(|id| state.sessions.get(&id).cloned());
    let fits = |session: &Arc<Session>| {
        session.role_id == role_id && session.tags == new.tags && session.expires_at.since(now) > LIFETIME / 2
    };
    if let Some(session) = at_hand.filter(fits) {
        return Some(session);
    }
    let session = issue(&mut state, new, now).ok()?;
    *slot(&mut state.ambient) = Some(session.access_key_id.clone());
    Some(session)
}

/// Puts faults before and the log after the answers of a plain HTTP service.
pub(crate) struct Ambient<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) service: &'static str,
}

impl Ambient<'_> {
    pub(crate) async fn answer(
        &self,
        mut facts: CallFacts,
        answer: impl FnOnce() -> Response<Bytes>,
    ) -> Outcome {
        facts.service = self.service.to_owned();
        let request_id = uuid::Uuid::new_v4().to_string();
        let execute = |_: &mut CallFacts| {
            let response = answer();
            let succeeded = response.status().is_success();
            let decision = if succeeded { CallDecision::Allowed } else { CallDecision::Failed };
            reply(response, decision)
        };
        let fault = |effect: &FaultEffect| {
            let status = match effect {
                FaultEffect::Error { status, .. } => *status,
                _ => StatusCode::TOO_MANY_REQUESTS.as_u16(),
            };
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            reply(plain(status, ""), CallDecision::Faulted)
        };
        exchange::run(self.shared, &request_id, facts, execute, fault).await
    }
}

fn reply(response: Response<Bytes>, decision: CallDecision) -> Reply {
    Reply { response, decision, error_code: None, error_message: None, reason: None, event: None }
}
