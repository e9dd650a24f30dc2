//! The token endpoint of OAuth 2.0, for the holders of service-account keys and for users, and Google's ID tokens.
//!
//! <https://developers.google.com/identity/protocols/oauth2/service-account>

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{LEEWAY, SELF_SIGNED_LIFETIME};
use super::call::Call;
use super::error::GcpError;
use super::iam::Principal;
use super::world::State;
use super::world::service_account::ServiceAccount;
use super::world::token::Token;
use crate::clock::Timestamp;
use crate::issuer::TokenAlgorithm;
use crate::jwt;
use crate::log::CallFacts;
use crate::secret::SecretText;
use crate::simulator::Shared;

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// What Google's clients name as the audience, whatever address they were told to ask.
const AUDIENCES: [&str; 3] = [
    "https://oauth2.googleapis.com/token",
    "https://www.googleapis.com/oauth2/v4/token",
    "https://accounts.google.com/o/oauth2/token",
];
const LIFETIME: Duration = Duration::from_secs(3600);

/// A user with a refresh token, as `gcloud auth application-default login` leaves it.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) client_id: String,
    pub(crate) client_secret: SecretText,
    pub(crate) refresh_token: SecretText,
}

/// The claims of an assertion.
#[derive(Clone, Debug, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    #[serde(default)]
    sub: Option<String>,
    #[serde(default)]
    scope: Option<String>,
    #[serde(default)]
    target_audience: Option<String>,
    iat: i64,
    exp: i64,
}

/// Adds who asks, as the assertion or the refresh token says.
pub(crate) fn add_facts(call: &Call, state: &State, facts: &mut CallFacts) {
    let asserted = call.text("assertion").and_then(jwt::claimed::<Claims>);
    if let Some(account) = asserted.and_then(|claims| state.find_service_account(&claims.iss)) {
        facts.principal = Some(account.email.to_string());
        facts.account = Some(account.email.project.to_string());
        facts.role = Some(account.email.to_string());
    } else if let Some((email, _)) = call.text("refresh_token").and_then(|token| holder(state, token)) {
        facts.principal = Some(email.to_owned());
    }
    facts.parameters.extend(call.text("grant_type").map(|grant| ("grant_type".to_owned(), grant.to_owned())));
}

/// Carries a call out.
pub(crate) fn execute(call: &Call, shared: &Shared) -> Result<Value, GcpError> {
    if call.operation == "Certs" {
        return shared.gcp.google().map(|issuer| issuer.jwks()).map_err(|_| GcpError::internal());
    }
    match call.text("grant_type") {
        Some(JWT_BEARER) => by_assertion(call, shared),
        Some("refresh_token") => by_refresh_token(call, shared),
        Some(other) => Err(GcpError::oauth("unsupported_grant_type", format!("Invalid grant_type: {other}"))),
        None => Err(GcpError::oauth("invalid_request", "Required parameter is missing: grant_type")),
    }
}

fn by_assertion(call: &Call, shared: &Shared) -> Result<Value, GcpError> {
    let grant = |description: &str| GcpError::oauth("invalid_grant", description);
    let assertion = call
        .text("assertion")
        .ok_or_else(|| GcpError::oauth("invalid_request", "Missing required parameter: assertion"))?;
    let claimed: Claims = jwt::claimed(assertion).ok_or_else(|| grant("Invalid JWT"))?;
    let mut state = shared.gcp.write();
    let account =
        state.find_service_account(&claimed.iss).ok_or_else(|| grant("Invalid grant: account not found"))?;
    let claims: Claims =
        jwt::signed(assertion, &account.jwks()).map_err(|_| grant("Invalid JWT Signature."))?;
    let now = shared.clock.now();
    if *account.disabled.at(now) {
        return Err(grant("Account disabled"));
    }
    check_times(&claims, shared.clock.wall())?;
    // Someone may stand between the client and this endpoint, so its own address is no audience that it knows.
    let own_path = claims.aud.ends_with("/token") && claims.aud.starts_with("http://127.0.0.1:");
    if !own_path && !AUDIENCES.contains(&claims.aud.as_str()) {
        return Err(grant(
            "Invalid JWT: Failed audience check. The right audience is https://oauth2.googleapis.com/token",
        ));
    }
    if claims.sub.as_ref().is_some_and(|subject| *subject != claims.iss) {
        return Err(GcpError::oauth(
            "unauthorized_client",
            "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the \
             scopes requested.",
        ));
    }
    if let Some(audience) = &claims.target_audience {
        return Ok(json!({"id_token": id_token(shared, account, audience, true)?}));
    }
    let scope = claims.scope.unwrap_or_default();
    if scope.is_empty() {
        return Err(GcpError::oauth("invalid_scope", "Invalid OAuth scope or ID token audience provided."));
    }
    let scopes = scope.split(' ').map(str::to_owned).collect();
    let principal = account.principal();
    let token = issue(&mut state, principal, scopes, now)?;
    Ok(json!({"access_token": token.expose(), "expires_in": LIFETIME.as_secs(), "token_type": "Bearer"}))
}

/// Compares with wall time: the client signs by a clock that nobody advances.
fn check_times(claims: &Claims, wall: Timestamp) -> Result<(), GcpError> {
    let short = claims.exp - claims.iat <= SELF_SIGNED_LIFETIME;
    let begun = Timestamp::from_unix_seconds(claims.iat) <= wall.plus(LEEWAY);
    let alive = Timestamp::from_unix_seconds(claims.exp).plus(LEEWAY) > wall;
    if short && begun && alive {
        return Ok(());
    }
    Err(GcpError::oauth(
        "invalid_grant",
        "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp \
         values in the JWT claim.",
    ))
}

fn by_refresh_token(call: &Call, shared: &Shared) -> Result<Value, GcpError> {
    let mut state = shared.gcp.write();
    let text = |name| call.text(name).unwrap_or_default();
    let (email, user) = holder(&state, text("refresh_token"))
        .ok_or_else(|| GcpError::oauth("invalid_grant", "Bad Request"))?;
    if user.client_id != text("client_id") || !user.client_secret.matches(text("client_secret")) {
        return Err(GcpError::oauth("invalid_client", "The provided client secret is invalid."));
    }
    let principal = Principal::User(email.to_owned());
    let scopes = vec!["https://www.googleapis.com/auth/cloud-platform".to_owned()];
    let token = issue(&mut state, principal, scopes.clone(), shared.clock.now())?;
    Ok(json!({
        "access_token": token.expose(),
        "expires_in": LIFETIME.as_secs(),
        "scope": scopes.join(" "),
        "token_type": "Bearer",
    }))
}

fn holder<'s>(state: &'s State, refresh_token: &str) -> Option<(&'s str, &'s User)> {
    let mut users = state.users.iter();
    users
        .find(|(_, user)| user.refresh_token.matches(refresh_token))
        .map(|(email, user)| (email.as_str(), user))
}

fn issue(
    state: &mut State,
    principal: Principal,
    scopes: Vec<String>,
    now: Timestamp,
) -> Result<SecretText, GcpError> {
    let token = Token { principal, scopes, expires_at: now.plus(LIFETIME) };
    state.tokens.issue(token, now).map_err(|_| GcpError::internal())
}

/// An ID token of a service account, signed by Google.
pub(crate) fn id_token(
    shared: &Shared,
    account: &ServiceAccount,
    audience: &str,
    with_email: bool,
) -> Result<String, GcpError> {
    let now = shared.clock.now().unix_seconds();
    let mut claims = BTreeMap::from([
        ("aud".to_owned(), json!(audience)),
        ("azp".to_owned(), json!(account.unique_id)),
        ("sub".to_owned(), json!(account.unique_id)),
        ("iat".to_owned(), json!(now)),
        ("exp".to_owned(), json!(now + 3600)),
    ]);
    if with_email {
        claims.insert("email".to_owned(), json!(account.email.to_string()));
        claims.insert("email_verified".to_owned(), json!(true));
    }
    let issuer = shared.gcp.google().map_err(|_| GcpError::internal())?;
    issuer.mint(TokenAlgorithm::RS256, &claims).map_err(|_| GcpError::internal())
}
