//! Workload identity pools and their OpenID Connect providers.

use std::collections::BTreeMap;

use jsonwebtoken::jwk::JwkSet;

use crate::gcp::cel::Expression;

/// A workload identity pool.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    pub(crate) disabled: bool,
    pub(crate) providers: BTreeMap<String, Provider>,
}

/// An OpenID Connect provider of a pool.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) disabled: bool,
    pub(crate) issuer: String,
    /// The audiences that tokens may be for; the provider's own name where it lists none.
    pub(crate) audiences: Vec<String>,
    pub(crate) keys: JwkSet,
    /// From `google.subject`, `google.groups` and `attribute.*` to what they are made of.
    pub(crate) mapping: BTreeMap<String, Expression>,
    pub(crate) condition: Option<Expression>,
}
