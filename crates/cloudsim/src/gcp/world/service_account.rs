//! Service accounts and their keys.

use std::collections::BTreeMap;

use jsonwebtoken::jwk::{Jwk, JwkSet};

use super::RemoveMember;
use super::layered::{Layer, Layered};
use crate::error::SimError;
use crate::gcp::iam::{AllowPolicy, Principal};
use crate::gcp::name::ServiceAccountEmail;
use crate::secret::fill_random;

/// The longest life of an access token, unless an organisation policy extends it to [`EXTENDED_LIFETIME`].
pub(crate) const USUAL_LIFETIME: u32 = 3600;
/// <https://cloud.google.com/iam/docs/create-short-lived-credentials-direct#sa-credentials-oauth>
pub(crate) const EXTENDED_LIFETIME: u32 = 43_200;

/// A service account.
#[derive(Debug)]
pub(crate) struct ServiceAccount {
    pub(crate) email: ServiceAccountEmail,
    /// Twenty-one digits, and never another account's, not even one of the same email later.
    pub(crate) unique_id: String,
    pub(crate) policy: Layered<AllowPolicy, RemoveMember>,
    pub(crate) disabled: Layered<bool, Disable>,
    /// Public keys by key id. Private keys are with those who hold the key files.
    pub(crate) keys: BTreeMap<String, Jwk>,
    pub(crate) max_lifetime: u32,
}

/// An edit that disables a service account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disable;

impl Layer<bool> for Disable {
    fn apply(&self, disabled: &mut bool) {
        *disabled = true;
    }
}

impl ServiceAccount {
    pub(crate) fn new(email: ServiceAccountEmail) -> Result<Self, SimError> {
        Ok(Self {
            email,
            unique_id: unique_id()?,
            policy: Layered::new(AllowPolicy::default()),
            disabled: Layered::new(false),
            keys: BTreeMap::new(),
            max_lifetime: USUAL_LIFETIME,
        })
    }

    pub(crate) fn principal(&self) -> Principal {
        Principal::ServiceAccount { email: self.email.clone(), unique_id: self.unique_id.clone() }
    }

    pub(crate) fn jwks(&self) -> JwkSet {
        JwkSet { keys: self.keys.values().cloned().collect() }
    }
}

/// Twenty-one digits that begin with a one, as Google's do.
fn unique_id() -> Result<String, SimError> {
    let mut bytes = [0; 16];
    fill_random(&mut bytes)?;
    let digits = u128::from_be_bytes(bytes) % 10_u128.pow(20);
    Ok(format!("1{digits:020}"))
}
