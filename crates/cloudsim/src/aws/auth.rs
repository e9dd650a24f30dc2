//! Who is calling: signatures, session tokens and expiry, and the conditions that policies may put on a caller.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use subtle::ConstantTimeEq;

use super::arn::{AccountId, Region};
use super::call::{Call, Service};
use super::error::AwsError;
use super::policy::{ConditionContext, PolicyDocument, Principal};
use super::secret::SecretText;
use super::sigv4::{Authorization, Signed, sha256_hex};
use super::world::State;
use super::world::session::Session;
use crate::clock::{SimClock, Timestamp};
use crate::log::CallFacts;

/// How far a signature's date may be off in either direction.
const MAX_SKEW: Duration = Duration::from_secs(5 * 60);

/// An authenticated caller, with the policies that bind it as they are in effect now.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    pub(crate) account: AccountId,
    pub(crate) region: Region,
    /// `AIDA…`, or `AROA…:{session}`.
    pub(crate) user_id: String,
    pub(crate) identity: Arc<Vec<PolicyDocument>>,
    pub(crate) boundary: Option<Arc<PolicyDocument>>,
    pub(crate) session: Option<Arc<Session>>,
    /// Tags of the user or role, overridden by those of the session.
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) now: Timestamp,
    source_ip: Option<String>,
}

impl Caller {
    pub(crate) fn arn(&self) -> String {
        self.principal.arn()
    }

    /// The policies of its session, which only narrow.
    pub(crate) fn session_policies(&self) -> &[PolicyDocument] {
        self.session.as_ref().map_or(&[], |session| session.policies.as_slice())
    }

    /// The condition keys that say something about the caller and the moment.
    ///
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>
    pub(crate) fn context(&self) -> ConditionContext {
        let mut context = moment_context(self.now, self.source_ip.as_deref());
        context.set("aws:PrincipalArn", self.principal_arn());
        context.set("aws:PrincipalAccount", self.account.to_string());
        context.set("aws:userid", self.user_id.clone());
        context.set("aws:RequestedRegion", self.region.to_string());
        for (key, value) in &self.tags {
            context.set(&format!("aws:PrincipalTag/{key}"), value.clone());
        }
        match (&self.principal, &self.session) {
            (_, Some(session)) => add_session(&mut context, session),
            (Principal::User { name, .. }, None) => {
                context.set("aws:username", name.clone());
                context.set("aws:PrincipalType", "User");
            }
            (_, None) => context.set("aws:PrincipalType", "Account"),
        }
        context
    }

    /// For a session, the ARN of its role: `aws:PrincipalArn` names roles, not sessions.
    fn principal_arn(&self) -> String {
        self.session.as_ref().map_or_else(|| self.arn(), |session| session.role.to_string())
    }
}

fn add_session(context: &mut ConditionContext, session: &Session) {
    context.set("aws:PrincipalType", "AssumedRole");
    context.set("aws:TokenIssueTime", session.issued_at.iso());
    context.set("aws:MultiFactorAuthPresent", "false");
    if let Some(identity) = &session.source_identity {
        context.set("aws:SourceIdentity", identity.clone());
    }
    for (key, value) in &session.web_identity {
        context.set(key, value.clone());
    }
}

/// The condition keys that hold for anonymous requests too.
pub(crate) fn moment_context(now: Timestamp, source_ip: Option<&str>) -> ConditionContext {
    let mut context = ConditionContext::new();
    context.set("aws:CurrentTime", now.iso());
    context.set("aws:EpochTime", now.unix_seconds().to_string());
    // Loopback stands for the TLS that the real endpoints insist on.
    context.set("aws:SecureTransport", "true");
    if let Some(ip) = source_ip {
        context.set("aws:SourceIp", ip);
    }
    context
}

/// The peer's address, as policies see it.
pub(crate) fn source_ip(call: &Call) -> Option<String> {
    call.request.extensions().get::<SocketAddr>().map(|peer| peer.ip().to_string())
}

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
    caller(call, state, credentials.holder, region, now).ok_or_else(|| unknown(call.service))
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
    let missing = || match call.service {
        Service::Kms => AwsError::new("MissingAuthenticationTokenException", "Missing Authentication Token"),
        Service::Sts => AwsError::with_status(
            StatusCode::FORBIDDEN,
            "MissingAuthenticationToken",
            "Request is missing Authentication Token",
        ),
    };
    let header = call.header("authorization").ok_or_else(missing)?;
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
    let missing = || {
        incomplete(
            call.service,
            "authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header",
        )
    };
    let text = call.header("x-amz-date").ok_or_else(missing)?;
    let moment = Timestamp::parse_compact(text).ok_or_else(missing)?;
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

fn caller(call: &Call, state: &State, holder: Holder, region: Region, now: Timestamp) -> Option<Caller> {
    let source_ip = source_ip(call);
    match holder {
        Holder::User { account, name } => {
            let user = state.accounts.get(&account)?.users.get(&name)?;
            Some(Caller {
                principal: Principal::User { account: account.to_string(), name },
                account,
                region,
                user_id: user.user_id.clone(),
                identity: user.policies.at(now),
                boundary: user.boundary.at(now).clone(),
                session: None,
                tags: user.tags.clone(),
                now,
                source_ip,
            })
        }
        Holder::Session(session) => {
            let role = state.role(&session.role).filter(|role| role.role_id == session.role_id)?;
            let mut tags = role.tags.clone();
            tags.extend(session.tags.clone());
            Some(Caller {
                principal: session.principal(),
                account: session.role.account.clone(),
                region,
                user_id: session.user_id(),
                identity: role.policies.at(now),
                boundary: role.boundary.at(now).clone(),
                session: Some(session),
                tags,
                now,
                source_ip,
            })
        }
    }
}

fn unknown(service: Service) -> AwsError {
    let message = "The security token included in the request is invalid.";
    match service {
        Service::Kms => AwsError::new("UnrecognizedClientException", message),
        Service::Sts => AwsError::with_status(StatusCode::FORBIDDEN, "InvalidClientTokenId", message),
    }
}

fn expired(service: Service) -> AwsError {
    let message = "The security token included in the request is expired";
    match service {
        Service::Kms => AwsError::new("ExpiredTokenException", message),
        Service::Sts => AwsError::with_status(StatusCode::FORBIDDEN, "ExpiredToken", message),
    }
}

fn mismatch(service: Service, message: String) -> AwsError {
    match service {
        Service::Kms => AwsError::new("InvalidSignatureException", message),
        Service::Sts => AwsError::with_status(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", message),
    }
}

fn incomplete(service: Service, message: &str) -> AwsError {
    match service {
        Service::Kms => AwsError::new("IncompleteSignatureException", message),
        Service::Sts => AwsError::new("IncompleteSignature", message),
    }
}

fn bad_scope(service: Service, what: &str) -> AwsError {
    mismatch(service, format!("Credential should be scoped to {what}."))
}
