//! Temporary credentials.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::aws::arn::RoleArn;
use crate::aws::policy::{PolicyDocument, Principal};
use crate::clock::Timestamp;
use crate::secret::SecretText;

/// A session of an assumed role.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) access_key_id: String,
    pub(crate) secret: SecretText,
    pub(crate) token: SecretText,
    pub(crate) role: RoleArn,
    pub(crate) role_id: String,
    pub(crate) name: String,
    pub(crate) issued_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// Session policies: they only narrow.
    pub(crate) policies: Arc<Vec<PolicyDocument>>,
    pub(crate) tags: BTreeMap<String, String>,
    /// The tags that a session assumed from this one inherits.
    pub(crate) transitive: BTreeSet<String>,
    pub(crate) source_identity: Option<String>,
    /// Conditions that stay with a web-identity session: `{issuer}:sub` and the like.
    pub(crate) web_identity: BTreeMap<String, String>,
}

impl Session {
    pub(crate) fn principal(&self) -> Principal {
        Principal::AssumedRole {
            account: self.role.account.to_string(),
            role: self.role.name.clone(),
            session: self.name.clone(),
        }
    }

    /// `arn:aws:sts::{account}:assumed-role/{role}/{session}`.
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:sts::{}:assumed-role/{}/{}", self.role.account, self.role.name, self.name)
    }

    /// `{role id}:{session}`, the user id of an assumed role.
    pub(crate) fn user_id(&self) -> String {
        format!("{}:{}", self.role_id, self.name)
    }
}
