//! Becoming the tenant's service account, and making sure that nobody else gets in through us.

use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use http::{HeaderMap, StatusCode};
use leasehold_provider::{Answer, Fault, OwnIdentity, ProviderError, Session};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::{Zeroize, Zeroizing};

use crate::call::CallId;
use crate::clients::Clients;
use crate::error::{Call, Refusal};
use crate::name::{ProjectId, ServiceAccount};
use crate::settings::{Plan, misconfigured};
use crate::source::{Fetched, Token};
use crate::transport::{bearer, read};

/// What a tenant's token may be used for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloudkms";

/// How long a session lasts by Google's word. 900 s, as on the other clouds: a session that we lose is of no use for long,
/// and the next proof brings another.
const SESSION_SECONDS: u32 = 900;

/// How long we take a token of our own to last when it serves as a session and its source does not say: 240 s, the least that
/// any source gives.
const OWN_LASTS: Duration = Duration::from_secs(240);

/// The longest that we believe a token of our own to last: 12 h, the most that Google can be told to give
/// (<https://cloud.google.com/iam/docs/create-short-lived-credentials-direct#sa-credentials-oauth>).
const LONGEST: Duration = Duration::from_secs(12 * 3600);

/// What a session of this provider holds. The token wipes itself when the last clone is dropped.
pub(crate) struct KeySession {
    pub(crate) token: Token,
    pub(crate) plan: Plan,
    /// Its connections, which are closed with it.
    pub(crate) http: reqwest::Client,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    access_token: String,
    expire_time: String,
}

/// Who we are, proven by a token that was just given to us, or that Google takes from us.
pub(crate) async fn own_identity(clients: &Clients) -> Result<OwnIdentity, ProviderError> {
    let principal = clients.base.principal().await?;
    let own = clients.base.fresh().await?.0.token;
    if let Some(email) = clients.base.signs_as() {
        is_taken(clients, &own, email).await?;
    }
    let account = principal.project().or_else(|| clients.base.named_project().cloned());
    let account = account.map_or_else(|| principal.account().to_owned(), |project| project.to_string());
    Ok(OwnIdentity { principal: principal.as_member().to_owned(), account })
}

/// That Google takes a token which we signed with the key of the service account `email`, and which nobody has seen yet: the
/// key may be deleted, or the account disabled. Asks for a token of that account, which it usually may not get; to say so,
/// Google has to know who asks.
async fn is_taken(clients: &Clients, own: &Token, email: &str) -> Result<(), ProviderError> {
    let id = CallId::new();
    let account = format!("projects/-/serviceAccounts/{email}");
    let (status, headers, mut body) =
        ask_for_token(clients, own, &account, &[], id.headers(None), &id).await?;
    if status.is_success() {
        body.zeroize();
        return Ok(());
    }
    let refusal = Refusal::read(status.as_u16(), &headers, &body.freeze());
    if refusal.is_of_somebody_known() { Ok(()) } else { Err(refusal.failure(Call::WhoAmI, 0, &id)) }
}

/// Becomes the plan's principal. IAM Credentials is asked every time, the whole chain at once.
pub(crate) async fn assume(clients: &Clients, plan: Plan) -> Result<Answer<Session>, ProviderError> {
    let Some((last, delegates)) = plan.hops.split_last() else { return as_ourselves(clients, plan).await };
    let (own, is_fresh) = clients.base.token().await?;
    let outcome = match become_account(clients, &own, delegates, last, &plan).await {
        // Our own token was good when we got it, which may be minutes ago. A fresh one tells whether we still are.
        Err(error) if *error.fault() == Fault::OwnIdentity && !is_fresh => {
            let own = clients.base.fresh().await?.0.token;
            become_account(clients, &own, delegates, last, &plan).await
        }
        outcome => outcome,
    };
    let Answer { value: (token, expires_at), request_id } = outcome?;
    let http = clients.pool()?;
    Ok(Answer { value: Session::new(expires_at, KeySession { token, plan, http }), request_id })
}

/// A session with a token of our own, for the operator's own keys. As fresh as its source gives one.
async fn as_ourselves(clients: &Clients, plan: Plan) -> Result<Answer<Session>, ProviderError> {
    let (Fetched { token, lasts }, age) = clients.base.fresh().await?;
    #[expect(clippy::disallowed_methods, reason = "the expiry of a session is by the wall clock")]
    let expires_at = SystemTime::now() + lasts.unwrap_or(OWN_LASTS).min(LONGEST).saturating_sub(age);
    let http = clients.pool()?;
    Ok(Answer { value: Session::new(expires_at, KeySession { token, plan, http }), request_id: None })
}

async fn become_account(
    clients: &Clients,
    own: &Token,
    delegates: &[ServiceAccount],
    last: &ServiceAccount,
    plan: &Plan,
) -> Result<Answer<(Token, SystemTime)>, ProviderError> {
    let id = CallId::new();
    let delegates: Vec<_> = delegates.iter().map(ServiceAccount::resource).collect();
    let marks = id.headers(Some(&plan.tenant));
    let (status, headers, mut body) =
        ask_for_token(clients, own, &last.resource(), &delegates, marks, &id).await?;
    if !status.is_success() {
        let refusal = Refusal::read(status.as_u16(), &headers, &body.freeze());
        return Err(refusal.failure(Call::Assume, refused_hop(&refusal, &plan.hops), &id));
    }
    let given: Result<Given, _> = serde_json::from_slice(&body);
    body.zeroize();
    let given = given.map_err(|_| incomplete(&id))?;
    let token = Zeroizing::new(given.access_token);
    let expires_at = OffsetDateTime::parse(&given.expire_time, &Rfc3339).map_err(|_| incomplete(&id))?;
    if token.is_empty() {
        return Err(incomplete(&id));
    }
    let value = (Token::new(token), expires_at.into());
    Ok(Answer { value, request_id: Some(id.as_str().into()) })
}

/// The answer to our asking for a token of the service account `resource`, through `delegates`.
async fn ask_for_token(
    clients: &Clients,
    own: &Token,
    resource: &str,
    delegates: &[String],
    mut headers: HeaderMap,
    id: &CallId,
) -> Result<(StatusCode, HeaderMap, BytesMut), ProviderError> {
    let url = format!("{}/v1/{resource}:generateAccessToken", clients.iam_credentials);
    let body = json!({
        "delegates": delegates, "scope": [SCOPE], "lifetime": format!("{SESSION_SECONDS}s"),
    });
    headers.extend(bearer(own));
    read(clients.pool()?.post(url).headers(headers).json(&body).send().await, id).await
}

/// Which hop a refusal is about: the service account that it names. Google often names none, and then it may be any; the
/// first is said, the only one at which our own identity can be at fault.
fn refused_hop(refusal: &Refusal, hops: &[ServiceAccount]) -> usize {
    hops.iter().position(|hop| refusal.names(hop.email())).unwrap_or(0)
}

/// That neither the tenant's service accounts nor their key are in one of our `own` projects: those may trust us for reasons
/// that have nothing to do with the tenant who names them.
pub(crate) fn not_our_own(plan: &Plan, own: &[ProjectId]) -> Result<(), ProviderError> {
    let advice = |what: &str, name: &str| {
        let detail = format!("{what} {name} is in a project of Leasehold's own: use one of the tenant's");
        Err(misconfigured(detail).with_code(Some("OWN_PROJECT")))
    };
    if let Some(hop) = plan.hops.iter().find(|hop| own.contains(hop.project())) {
        return advice("the service account", hop.email());
    }
    if own.contains(plan.key.project()) {
        return advice("the key", plan.key.as_str());
    }
    Ok(())
}

fn incomplete(id: &CallId) -> ProviderError {
    ProviderError::new(Fault::Unavailable, "the answer of IAM Credentials is incomplete")
        .with_request_id(Some(id.as_str()))
}
