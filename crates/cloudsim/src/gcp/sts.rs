//! The Security Token Service: workload identity federation with OpenID Connect.
//!
//! <https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token>

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::call::Call;
use super::cel::{self, Variables};
use super::error::GcpError;
use super::iam::Principal;
use super::iam::principal::Federated;
use super::name::ProviderName;
use super::world::State;
use super::world::pool::Provider;
use super::world::token::Token;
use crate::clock::Timestamp;
use crate::jwt;
use crate::log::CallFacts;
use crate::simulator::Shared;

const IAM: &str = "//iam.googleapis.com/";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const OIDC_TOKENS: [&str; 2] =
    ["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"];
const LIFETIME: Duration = Duration::from_secs(3600);
/// No subject token may be older than this, or live longer.
const MAX_AGE: f64 = 24.0 * 3600.0;
/// How far an issuer's clock may differ.
const LEEWAY: f64 = 60.0;
/// The longest subject in bytes.
const MAX_SUBJECT: usize = 127;

/// Adds the provider, and who the subject token claims to be.
pub(crate) fn add_facts(call: &Call, state: &State, facts: &mut CallFacts) {
    let Some(audience) = call.text("audience") else { return };
    facts.parameters.insert("audience".to_owned(), audience.to_owned());
    let Some(name) = audience.strip_prefix(IAM).and_then(|name| name.parse::<ProviderName>().ok()) else {
        return;
    };
    let number = name.pool.project_number;
    let project = state.projects.iter().find(|(_, project)| project.number == number);
    facts.account = project.map(|(id, _)| id.to_string());
    let claimed = call.either("subject_token", "subjectToken").and_then(jwt::claimed::<Value>);
    let subject = claimed.and_then(|claims| claims.get("sub")?.as_str().map(str::to_owned));
    facts.parameters.extend(subject.map(|subject| ("subject".to_owned(), subject)));
}

/// Exchanges a token.
pub(crate) fn execute(call: &Call, shared: &Shared, facts: &mut CallFacts) -> Result<Value, GcpError> {
    let name = requested_provider(call)?;
    let scopes = call.text("scope").filter(|scope| !scope.is_empty());
    let scopes = scopes.ok_or_else(|| invalid_request("Missing required field: scope"))?;
    let token = call.either("subject_token", "subjectToken").filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| invalid_request("Missing required field: subjectToken"))?;
    let now = shared.clock.now();
    let mut state = shared.gcp.write();
    let pool = state.pool(&name.pool).filter(|pool| !pool.disabled).ok_or_else(invalid_target)?;
    let provider = pool.providers.get(&name.id).filter(|provider| !provider.disabled);
    let provider = provider.ok_or_else(invalid_target)?;
    let claims = verify(token, provider, &name, now)?;
    let principal = Principal::Federated(federated(provider, &name, &claims)?);
    facts.principal = Some(principal.to_string());
    let scopes = scopes.split(' ').map(str::to_owned).collect();
    let token = Token { principal, scopes, expires_at: now.plus(LIFETIME) };
    let issued = state.tokens.issue(token, now).map_err(|_| GcpError::internal())?;
    Ok(json!({
        "access_token": issued.expose(),
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": LIFETIME.as_secs(),
    }))
}

fn requested_provider(call: &Call) -> Result<ProviderName, GcpError> {
    match call.either("grant_type", "grantType") {
        Some(TOKEN_EXCHANGE) => {}
        Some(_) => return Err(GcpError::oauth("unsupported_grant_type", "Invalid value for \"grantType\".")),
        None => return Err(invalid_request("Missing required field: grantType")),
    }
    if call.either("requested_token_type", "requestedTokenType") != Some(ACCESS_TOKEN) {
        return Err(invalid_request("Invalid value for \"requestedTokenType\"."));
    }
    let kind = call.either("subject_token_type", "subjectTokenType").unwrap_or_default();
    if !OIDC_TOKENS.contains(&kind) {
        return Err(invalid_request("Invalid value for \"subjectTokenType\"."));
    }
    let audience = call.text("audience").and_then(|audience| audience.strip_prefix(IAM)?.parse().ok());
    audience.ok_or_else(|| {
        invalid_request(
            "Invalid value for \"audience\". This value should be the full resource name of the Identity Provider. See \
             https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token for the list of possible formats.",
        )
    })
}

/// The claims of a token that the provider's issuer signed for this provider, and that is alive.
fn verify(token: &str, provider: &Provider, name: &ProviderName, now: Timestamp) -> Result<Value, GcpError> {
    let claimed: Value = jwt::claimed(token).ok_or_else(|| invalid_grant("Unable to parse the ID Token."))?;
    let issuer = claimed["iss"].as_str().unwrap_or_default();
    if issuer != provider.issuer {
        return Err(invalid_grant(format!(
            "The issuer in ID Token {issuer} does not match the expected ones: {}",
            provider.issuer
        )));
    }
    let claims: Value = jwt::signed(token, &provider.keys)
        .map_err(|_| invalid_grant("Unable to verify the signature of the ID Token."))?;
    let seconds = now.unix_millis() as f64 / 1000.0;
    let number = |name: &str| claims[name].as_f64();
    let (Some(issued), Some(expires)) = (number("iat"), number("exp")) else {
        return Err(invalid_grant("The ID Token lacks the claims iat and exp."));
    };
    if expires + LEEWAY <= seconds || issued + MAX_AGE < seconds || expires - issued > MAX_AGE {
        return Err(invalid_grant(format!("ID Token issued at {issued} is stale to sign-in.")));
    }
    if issued > seconds + LEEWAY || number("nbf").is_some_and(|from| from > seconds + LEEWAY) {
        return Err(invalid_grant("The ID Token is not valid yet."));
    }
    let own = [format!("{IAM}{name}"), format!("https:{IAM}{name}")];
    let expected = if provider.audiences.is_empty() { &own[..] } else { &provider.audiences[..] };
    let audiences = match &claims["aud"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !audiences.iter().any(|audience| expected.iter().any(|known| known == audience)) {
        let audiences = audiences.join(", ");
        return Err(invalid_grant(format!(
            "The audience in ID Token [{audiences}] does not match the expected audience."
        )));
    }
    Ok(claims)
}

/// Maps the claims to an identity of the pool, and asks the provider's condition.
fn federated(provider: &Provider, name: &ProviderName, claims: &Value) -> Result<Federated, GcpError> {
    let assertion = Variables::from([("assertion".to_owned(), claims.into())]);
    let mut subject = None;
    let mut groups = Vec::new();
    let mut attributes = BTreeMap::new();
    for (target, expression) in &provider.mapping {
        let value = expression.value(&assertion);
        match (target.as_str(), value) {
            ("google.subject", Some(cel::Value::Text(text))) => subject = Some(text),
            ("google.groups", Some(cel::Value::List(list))) => {
                groups.extend(list.into_iter().filter_map(text))
            }
            (_, Some(cel::Value::Text(text))) if target.starts_with("attribute.") => {
                attributes.insert(target.trim_start_matches("attribute.").to_owned(), text);
            }
            // A claim that the token lacks maps to nothing.
            (_, None) => {}
            _ => {
                return Err(invalid_grant(format!("The mapped attribute '{target}' is of another type.")));
            }
        }
    }
    let subject = subject.filter(|subject| !subject.is_empty() && subject.len() <= MAX_SUBJECT);
    let subject = subject.ok_or_else(|| {
        invalid_grant(
            "The size of mapped attribute google.subject exceeds the 127 bytes limit, or it is missing.",
        )
    })?;
    let identity = Federated { pool: name.pool.clone(), subject, groups, attributes };
    let allowed =
        provider.condition.as_ref().is_none_or(|condition| condition.holds(&variables(&identity, claims)));
    if allowed {
        Ok(identity)
    } else {
        let message = "The given credential is rejected by the attribute condition.";
        Err(GcpError::oauth("unauthorized_client", message))
    }
}

fn variables(identity: &Federated, claims: &Value) -> Variables {
    let groups = identity.groups.iter().map(|group| group.as_str().into()).collect();
    let google = cel::Value::map([
        ("subject", identity.subject.as_str().into()),
        ("groups", cel::Value::List(groups)),
    ]);
    let attributes = identity.attributes.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
    Variables::from([
        ("assertion".to_owned(), claims.into()),
        ("google".to_owned(), google),
        ("attribute".to_owned(), cel::Value::Map(attributes.collect())),
    ])
}

fn text(value: cel::Value) -> Option<String> {
    match value {
        cel::Value::Text(text) => Some(text),
        _ => None,
    }
}

fn invalid_request(description: &str) -> GcpError {
    GcpError::oauth("invalid_request", description)
}

fn invalid_grant(description: impl Into<String>) -> GcpError {
    GcpError::oauth("invalid_grant", description)
}

fn invalid_target() -> GcpError {
    GcpError::oauth(
        "invalid_target",
        "The target service indicated by the \"audience\" parameters is invalid. This might either be because the pool or \
         provider is disabled or deleted or because it doesn't exist.",
    )
}
