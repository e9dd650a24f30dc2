//! Who calls: access tokens, and the tokens that the holder of a service-account key signs for itself.
//!
//! <https://google.aip.dev/auth/4111>

use std::time::Duration;

use serde::Deserialize;

use super::call::{Call, Service};
use super::error::GcpError;
use super::iam::Principal;
use super::world::State;
use crate::clock::{SimClock, Timestamp};
use crate::jwt;
use crate::log::CallFacts;

/// How far a caller's clock may be off.
pub(crate) const LEEWAY: Duration = Duration::from_secs(300);
/// The longest life of a token that its holder signed.
pub(crate) const SELF_SIGNED_LIFETIME: i64 = 3600;
const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";

/// The claims of a self-signed token.
#[derive(Clone, Debug, Deserialize)]
struct Claims {
    iss: String,
    #[serde(default)]
    sub: Option<String>,
    #[serde(default)]
    aud: Option<String>,
    #[serde(default)]
    scope: Option<String>,
    iat: i64,
    exp: i64,
}

/// Adds what the token says about the caller to a call's facts, whether or not it is valid.
pub(crate) fn add_facts(call: &Call, state: &State, facts: &mut CallFacts) {
    let Some(bearer) = call.bearer() else { return };
    let principal = match state.tokens.get(bearer) {
        Some(token) => Some(token.principal.clone()),
        None => jwt::claimed::<Claims>(bearer)
            .and_then(|claims| state.find_service_account(&claims.iss).map(|account| account.principal())),
    };
    let Some(principal) = principal else { return };
    facts.principal = Some(principal.to_string());
    if let Principal::ServiceAccount { email, .. } = principal {
        facts.caller_account = Some(email.project.to_string());
        facts.caller_role = Some(email.to_string());
    }
}

/// Checks the caller's token, and that it is meant for this service.
pub(crate) fn authenticate(call: &Call, state: &State, clock: &SimClock) -> Result<Principal, GcpError> {
    let refuse = |reason| GcpError::unauthenticated(call.service, reason);
    let bearer = call.bearer().ok_or_else(|| refuse("CREDENTIALS_MISSING"))?;
    let now = clock.now();
    let (principal, scopes) = match state.tokens.get(bearer) {
        Some(token) if token.expires_at <= now => return Err(refuse("ACCESS_TOKEN_EXPIRED")),
        Some(token) => (token.principal.clone(), token.scopes.clone()),
        None => self_signed(bearer, call.service, state, clock.wall())?,
    };
    if !state.is_alive(&principal, now) {
        return Err(refuse("ACCOUNT_STATE_INVALID"));
    }
    let own = match call.service {
        Service::CloudKms => "https://www.googleapis.com/auth/cloudkms",
        _ => "https://www.googleapis.com/auth/iam",
    };
    if scopes.iter().any(|scope| scope == CLOUD_PLATFORM || scope == own) {
        Ok(principal)
    } else {
        Err(GcpError::insufficient_scope(call.service))
    }
}

/// Checks a token that the holder of a key signed, against wall time because its clock is nobody's to advance.
fn self_signed(
    bearer: &str,
    service: Service,
    state: &State,
    wall: Timestamp,
) -> Result<(Principal, Vec<String>), GcpError> {
    let refuse = |reason| GcpError::unauthenticated(service, reason);
    let unknown = || refuse("ACCESS_TOKEN_TYPE_UNSUPPORTED");
    let issuer = jwt::claimed::<Claims>(bearer).ok_or_else(unknown)?.iss;
    let account = state.find_service_account(&issuer).ok_or_else(unknown)?;
    let claims: Claims = jwt::signed(bearer, &account.jwks()).map_err(|_| unknown())?;
    if claims.sub.as_ref().is_some_and(|subject| *subject != claims.iss)
        || claims.exp - claims.iat > SELF_SIGNED_LIFETIME + 60
        || Timestamp::from_unix_seconds(claims.iat) > wall.plus(LEEWAY)
    {
        return Err(unknown());
    }
    if Timestamp::from_unix_seconds(claims.exp).plus(LEEWAY) <= wall {
        return Err(refuse("ACCESS_TOKEN_EXPIRED"));
    }
    let host = format!("https://{}/", service.host());
    let scopes = match (&claims.scope, &claims.aud) {
        (Some(scope), _) => scope.split(' ').map(str::to_owned).collect(),
        // A token for the service's own name may do all that its holder may do there.
        (None, Some(audience)) if audience.trim_end_matches('/') == host.trim_end_matches('/') => {
            vec![CLOUD_PLATFORM.to_owned()]
        }
        _ => return Err(unknown()),
    };
    Ok((account.principal(), scopes))
}
