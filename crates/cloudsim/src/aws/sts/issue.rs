//! Issues temporary credentials.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::aws::arn::RoleArn;
use crate::aws::policy::PolicyDocument;
use crate::aws::world::State;
use crate::aws::world::session::Session;
use crate::clock::Timestamp;
use crate::error::SimError;
use crate::secret::{SecretText, unique_id};

/// A session to issue. Whoever asks has authorised it.
#[derive(Debug)]
pub(crate) struct NewSession {
    pub(crate) role: RoleArn,
    pub(crate) name: String,
    pub(crate) lifetime: Duration,
    pub(crate) policies: Vec<PolicyDocument>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) transitive: BTreeSet<String>,
    pub(crate) source_identity: Option<String>,
    pub(crate) web_identity: BTreeMap<String, String>,
}

impl NewSession {
    /// A session without policy, tags or source identity.
    pub(crate) fn plain(role: RoleArn, name: String, lifetime: Duration) -> Self {
        Self {
            role,
            name,
            lifetime,
            policies: Vec::new(),
            tags: BTreeMap::new(),
            transitive: BTreeSet::new(),
            source_identity: None,
            web_identity: BTreeMap::new(),
        }
    }
}

/// Issues credentials for a session of an existing role.
///
/// # Errors
/// When the role does not exist, or there are no random bytes.
pub(crate) fn issue(state: &mut State, new: NewSession, now: Timestamp) -> Result<Arc<Session>, SimError> {
    let role = state.role(&new.role).ok_or_else(|| SimError::not_found("role", new.role.to_string()))?;
    let session = Arc::new(Session {
        access_key_id: unique_id("ASIA")?,
        secret: SecretText::generate(30)?,
        token: SecretText::generate(240)?,
        role_id: role.role_id.clone(),
        role: new.role,
        name: new.name,
        issued_at: now,
        expires_at: now.plus(new.lifetime),
        policies: Arc::new(new.policies),
        tags: new.tags,
        transitive: new.transitive,
        source_identity: new.source_identity,
        web_identity: new.web_identity,
    });
    state.issue(session.clone(), now);
    Ok(session)
}

/// The members of an answer that hands out credentials.
pub(super) fn answer(session: &Session, packed_percent: Option<usize>) -> Value {
    json!({
        "AssumedRoleUser": {"AssumedRoleId": session.user_id(), "Arn": session.arn()},
        "Credentials": {
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret.expose(),
            "SessionToken": session.token.expose(),
            "Expiration": session.expires_at.iso(),
        },
        "PackedPolicySize": packed_percent,
        "SourceIdentity": session.source_identity,
    })
}
