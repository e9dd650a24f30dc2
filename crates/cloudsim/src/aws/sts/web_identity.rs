//! AssumeRoleWithWebIdentity: the caller shows a token of an OpenID Connect provider instead of a signature.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::issue::{NewSession, answer, issue};
use super::parameters::{SessionParameters, required};
use crate::aws::auth::{moment_context, source_ip};
use crate::aws::call::{Call, Service};
use crate::aws::error::AwsError;
use crate::aws::oidc::{TokenError, VerifiedToken, verify};
use crate::aws::policy::{Decision, Policies, Principal, Request, evaluate_assume_role};
use crate::aws::world::State;
use crate::clock::Timestamp;
use crate::log::CallFacts;
use crate::simulator::Shared;

const HOUR: u32 = 3600;

pub(super) fn assume_role_with_web_identity(
    call: &Call,
    shared: &Shared,
    facts: &mut CallFacts,
) -> Result<Value, AwsError> {
    let parameters = SessionParameters::parse(call)?;
    let text = required(call, "WebIdentityToken", "webIdentityToken")?;
    let now = shared.clock.now();
    let (token, max_seconds) = {
        let state = shared.aws.read();
        let token = check_token(&state, &parameters, text, now)?;
        facts.principal = Some(format!("{}:{}", token.issuer, token.subject));
        let max_seconds = authorize(&state, call, &parameters, &token, now)?;
        (token, max_seconds)
    };
    let seconds = parameters.duration.unwrap_or(HOUR);
    if seconds > max_seconds {
        let message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(AwsError::validation(Service::Sts, message));
    }
    let new = NewSession {
        policies: parameters.policies,
        web_identity: conditions(&token),
        ..NewSession::plain(parameters.role, parameters.session_name, Duration::from_secs(seconds.into()))
    };
    let session = issue(&mut shared.aws.write(), new, now).map_err(|_| AwsError::internal(Service::Sts))?;
    let mut answer = answer(&session, parameters.packed_percent);
    answer["SubjectFromWebIdentityToken"] = token.subject.into();
    answer["Audience"] = token.audience.into();
    answer["Provider"] = provider_arn(session.role.account.as_str(), &token.issuer).into();
    Ok(answer)
}

/// Checks the token against the provider that the role's account has registered for its issuer.
fn check_token(
    state: &State,
    parameters: &SessionParameters,
    text: &str,
    now: Timestamp,
) -> Result<VerifiedToken, AwsError> {
    let invalid = |message: String| AwsError::new("InvalidIdentityToken", message);
    let issuer = crate::aws::oidc::claimed_issuer(text).ok_or_else(|| {
        invalid(
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
                .to_owned(),
        )
    })?;
    let name = issuer.strip_prefix("https://").unwrap_or(&issuer);
    let provider = state
        .accounts
        .get(&parameters.role.account)
        .and_then(|account| account.oidc_providers.get(name))
        .ok_or_else(|| invalid(format!("No OpenIDConnect provider found in your account for {issuer}")))?;
    verify(text, name, provider, now).map_err(|error| match error {
        TokenError::Expired(message) => AwsError::new("ExpiredTokenException", message),
        TokenError::Audience => invalid("Incorrect token audience".to_owned()),
        TokenError::UnknownKey => invalid(
            "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements"
                .to_owned(),
        ),
        TokenError::Malformed(message) => invalid(message.to_owned()),
        TokenError::Signature => invalid("Invalid identity token: the signature does not fit".to_owned()),
    })
}

/// Whether the role trusts the token's bearer; gives the role's longest session.
fn authorize(
    state: &State,
    call: &Call,
    parameters: &SessionParameters,
    token: &VerifiedToken,
    now: Timestamp,
) -> Result<u32, AwsError> {
    let refused = |reason: &str| {
        AwsError::denied(Service::Sts, "Not authorized to perform sts:AssumeRoleWithWebIdentity")
            .because(reason)
    };
    let role = state.role(&parameters.role).ok_or_else(|| refused("no such role"))?;
    let mut context = moment_context(now, source_ip(call).as_deref());
    context.set("sts:RoleSessionName", parameters.session_name.clone());
    context.set("aws:FederatedProvider", provider_arn(parameters.role.account.as_str(), &token.issuer));
    for (key, value) in conditions(token) {
        context.set(&key, value);
    }
    let trust = role.trust.at(now);
    let policies = Policies { resource: trust.first(), ..Policies::default() };
    let principal =
        Principal::WebIdentity { provider: provider_arn(parameters.role.account.as_str(), &token.issuer) };
    let arn = parameters.role.to_string();
    let request = Request {
        principal: &principal,
        action: "sts:AssumeRoleWithWebIdentity",
        resource: &arn,
        resource_account: parameters.role.account.as_str(),
        context: &context,
    };
    match evaluate_assume_role(&request, &policies) {
        Decision::Allow => Ok(role.max_session_seconds),
        Decision::ImplicitDeny { reason } | Decision::ExplicitDeny { reason } => Err(refused(&reason)),
    }
}

fn conditions(token: &VerifiedToken) -> BTreeMap<String, String> {
    let mut conditions = BTreeMap::from([
        (format!("{}:sub", token.issuer), token.subject.clone()),
        (format!("{}:aud", token.issuer), token.audience.clone()),
    ]);
    if let Some(method) = &token.method {
        conditions.insert(format!("{}:amr", token.issuer), method.clone());
    }
    conditions
}

fn provider_arn(account: &str, issuer: &str) -> String {
    format!("arn:aws:iam::{account}:oidc-provider/{issuer}")
}
