//! The managed identities of the platform's machines: the instance metadata service of a virtual machine, and the
//! endpoint that App Service and Container Apps give theirs.
//!
//! <https://learn.microsoft.com/en-us/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>
//! <https://learn.microsoft.com/en-us/azure/app-service/overview-managed-identity#rest-endpoint-reference>

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::answer::{self, Dialect};
use super::clouds::Cloud;
use super::entra::assertion::TOKEN_EXCHANGE_APP;
use super::entra::refusals;
use super::entra::token::Issue;
use super::error::AzureError;
use super::ids::AppId;
use super::world::State;
use crate::clock::Timestamp;
use crate::log::CallFacts;
use crate::secret::SecretText;
use crate::server::{Handler, Outcome};
use crate::simulator::Shared;

/// Where the metadata service gives tokens.
const INSTANCE_PATH: &str = "/metadata/identity/oauth2/token";
/// Where `IDENTITY_ENDPOINT` points.
pub(crate) const APP_SERVICE_PATH: &str = "/msi/token";
/// The platform caches a managed identity's tokens for about as long as they live, a day.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// A cached token with less than this left is replaced.
const MARGIN: Duration = Duration::from_secs(3600);

/// A token that the platform has cached.
pub(crate) struct IdentityToken {
    token: SecretText,
    issued: Timestamp,
    expires: Timestamp,
    epoch: u64,
}

impl std::fmt::Debug for IdentityToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("IdentityToken").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// Serves the tokens of one machine.
pub(crate) struct Identity {
    pub(crate) shared: Arc<Shared>,
    /// What `IDENTITY_HEADER` holds.
    pub(crate) header: SecretText,
}

impl Handler for Identity {
    fn handle(self: Arc<Self>, request: Request<Bytes>) -> BoxFuture<'static, Outcome> {
        async move {
            let query = request.uri().query().unwrap_or_default();
            let query: BTreeMap<String, String> =
                form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let facts = self.facts(&query);
            let execute = |facts: &mut CallFacts| self.answer(&request, &query, facts);
            answer::serve(&self.shared, Dialect::Identity, facts, execute).await
        }
        .boxed()
    }
}

fn invalid(message: &str) -> AzureError {
    AzureError::new(StatusCode::BAD_REQUEST, "invalid_request", message)
}

impl Identity {
    fn facts(&self, query: &BTreeMap<String, String>) -> CallFacts {
        let state = self.shared.azure.read();
        let identity = named(query, &state);
        let home = identity.as_ref().and_then(|id| state.identities.get(id));
        let resource = query.get("resource").map(|resource| ("resource".to_owned(), resource.clone()));
        CallFacts {
            operation: "Token".to_owned(),
            account: home.map(|identity| identity.directory.to_string()),
            role: identity.as_ref().map(AppId::to_string),
            principal: identity.as_ref().map(AppId::to_string),
            parameters: resource.into_iter().collect(),
            ..CallFacts::default()
        }
    }

    fn answer(
        &self,
        request: &Request<Bytes>,
        query: &BTreeMap<String, String>,
        _: &mut CallFacts,
    ) -> Result<Value, AzureError> {
        if request.method() != Method::GET {
            return Err(AzureError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "invalid_request",
                "Method not allowed",
            ));
        }
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        match request.uri().path() {
            INSTANCE_PATH => {
                // Neither a forged nor a forwarded request carries this header alone.
                if !header("metadata").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
                    return Err(invalid("Required metadata header not specified"));
                }
                if request.headers().contains_key("x-forwarded-for") {
                    return Err(invalid("X-Forwarded-For header is not allowed"));
                }
            }
            APP_SERVICE_PATH => {
                if !header("x-identity-header").is_some_and(|value| self.header.matches(value)) {
                    let message = "the X-IDENTITY-HEADER does not fit";
                    return Err(AzureError::new(StatusCode::UNAUTHORIZED, "unauthorized", message));
                }
            }
            _ => return Err(AzureError::new(StatusCode::NOT_FOUND, "not_found", "Not found")),
        }
        if query.get("api-version").is_none_or(String::is_empty) {
            return Err(invalid("Required query variable 'api-version' is missing"));
        }
        let resource = query.get("resource").filter(|resource| !resource.is_empty());
        self.token(query, resource.ok_or_else(|| invalid("Required query variable 'resource' is missing"))?)
    }

    fn token(&self, query: &BTreeMap<String, String>, resource: &str) -> Result<Value, AzureError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.azure.write();
        let id = named(query, &state)
            .filter(|id| state.identities.contains_key(id))
            .ok_or_else(|| invalid("Identity not found"))?;
        let place = (id.clone(), resource.to_owned());
        let epoch = state.token_epoch;
        let fresh = |token: &IdentityToken| token.epoch == epoch && token.expires.since(now) > MARGIN;
        if !state.identity_tokens.get(&place).is_some_and(fresh) {
            let issued = issue(&state, &id, resource, now)?;
            state.identity_tokens.insert(place.clone(), issued);
        }
        let token = state.identity_tokens.get(&place).ok_or_else(AzureError::internal)?;
        Ok(json!({
            "access_token": token.token.expose(),
            "client_id": id,
            "expires_in": token.expires.since(now).as_secs().to_string(),
            "expires_on": token.expires.unix_seconds().to_string(),
            "ext_expires_in": token.expires.since(now).as_secs().to_string(),
            "not_before": token.issued.unix_seconds().to_string(),
            "resource": resource,
            "token_type": "Bearer",
        }))
    }
}

/// The identity that is asked for: the machine's default one when none is named.
fn named(query: &BTreeMap<String, String>, state: &State) -> Option<AppId> {
    if let Some(id) = query.get("client_id") {
        return id.parse().ok();
    }
    if let Some(id) = query.get("object_id").or_else(|| query.get("principal_id")) {
        let has_it = |id: &str, app: &AppId| {
            let identity = state.identities.get(app)?;
            let principal = state.directories.get(&identity.directory)?.principals.get(app)?;
            Some(principal.object_id.as_str().eq_ignore_ascii_case(id))
        };
        return state.identities.keys().find(|app| has_it(id, app) == Some(true)).cloned();
    }
    state.default_identity.clone()
}

fn issue(state: &State, id: &AppId, resource: &str, now: Timestamp) -> Result<IdentityToken, AzureError> {
    let directory = state.identities.get(id).and_then(|identity| state.directories.get(&identity.directory));
    let directory = directory.ok_or_else(|| invalid("Identity not found"))?;
    let principal = directory.principal(id, now).filter(|principal| *principal.enabled.at(now));
    let principal = principal.ok_or_else(|| invalid("Identity not found").denied())?;
    let new = Issue {
        directory,
        app: id,
        object_id: &principal.object_id,
        resource,
        method: "2",
        lifetime: LIFETIME,
    };
    let exchange = directory.cloud.token_exchange();
    let token = if resource == exchange || resource == TOKEN_EXCHANGE_APP {
        // In the public cloud the token names the application, as version 2 tokens do.
        let audience = if directory.cloud == Cloud::Public { TOKEN_EXCHANGE_APP } else { exchange };
        new.version_2(audience, state.token_epoch, now)
    } else if directory.cloud.resources().iter().any(|known| known == resource.trim_end_matches('/')) {
        new.version_1(state.token_epoch, now)
    } else {
        let refusal = refusals::resource_not_found(resource, directory);
        let message = format!("{}: {}", refusal.code, refusal.message);
        return Err(AzureError::new(StatusCode::BAD_REQUEST, "invalid_resource", message));
    };
    Ok(IdentityToken {
        token: SecretText::new(token.map_err(|_| AzureError::internal())?),
        issued: now,
        expires: now.plus(LIFETIME),
        epoch: state.token_epoch,
    })
}
