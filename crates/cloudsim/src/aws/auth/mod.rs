//! Who is calling: signatures, session tokens and expiry.

mod caller;
mod refusals;

use std::sync::Arc;
use std::time::Duration;

use subtle::ConstantTimeEq;

use super::arn::AccountId;
use super::call::Call;
use super::error::AwsError;
use super::sigv4::{Authorization, Signed, sha256_hex};
use super::world::State;
use super::world::session::Session;
use crate::clock::{SimClock, Timestamp};
use crate::log::CallFacts;
use crate::secret::SecretText;
use refusals::{bad_scope, expired, incomplete, mismatch, missing, unknown};

pub(crate) use caller::{Caller, moment_context, source_ip};

/// How far a signature's date may be off in either direction.
const MAX_SKEW: Duration = Duration::from_secs(5 * 60);

/// The credentials that a request claims to be signed with.
struct Credentials {
    secret: SecretText,
    holder: Holder,
}

enum Holder {
    User { account: AccountId, name: String },
    Session(Arc<Session>),
}

/// Authenticates a request.
///
/// # Errors
/// As the service answers: missing, malformed, unknown, expired or wrong credentials, or a signature that does not fit.
pub(crate) fn authenticate(call: &Call, state: &State, clock: &SimClock) -> Result<Caller, AwsError> {
    let authorization = authorization(call)?;
    let now = clock.now();
    let credentials = find(call, state, &authorization, now)?;
    let timestamp = fresh_timestamp(call, &authorization, clock.wall())?;
    check_scope(call, &authorization)?;
    check_signature(call, &authorization, &credentials.secret, &timestamp)?;
    let region = authorization.region.parse().map_err(|_| bad_scope(call.service, "a valid region"))?;
    Caller::new(call, state, credentials.holder, region, now).ok_or_else(|| unknown(call.service))
}

/// Reads who a request claims to be signed by, before anything about it is checked.
pub(crate) fn add_facts(call: &Call, state: &State, facts: &mut CallFacts) {
    let Some(authorization) = call.header("authorization").and_then(|text| Authorization::parse(text).ok())
    else {
        return;
    };
    let id = authorization.access_key_id;
    if let Some(session) = state.sessions.get(&id) {
        facts.principal = Some(session.arn());
        facts.caller_account = Some(session.role.account.to_string());
        facts.caller_role = Some(session.role.to_string());
    } else if let Some(owner) = state.access_keys.get(&id) {
        facts.principal = Some(format!("arn:aws:iam::{}:user/{}", owner.account, owner.name));
        facts.caller_account = Some(owner.account.to_string());
    }
    facts.region = Some(authorization.region);
    facts.access_key_id = Some(id);
}

fn authorization(call: &Call) -> Result<Authorization, AwsError> {
    let header = call.header("authorization").ok_or_else(|| missing(call.service))?;
    Authorization::parse(header).map_err(|error| incomplete(call.service, &error.to_string()))
}

fn find(
    call: &Call,
    state: &State,
    authorization: &Authorization,
    now: Timestamp,
) -> Result<Credentials, AwsError> {
    let token = call.header("x-amz-security-token");
    let id = &authorization.access_key_id;
    if let Some(session) = state.sessions.get(id) {
        if !token.is_some_and(|token| session.token.matches(token)) {
            return Err(unknown(call.service));
        }
        if session.expires_at <= now {
            return Err(expired(call.service));
        }
        return Ok(Credentials { secret: session.secret.clone(), holder: Holder::Session(session.clone()) });
    }
    let owner = state.access_keys.get(id).filter(|_| token.is_none()).ok_or_else(|| unknown(call.service))?;
    let key = state
        .accounts
        .get(&owner.account)
        .and_then(|account| account.users.get(&owner.name)?.access_keys.get(id))
        .filter(|key| key.active)
        .ok_or_else(|| unknown(call.service))?;
    let holder = Holder::User { account: owner.account.clone(), name: owner.name.clone() };
    Ok(Credentials { secret: key.secret.clone(), holder })
}

fn fresh_timestamp(call: &Call, authorization: &Authorization, wall: Timestamp) -> Result<String, AwsError> {
    let undated = || {
        incomplete(
            call.service,
            "authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header",
        )
    };
    let text = call.header("x-amz-date").ok_or_else(undated)?;
    let moment = Timestamp::parse_compact(text).ok_or_else(undated)?;
    if !text.starts_with(&authorization.date) {
        return Err(mismatch(
            call.service,
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP"
                .to_owned(),
        ));
    }
    if wall.since(moment) > MAX_SKEW {
        let limit = Timestamp::from_unix_millis(wall.unix_millis() - 300_000).compact();
        return Err(mismatch(
            call.service,
            format!("Signature expired: {text} is now earlier than {limit} ({} - 5 min.)", wall.compact()),
        ));
    }
    if moment.since(wall) > MAX_SKEW {
        let limit = wall.plus(MAX_SKEW).compact();
        return Err(mismatch(
            call.service,
            format!(
                "Signature not yet current: {text} is still later than {limit} ({} + 5 min.)",
                wall.compact()
            ),
        ));
    }
    Ok(text.to_owned())
}

fn check_scope(call: &Call, authorization: &Authorization) -> Result<(), AwsError> {
    if authorization.service != call.service.name() {
        return Err(bad_scope(call.service, &format!("correct service: '{}'", call.service.name())));
    }
    Ok(())
}

fn check_signature(
    call: &Call,
    authorization: &Authorization,
    secret: &SecretText,
    timestamp: &str,
) -> Result<(), AwsError> {
    let signed = |name: &str| authorization.signed_headers.iter().any(|header| header == name);
    let covers_all = ["host", "x-amz-date", "x-amz-security-token", "x-amz-target"]
        .iter()
        .all(|name| signed(name) || !call.headers().contains_key(*name));
    if !covers_all {
        return Err(mismatch(
            call.service,
            "There were headers present in the request which were not signed".to_owned(),
        ));
    }
    let body = call.request.body();
    let hash_is_true = call
        .header("x-amz-content-sha256")
        .is_none_or(|claimed| claimed.as_bytes().ct_eq(sha256_hex(body).as_bytes()).into());
    let uri = call.request.uri();
    let request = Signed {
        method: call.request.method().as_str(),
        path: uri.path(),
        query: uri.query().unwrap_or_default(),
        headers: call.headers(),
        body,
    };
    if hash_is_true && authorization.verify(secret.expose(), &request, timestamp) {
        return Ok(());
    }
    Err(mismatch(
        call.service,
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details."
            .to_owned(),
    ))
}
