//! IAM users, roles and OpenID Connect providers.

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonwebtoken::jwk::JwkSet;

use super::policies::EditablePolicies;
use crate::aws::policy::PolicyDocument;
use crate::propagated::Propagated;
use crate::secret::SecretText;

/// A user with static access keys.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) user_id: String,
    pub(crate) policies: EditablePolicies,
    pub(crate) boundary: Propagated<Option<Arc<PolicyDocument>>>,
    pub(crate) tags: BTreeMap<String, String>,
    /// By access key id.
    pub(crate) access_keys: BTreeMap<String, AccessKey>,
}

/// A static access key.
#[derive(Debug)]
pub(crate) struct AccessKey {
    pub(crate) secret: SecretText,
    pub(crate) active: bool,
}

/// A role.
#[derive(Debug)]
pub(crate) struct Role {
    /// `AROA…`: a deleted and recreated role is another role, and sessions of the first are worthless.
    pub(crate) role_id: String,
    pub(crate) trust: EditablePolicies,
    pub(crate) policies: EditablePolicies,
    pub(crate) boundary: Propagated<Option<Arc<PolicyDocument>>>,
    /// Seconds, 3600 to 43200.
    pub(crate) max_session_seconds: u32,
    pub(crate) tags: BTreeMap<String, String>,
}

/// An OpenID Connect provider that an account trusts.
#[derive(Debug)]
pub(crate) struct OidcProvider {
    /// Audiences (client ids) that the account accepts.
    pub(crate) audiences: Vec<String>,
    pub(crate) keys: JwkSet,
}
