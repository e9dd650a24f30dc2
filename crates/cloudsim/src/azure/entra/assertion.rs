//! Client assertions: tokens by which an application proves itself, signed by its own certificate or by an issuer that
//! it trusts.
//!
//! The times of a certificate's assertion are compared with the wall clock, because the client signs with a clock that
//! nobody advances; those of a federated one with the simulated time, in which its issuer lives.

use std::time::Duration;

use super::signer::Signer;
use super::{EntraCall, refusals};
use crate::azure::clouds::Cloud;
use crate::azure::error::AzureError;
use crate::azure::jwt::Claims;
use crate::azure::world::State;
use crate::azure::world::app::{App, FederatedCredential};
use crate::azure::world::directory::Directory;
use crate::clock::Timestamp;
use crate::log::CallFacts;
use crate::simulator::Shared;

/// How far clocks may differ.
const LEEWAY: Duration = Duration::from_secs(300);
/// The application that tokens for federation are for, in whose name version 2 tokens of directories are made.
pub(crate) const TOKEN_EXCHANGE_APP: &str = "fb60f99c-7a34-4190-8149-302f77469936";

/// Checks an assertion of an application's.
pub(super) fn check(
    assertion: &str,
    call: &EntraCall,
    app: &App,
    directory: &Directory,
    state: &State,
    shared: &Shared,
    facts: &mut CallFacts,
) -> Result<(), AzureError> {
    let claims = Claims::read(assertion).ok_or_else(|| refusals::malformed_assertion("it is no JWT"))?;
    let issuer = claims.text("iss").ok_or_else(|| refusals::malformed_assertion("it names no issuer"))?;
    for (name, claim) in [("assertion_issuer", "iss"), ("assertion_subject", "sub")] {
        facts.parameters.extend(claims.text(claim).map(|value| (name.to_owned(), value.to_owned())));
    }
    // An application that signs for itself names itself as the issuer; all others are URLs.
    if issuer.contains("://") {
        check_federated(&claims, issuer, app, state, shared.clock.now())
    } else {
        check_certificate(&claims, call, app, directory, shared.clock.wall())
    }
}

/// <https://learn.microsoft.com/en-us/entra/identity-platform/certificate-credentials>
fn check_certificate(
    claims: &Claims<'_>,
    call: &EntraCall,
    app: &App,
    directory: &Directory,
    wall: Timestamp,
) -> Result<(), AzureError> {
    let named = claims.thumbprints.iter().chain(&claims.key_id);
    let mut known = named.clone().filter_map(|id| {
        app.certificates
            .iter()
            .find(|certificate| certificate.thumbprints.iter().any(|thumbprint| thumbprint == id))
    });
    let thumbprint = named.clone().next().map_or("", String::as_str);
    let refused = |reason: &str| refusals::certificate_signature(reason, thumbprint, &app.id);
    let certificate = known.next().ok_or_else(|| refused("The key was not found."))?;
    if !claims.signed_by(&certificate.key) {
        return Err(refused("Key was found, but use of the key to verify the signature failed."));
    }
    if certificate.expires.is_some_and(|expires| expires <= wall) {
        return Err(refused("The key used is expired."));
    }
    let is_client =
        |claim: &str| claims.text(claim).is_some_and(|text| text.eq_ignore_ascii_case(app.id.as_str()));
    if !is_client("iss") || !is_client("sub") {
        return Err(refusals::assertion_client());
    }
    if !claims.audiences().iter().any(|audience| is_own_audience(audience, call, directory)) {
        return Err(refusals::assertion_audience());
    }
    if claims.text("jti").is_none_or(str::is_empty) {
        return Err(refusals::malformed_assertion("it has no jti"));
    }
    check_times(claims, wall)
}

/// Whether an audience is the token endpoint that was called, or the issuer that is behind it.
fn is_own_audience(audience: &str, call: &EntraCall, directory: &Directory) -> bool {
    let Some((host, path)) = audience.strip_prefix("https://").and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    let same_host = match call.cloud {
        Some(cloud) => Cloud::of_login_host(host) == Some(cloud),
        None => call.base.strip_prefix("https://") == Some(host),
    };
    let Some((name, rest)) = path.split_once('/') else { return false };
    let same_directory = name.eq_ignore_ascii_case(directory.id.as_str())
        || directory.domains.iter().any(|domain| domain.eq_ignore_ascii_case(name));
    same_host && same_directory && matches!(rest, "oauth2/v2.0/token" | "v2.0")
}

/// <https://learn.microsoft.com/en-us/entra/workload-id/workload-identity-federation>
fn check_federated(
    claims: &Claims<'_>,
    issuer: &str,
    app: &App,
    state: &State,
    now: Timestamp,
) -> Result<(), AzureError> {
    let trusted: Vec<_> = app.federated.iter().filter(|credential| credential.issuer == issuer).collect();
    let first = trusted.first().ok_or_else(|| refusals::federated_issuer(issuer))?;
    if !is_signed(claims, first, state)? {
        return Err(refusals::federated_signature());
    }
    check_epoch(claims, state, now)?;
    check_times(claims, now)?;
    let subject = claims.text("sub").unwrap_or_default();
    let mut same_subject = trusted.into_iter().filter(|credential| credential.subject == subject).peekable();
    if same_subject.peek().is_none() {
        return Err(refusals::federated_subject(subject));
    }
    let audiences = claims.audiences();
    let fits = |credential: &FederatedCredential| {
        credential
            .audiences
            .iter()
            .any(|wanted| audiences.iter().any(|audience| is_audience(audience, wanted)))
    };
    if same_subject.any(fits) {
        Ok(())
    } else {
        Err(refusals::federated_audience(audiences.first().copied().unwrap_or_default()))
    }
}

/// A token of a directory names the application that the audience is an alias of.
fn is_audience(audience: &str, wanted: &str) -> bool {
    let alias = wanted == Cloud::Public.token_exchange() && audience == TOKEN_EXCHANGE_APP;
    audience == wanted || alias
}

fn is_signed(
    claims: &Claims<'_>,
    credential: &FederatedCredential,
    state: &State,
) -> Result<bool, AzureError> {
    if let Some(keys) = &credential.keys {
        return Ok(claims.signed_by_one_of(keys));
    }
    let ours = state.directories.values().any(|directory| directory.issuer_v2() == credential.issuer);
    let signer = Signer::shared().and_then(|signer| signer.keys()).map_err(|_| AzureError::internal())?;
    Ok(ours && claims.signed_by_one_of(&signer))
}

/// Tokens of directories that were expired by the control interface.
fn check_epoch(claims: &Claims<'_>, state: &State, now: Timestamp) -> Result<(), AzureError> {
    let epoch = claims.number(super::token::EPOCH_CLAIM);
    let expired = epoch.is_some_and(|epoch| u64::try_from(epoch) != Ok(state.token_epoch));
    if expired {
        Err(refusals::assertion_time(now, claims.number("nbf"), now.unix_seconds()))
    } else {
        Ok(())
    }
}

fn check_times(claims: &Claims<'_>, now: Timestamp) -> Result<(), AzureError> {
    let expires = claims.number("exp").ok_or_else(|| refusals::malformed_assertion("it has no exp"))?;
    let not_before = claims.number("nbf");
    let leeway = i64::try_from(LEEWAY.as_secs()).unwrap_or(0);
    let seconds = now.unix_seconds();
    let too_late = seconds >= expires.saturating_add(leeway);
    let too_early = not_before.is_some_and(|from| seconds < from.saturating_sub(leeway));
    if too_late || too_early {
        return Err(refusals::assertion_time(now, not_before, expires));
    }
    Ok(())
}
