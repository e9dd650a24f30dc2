//! Edits that can be undone, their propagation, and the identities that the platform's machines hold.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::AwsControl;
use crate::aws::arn::{AccountId, RoleArn};
use crate::aws::edits::{self, Edit, EditId, EditStatus};
use crate::aws::world::Propagation;
use crate::aws::world::identity::OidcProvider;
use crate::control::model::OidcProviderSpec;
use crate::error::SimError;
use crate::issuer::{TestIssuer, TokenAlgorithm};

impl AwsControl {
    /// Makes an edit that can be undone.
    ///
    /// # Errors
    /// When what it edits does not exist.
    pub fn edit(&self, edit: Edit) -> Result<EditId, SimError> {
        let (id, event) = edits::make(&mut self.shared.aws.write(), edit, self.shared.clock.now())?;
        self.record(event);
        Ok(id)
    }

    /// Undoes an edit.
    ///
    /// # Errors
    /// When it was undone already, or the policy it was laid over was replaced.
    pub fn undo(&self, id: EditId) -> Result<(), SimError> {
        let event = edits::undo(&mut self.shared.aws.write(), id, self.shared.clock.now())?;
        self.record(event);
        Ok(())
    }

    /// The edits that can be undone.
    pub fn edits(&self) -> Vec<EditStatus> {
        edits::list(&self.shared.aws.read())
    }

    /// How long edits take to take effect.
    pub fn propagation(&self) -> Propagation {
        self.shared.aws.read().propagation
    }

    /// Sets how long later edits take to take effect.
    pub fn set_propagation(&self, propagation: Propagation) {
        self.shared.aws.write().propagation = propagation;
    }

    /// Sets the role of the platform's instance, which the metadata service hands out.
    pub fn set_instance_role(&self, role: Option<RoleArn>) {
        self.shared.aws.write().ambient.instance_role = role;
    }

    /// Sets the role of the platform's container, and its session tags, which are transitive.
    pub fn set_container_role(&self, role: Option<RoleArn>, tags: BTreeMap<String, String>) {
        let mut state = self.shared.aws.write();
        state.ambient.container_role = role;
        state.ambient.container_tags = tags;
    }

    /// Registers an OpenID Connect provider in an account.
    ///
    /// # Errors
    /// When the account does not exist, the issuer is no `https` URL, or the key set is malformed or missing.
    pub fn put_oidc_provider(&self, account: &AccountId, spec: OidcProviderSpec) -> Result<(), SimError> {
        let invalid = |reason: &str| SimError::invalid("oidc provider", reason);
        let name =
            spec.issuer.strip_prefix("https://").ok_or_else(|| invalid("the issuer is no https URL"))?;
        let mut state = self.shared.aws.write();
        let keys = match spec.jwks {
            Some(jwks) => jwks,
            None => state
                .issuers
                .get(&spec.issuer)
                .map(TestIssuer::jwks)
                .ok_or_else(|| invalid("no key set is given"))?,
        };
        let keys = serde_json::from_value(keys).map_err(|_| invalid("the key set is malformed"))?;
        let provider = OidcProvider { audiences: spec.audiences, keys };
        state.account_mut(account)?.oidc_providers.insert(name.to_owned(), provider);
        Ok(())
    }

    /// Makes a test issuer, if there is none of that URL, and gives its public keys.
    ///
    /// # Errors
    /// When its keys cannot be made.
    pub fn put_test_issuer(&self, issuer: &str) -> Result<Value, SimError> {
        if let Some(known) = self.shared.aws.read().issuers.get(issuer) {
            return Ok(known.jwks());
        }
        // RSA keys take a while to make, so none is made under the lock.
        let made = TestIssuer::new(issuer)?;
        Ok(self.shared.aws.write().issuers.entry(issuer.to_owned()).or_insert(made).jwks())
    }

    /// Has a test issuer sign a token. `iat` is now and `exp` in an hour, in simulated time, unless the claims say else.
    ///
    /// # Errors
    /// When there is no such issuer.
    pub fn mint_token(
        &self,
        issuer: &str,
        algorithm: TokenAlgorithm,
        mut claims: BTreeMap<String, Value>,
    ) -> Result<String, SimError> {
        let now = self.shared.clock.now().unix_seconds();
        claims.entry("iat".to_owned()).or_insert(json!(now));
        claims.entry("exp".to_owned()).or_insert(json!(now + 3600));
        let state = self.shared.aws.read();
        state
            .issuers
            .get(issuer)
            .ok_or_else(|| SimError::not_found("issuer", issuer))?
            .mint(algorithm, &claims)
    }
}
