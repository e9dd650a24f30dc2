//! Workload identity pools, their providers, and test issuers for them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{GcpControl, ProviderSpec};
use crate::error::SimError;
use crate::gcp::cel::Expression;
use crate::gcp::name::{PoolName, ProjectId, ProviderName};
use crate::gcp::world::State;
use crate::gcp::world::pool::{Pool, Provider};
use crate::issuer::{TestIssuer, TokenAlgorithm};

impl GcpControl {
    /// Makes a pool if it does not exist, and gives its name.
    ///
    /// # Errors
    /// When the project does not exist or the id is malformed.
    pub fn put_pool(&self, project: &ProjectId, id: &str) -> Result<PoolName, SimError> {
        let mut state = self.shared.gcp.write();
        let project = state.project_mut(project)?;
        let name = PoolName { project_number: project.number, id: id.to_owned() };
        let name: PoolName = name.to_string().parse()?;
        project.pools.entry(id.to_owned()).or_insert_with(Pool::default);
        Ok(name)
    }

    /// Disables or enables a pool, and with it the tokens that were issued for it.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn set_pool_disabled(&self, name: &PoolName, disabled: bool) -> Result<(), SimError> {
        pool_mut(&mut self.shared.gcp.write(), name)?.disabled = disabled;
        Ok(())
    }

    /// Makes or replaces a provider of a pool.
    ///
    /// # Errors
    /// When the pool does not exist, the mapping or condition cannot be evaluated, or the key set is malformed or missing.
    pub fn put_provider(&self, name: &ProviderName, spec: ProviderSpec) -> Result<(), SimError> {
        let invalid = |reason: &str| SimError::invalid("workload identity provider", reason);
        if !spec.attribute_mapping.contains_key("google.subject") {
            return Err(invalid("nothing is mapped to google.subject"));
        }
        let known = |target: &String| {
            matches!(target.as_str(), "google.subject" | "google.groups") || target.starts_with("attribute.")
        };
        if !spec.attribute_mapping.keys().all(known) {
            return Err(invalid(
                "something is mapped to what is neither google.subject, google.groups nor attribute.…",
            ));
        }
        let mapping = spec.attribute_mapping.iter().map(|(target, expression)| {
            Expression::parse(expression, &["assertion"]).map(|expression| (target.clone(), expression))
        });
        let mapping = mapping.collect::<Result<BTreeMap<_, _>, _>>()?;
        let condition = spec
            .attribute_condition
            .map(|text| Expression::parse(&text, &["assertion", "google", "attribute"]))
            .transpose()?;
        let mut state = self.shared.gcp.write();
        let keys = match spec.jwks {
            Some(jwks) => jwks,
            None => state
                .issuers
                .get(&spec.issuer)
                .map(TestIssuer::jwks)
                .ok_or_else(|| invalid("no key set is given"))?,
        };
        let provider = Provider {
            disabled: spec.disabled,
            issuer: spec.issuer,
            audiences: spec.allowed_audiences,
            keys: serde_json::from_value(keys).map_err(|_| invalid("the key set is malformed"))?,
            mapping,
            condition,
        };
        pool_mut(&mut state, &name.pool)?.providers.insert(name.id.clone(), provider);
        Ok(())
    }

    /// Deletes a provider. Tokens that it issued go on working, as the real ones do.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn delete_provider(&self, name: &ProviderName) -> Result<(), SimError> {
        let removed = pool_mut(&mut self.shared.gcp.write(), &name.pool)?.providers.remove(&name.id);
        removed.map(drop).ok_or_else(|| SimError::not_found("provider", name.to_string()))
    }

    /// Makes a test issuer, if there is none of that URL, and gives its public keys.
    ///
    /// # Errors
    /// When its keys cannot be made.
    pub fn put_test_issuer(&self, issuer: &str) -> Result<Value, SimError> {
        if let Some(known) = self.shared.gcp.read().issuers.get(issuer) {
            return Ok(known.jwks());
        }
        // RSA keys take a while to make, so none is made under the lock.
        let made = TestIssuer::new(issuer)?;
        Ok(self.shared.gcp.write().issuers.entry(issuer.to_owned()).or_insert(made).jwks())
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
        let state = self.shared.gcp.read();
        let issuer = state.issuers.get(issuer).ok_or_else(|| SimError::not_found("issuer", issuer))?;
        issuer.mint(algorithm, &claims)
    }
}

fn pool_mut<'s>(state: &'s mut State, name: &PoolName) -> Result<&'s mut Pool, SimError> {
    state
        .projects
        .values_mut()
        .find(|project| project.number == name.project_number)
        .and_then(|project| project.pools.get_mut(&name.id))
        .ok_or_else(|| SimError::not_found("pool", name.to_string()))
}
