//! The client credentials grant.
//!
//! <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow>

use std::time::Duration;

use serde_json::{Value, json};

use super::signer::Signer;
use super::{EntraCall, assertion, discovery, refusals};
use crate::azure::error::AzureError;
use crate::azure::ids::{AppId, ObjectId};
use crate::azure::world::State;
use crate::azure::world::app::App;
use crate::azure::world::directory::{Directory, Principal};
use crate::clock::Timestamp;
use crate::error::SimError;
use crate::log::CallFacts;
use crate::secret::SecretText;
use crate::simulator::Shared;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// A claim of the simulator's own: the epoch that a token was issued in, which the control interface can end.
pub(crate) const EPOCH_CLAIM: &str = "cloudsim_epoch";

/// What a call proves itself with, for the log.
pub(super) fn credential_kind(call: &EntraCall) -> &'static str {
    match (call.text("client_secret"), call.text("client_assertion")) {
        (_, Some(_)) => "client_assertion",
        (Some(_), None) => "client_secret",
        (None, None) => "none",
    }
}

/// Issues a token to an application.
pub(super) fn token(call: &EntraCall, shared: &Shared, facts: &mut CallFacts) -> Result<Value, AzureError> {
    let grant = call.text("grant_type").ok_or_else(|| refusals::missing("grant_type"))?;
    if grant != "client_credentials" {
        return Err(refusals::unsupported_grant(grant));
    }
    let client = call.text("client_id").ok_or_else(|| refusals::missing("client_id"))?;
    let scope = call.text("scope").ok_or_else(|| refusals::missing("scope"))?;
    let now = shared.clock.now();
    let state = shared.azure.read();
    let directory = discovery::directory(call, &state)?;
    let (app, principal) = find(client, directory, &state, now)?;
    if !*app.enabled.at(now) || !*principal.enabled.at(now) {
        return Err(refusals::disabled(&app.id, &app.name));
    }
    prove(call, app, directory, &state, shared, facts)?;
    if *principal.blocked.at(now) {
        return Err(refusals::blocked());
    }
    let resource = scope
        .strip_suffix("/.default")
        .filter(|resource| !resource.contains(' '))
        .ok_or_else(|| refusals::invalid_scope(scope))?;
    let known = directory.cloud.resources();
    if !known.iter().any(|known| known == resource.trim_end_matches('/')) {
        return Err(refusals::resource_not_found(resource, directory));
    }
    let secret = call.text("client_assertion").is_none();
    let issued = Issue {
        directory,
        app: &app.id,
        object_id: &principal.object_id,
        resource,
        method: if secret { "1" } else { "2" },
        lifetime: Duration::from_secs(state.token_seconds.into()),
    };
    let token = issued.version_1(state.token_epoch, now).map_err(|_| AzureError::internal())?;
    shared.issued.note(SecretText::new(token.clone()));
    Ok(json!({
        "token_type": "Bearer",
        "expires_in": state.token_seconds,
        "ext_expires_in": state.token_seconds,
        "access_token": token,
    }))
}

/// The application and the principal that lets it into this directory.
fn find<'a>(
    client: &str,
    directory: &'a Directory,
    state: &'a State,
    now: Timestamp,
) -> Result<(&'a App, &'a Principal), AzureError> {
    let missing = || refusals::app_not_found(client, directory);
    let id: AppId = client.parse().map_err(|_| missing())?;
    let app = state.apps.get(&id).ok_or_else(missing)?;
    let at_home = app.home == directory.id;
    if !at_home && !app.multi_tenant {
        return Err(missing().because("the application is single-tenant"));
    }
    let principal = directory.principal(&id, now).ok_or_else(|| {
        if at_home { refusals::missing_principal(&id, directory) } else { missing().because("no consent") }
    })?;
    Ok((app, principal))
}

/// Checks what the application proves itself with.
fn prove(
    call: &EntraCall,
    app: &App,
    directory: &Directory,
    state: &State,
    shared: &Shared,
    facts: &mut CallFacts,
) -> Result<(), AzureError> {
    if let Some(presented) = call.text("client_assertion") {
        if call.text("client_assertion_type") != Some(JWT_BEARER) {
            return Err(refusals::malformed_assertion("its type is not jwt-bearer"));
        }
        return assertion::check(presented, call, app, directory, state, shared, facts);
    }
    let secret = call.text("client_secret").ok_or_else(refusals::no_credential)?;
    let now = shared.clock.now();
    let mut matching = app.secrets.iter().filter(|known| known.value.matches(secret)).peekable();
    if matching.peek().is_none() {
        return Err(refusals::wrong_secret(&app.id));
    }
    if matching.any(|known| *known.expires.at(now) > now) {
        Ok(())
    } else {
        Err(refusals::expired_secret(&app.id))
    }
}

/// A token to issue.
#[derive(Debug)]
pub(crate) struct Issue<'a> {
    pub(crate) directory: &'a Directory,
    pub(crate) app: &'a AppId,
    pub(crate) object_id: &'a ObjectId,
    /// Its audience.
    pub(crate) resource: &'a str,
    /// `appidacr`: 1 for a secret, 2 for an assertion or a managed identity.
    pub(crate) method: &'static str,
    pub(crate) lifetime: Duration,
}

impl Issue<'_> {
    /// A token as Azure's own resources get them.
    pub(crate) fn version_1(&self, epoch: u64, now: Timestamp) -> Result<String, SimError> {
        let issuer = self.directory.issuer_v1();
        let mut claims = self.claims(&issuer, self.resource, epoch, now);
        claims["appid"] = json!(self.app);
        claims["appidacr"] = json!(self.method);
        claims["idp"] = json!(issuer);
        claims["ver"] = json!("1.0");
        Signer::shared()?.sign(&claims)
    }

    /// A token as another application trusts it in place of a secret.
    pub(crate) fn version_2(&self, audience: &str, epoch: u64, now: Timestamp) -> Result<String, SimError> {
        let mut claims = self.claims(&self.directory.issuer_v2(), audience, epoch, now);
        claims["azp"] = json!(self.app);
        claims["azpacr"] = json!(self.method);
        claims["ver"] = json!("2.0");
        Signer::shared()?.sign(&claims)
    }

    fn claims(&self, issuer: &str, audience: &str, epoch: u64, now: Timestamp) -> Value {
        let seconds = now.unix_seconds();
        json!({
            "aud": audience,
            "iss": issuer,
            "iat": seconds,
            "nbf": seconds,
            "exp": now.plus(self.lifetime).unix_seconds(),
            "idtyp": "app",
            "oid": self.object_id,
            "sub": self.object_id,
            "tid": self.directory.id,
            "uti": uuid::Uuid::new_v4().simple().to_string(),
            EPOCH_CLAIM: epoch,
        })
    }
}
