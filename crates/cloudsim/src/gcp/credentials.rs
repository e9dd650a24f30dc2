//! IAM Credentials: becoming a service account.
//!
//! <https://cloud.google.com/iam/docs/reference/credentials/rest>

use std::time::Duration;

use serde_json::{Value, json};

use super::auth::authenticate;
use super::call::{Call, Service};
use super::error::GcpError;
use super::iam::{Access, Principal, Target};
use super::oauth::id_token;
use super::world::State;
use super::world::service_account::{ServiceAccount, USUAL_LIFETIME};
use super::world::token::Token;
use crate::clock::Timestamp;
use crate::log::CallFacts;
use crate::simulator::Shared;

const DELEGATE: &str = "projects/-/serviceAccounts/";
/// More than anyone chains.
const MAX_DELEGATES: usize = 20;

/// Adds the service account to be, and how it is to be reached.
pub(crate) fn add_facts(call: &Call, named: &str, state: &State, facts: &mut CallFacts) {
    if let Some(account) = state.find_service_account(named) {
        facts.account = Some(account.email.project.to_string());
        facts.role = Some(account.email.to_string());
    } else {
        facts.role = Some(named.to_owned());
    }
    let texts = |name: &str| -> Option<String> {
        let list = call.input.get(name)?.as_array()?;
        Some(list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","))
    };
    let lifetime = call.text("lifetime").map(str::to_owned);
    let audience = call.text("audience").map(str::to_owned);
    for (name, value) in [
        ("scope", texts("scope")),
        ("delegates", texts("delegates")),
        ("lifetime", lifetime),
        ("audience", audience),
    ] {
        facts
            .parameters
            .extend(value.filter(|value| !value.is_empty()).map(|value| (name.to_owned(), value)));
    }
}

/// Carries a call out.
pub(crate) fn execute(call: &Call, project: &str, named: &str, shared: &Shared) -> Result<Value, GcpError> {
    match call.operation.as_str() {
        "GenerateAccessToken" => generate_access_token(call, project, named, shared),
        "GenerateIdToken" => generate_id_token(call, project, named, shared),
        _ => Err(GcpError::not_found("Method not found.")),
    }
}

fn generate_access_token(
    call: &Call,
    project: &str,
    named: &str,
    shared: &Shared,
) -> Result<Value, GcpError> {
    let now = shared.clock.now();
    let mut state = shared.gcp.write();
    let caller = authenticate(call, &state, &shared.clock)?;
    let scopes = list(&call.input, "scope")?;
    if scopes.is_empty() {
        return Err(GcpError::invalid_argument("Scope required."));
    }
    let lifetime = lifetime(&call.input)?;
    let delegates = delegates(&call.input)?;
    let account = become_account(
        &state,
        now,
        &caller,
        project,
        named,
        &delegates,
        "iam.serviceAccounts.getAccessToken",
    )?;
    if lifetime > Duration::from_secs(account.max_lifetime.into()) {
        let max = account.max_lifetime;
        return Err(GcpError::invalid_argument(format!(
            "The duration must be within the range [0s,{max}s]."
        )));
    }
    let principal = account.principal();
    let expires_at = now.plus(lifetime);
    let token = Token { principal, scopes, expires_at };
    let text = state.tokens.issue(token, now).map_err(|_| GcpError::internal())?;
    shared.issued.note(text.clone());
    Ok(json!({"accessToken": text.expose(), "expireTime": expires_at.iso()}))
}

fn generate_id_token(call: &Call, project: &str, named: &str, shared: &Shared) -> Result<Value, GcpError> {
    let now = shared.clock.now();
    let state = shared.gcp.read();
    let caller = authenticate(call, &state, &shared.clock)?;
    let audience = call.text("audience").filter(|audience| !audience.is_empty());
    let audience = audience.ok_or_else(|| GcpError::invalid_argument("Audience required."))?;
    let delegates = delegates(&call.input)?;
    let permission = "iam.serviceAccounts.getOpenIdToken";
    let account = become_account(&state, now, &caller, project, named, &delegates, permission)?;
    let with_email = call.input.get("includeEmail").and_then(Value::as_bool).unwrap_or_default();
    let token = id_token(shared, account, audience, with_email)?;
    Ok(json!({"token": token}))
}

/// Follows the chain of delegates from the caller to the service account to be. Each before the last has to let the one
/// before it delegate, and the last has to let itself be become by the last delegate (or the caller).
///
/// <https://cloud.google.com/iam/docs/create-short-lived-credentials-delegated>
fn become_account<'s>(
    state: &'s State,
    now: Timestamp,
    caller: &Principal,
    project: &str,
    named: &str,
    delegates: &[&str],
    permission: &str,
) -> Result<&'s ServiceAccount, GcpError> {
    if project != "-" {
        return Err(GcpError::invalid_argument("Request contains an invalid argument."));
    }
    let mut hop = caller.clone();
    for delegate in delegates {
        let account = account(state, delegate)?;
        check(state, now, &hop, account, "iam.serviceAccounts.implicitDelegation")?;
        check_enabled(account, now)?;
        hop = account.principal();
    }
    let account = account(state, named)?;
    check(state, now, &hop, account, permission)?;
    check_enabled(account, now)?;
    Ok(account)
}

fn account<'s>(state: &'s State, named: &str) -> Result<&'s ServiceAccount, GcpError> {
    let missing = || GcpError::not_found(format!("Not found; Gaia id not found for email {named}"));
    state.find_service_account(named).ok_or_else(missing)
}

fn check(
    state: &State,
    now: Timestamp,
    caller: &Principal,
    account: &ServiceAccount,
    permission: &str,
) -> Result<(), GcpError> {
    let target = Target {
        service: "iam.googleapis.com",
        kind: "iam.googleapis.com/ServiceAccount",
        name: format!("projects/-/serviceAccounts/{}", account.unique_id),
    };
    Access { state, now, caller }
        .check(permission, &account.email.project, &[account.policy.at(now)], &target)
        .map_err(|denial| GcpError::denied(Service::IamCredentials, permission, None, denial))
}

fn check_enabled(account: &ServiceAccount, now: Timestamp) -> Result<(), GcpError> {
    if *account.disabled.at(now) {
        let message = format!("Service account {} is disabled.", account.email);
        return Err(GcpError::precondition(message, None, ""));
    }
    Ok(())
}

fn list(input: &Value, name: &str) -> Result<Vec<String>, GcpError> {
    let malformed = || GcpError::invalid_argument(format!("Invalid value at '{name}'."));
    match input.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(value) => serde_json::from_value(value.clone()).map_err(|_| malformed()),
    }
}

fn delegates(input: &Value) -> Result<Vec<&str>, GcpError> {
    let Some(list) = input.get("delegates").and_then(Value::as_array) else { return Ok(Vec::new()) };
    if list.len() > MAX_DELEGATES {
        return Err(GcpError::invalid_argument("The chain of delegates is too long."));
    }
    let invalid = || GcpError::invalid_argument("Request contains an invalid argument.");
    list.iter().map(|delegate| account_named(delegate).ok_or_else(invalid)).collect()
}

/// The documentation asks for the prefix; the service also takes the bare email.
fn account_named(delegate: &Value) -> Option<&str> {
    let text = delegate.as_str()?;
    Some(text.strip_prefix(DELEGATE).unwrap_or(text)).filter(|named| !named.contains('/'))
}

fn lifetime(input: &Value) -> Result<Duration, GcpError> {
    let Some(value) = input.get("lifetime") else { return Ok(Duration::from_secs(USUAL_LIFETIME.into())) };
    let seconds = value.as_str().and_then(|text| text.strip_suffix('s')?.parse::<f64>().ok());
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|lifetime| !lifetime.is_zero())
        .ok_or_else(|| GcpError::invalid_argument("Invalid value at 'lifetime'."))
}
