//! Becoming the tenant's service account, and making sure that nobody else gets in through us.

use std::time::SystemTime;

use leasehold_provider::{Answer, Fault, OwnIdentity, ProviderError, Session};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::{Zeroize, Zeroizing};

use crate::base::Token;
use crate::call::CallId;
use crate::clients::{Clients, bearer};
use crate::error::{Call, Refusal};
use crate::name::{Principal, ServiceAccount};
use crate::settings::{Plan, misconfigured};
use crate::transport::read;

/// What a tenant's token may be used for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloudkms";

/// How long a session lasts by Google's word. 900 s, as on the other clouds: a session that we lose is of no use for long,
/// and the next proof brings another.
const SESSION_SECONDS: u32 = 900;

/// How long we take a token of our own to last when it serves as a session: the least that its sources promise.
const OWN_SECONDS: u64 = 300;

/// What a session of this provider holds. The token wipes itself when the last clone is dropped.
pub(crate) struct KeySession {
    pub(crate) token: Token,
    pub(crate) plan: Plan,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    access_token: String,
    expire_time: String,
}

/// Who we are, proven by a token that was just given to us.
pub(crate) async fn own_identity(clients: &Clients) -> Result<OwnIdentity, ProviderError> {
    let principal = clients.base.principal().await?;
    clients.base.fresh().await?;
    Ok(OwnIdentity { principal: principal.as_member().to_owned(), account: principal.account().to_owned() })
}

/// Becomes the plan's principal. IAM Credentials is asked every time, the whole chain at once.
pub(crate) async fn assume(clients: &Clients, plan: Plan) -> Result<Answer<Session>, ProviderError> {
    let Some((last, delegates)) = plan.hops.split_last() else { return as_ourselves(clients, plan).await };
    let (own, is_fresh) = clients.base.token().await?;
    let outcome = match become_account(clients, &own, delegates, last, &plan).await {
        // Our own token was good when we got it, which may be minutes ago. A fresh one tells whether we still are.
        Err(error) if *error.fault() == Fault::OwnIdentity && !is_fresh => {
            let own = clients.base.fresh().await?;
            become_account(clients, &own, delegates, last, &plan).await
        }
        outcome => outcome,
    };
    let Answer { value: (token, expires_at), request_id } = outcome?;
    Ok(Answer { value: Session::new(expires_at, KeySession { token, plan }), request_id })
}

/// A session with a token of our own, for the operator's own keys. As fresh as its source gives one.
async fn as_ourselves(clients: &Clients, plan: Plan) -> Result<Answer<Session>, ProviderError> {
    let token = clients.base.fresh().await?;
    // The SDK does not say when the token ends. Sessions are replaced with each proof, long before.
    #[expect(clippy::disallowed_methods, reason = "the expiry of a session is by the wall clock")]
    let expires_at = SystemTime::now() + std::time::Duration::from_secs(OWN_SECONDS);
    Ok(Answer { value: Session::new(expires_at, KeySession { token, plan }), request_id: None })
}

async fn become_account(
    clients: &Clients,
    own: &Token,
    delegates: &[ServiceAccount],
    last: &ServiceAccount,
    plan: &Plan,
) -> Result<Answer<(Token, SystemTime)>, ProviderError> {
    let id = CallId::new();
    let url = format!("{}/v1/{}:generateAccessToken", clients.iam_credentials, last.resource());
    let delegates: Vec<_> = delegates.iter().map(ServiceAccount::resource).collect();
    let body = json!({
        "delegates": delegates, "scope": [SCOPE], "lifetime": format!("{SESSION_SECONDS}s"),
    });
    let mut headers = id.headers(Some(&plan.tenant));
    headers.extend(bearer(own));
    let sent = clients.http.post(url).headers(headers).json(&body).send().await;
    let (status, headers, body) = read(sent, &id).await?;
    if !status.is_success() {
        let refusal = Refusal::read(status.as_u16(), &headers, &body);
        return Err(refusal.failure(Call::Assume, refused_hop(&refusal, &plan.hops), &id));
    }
    let given: Result<Given, _> = serde_json::from_slice(&body);
    if let Ok(mut body) = body.try_into_mut() {
        body.zeroize();
    }
    let given = given.map_err(|_| incomplete(&id))?;
    let token = Zeroizing::new(given.access_token);
    let expires_at = OffsetDateTime::parse(&given.expire_time, &Rfc3339).map_err(|_| incomplete(&id))?;
    if token.is_empty() {
        return Err(incomplete(&id));
    }
    let value = (Token::new(token), expires_at.into());
    Ok(Answer { value, request_id: Some(id.as_str().into()) })
}

/// Which hop a refusal is about: the service account that it names. Google often names none, and then it may be any; the
/// first is said, the only one at which our own identity can be at fault.
fn refused_hop(refusal: &Refusal, hops: &[ServiceAccount]) -> usize {
    hops.iter().position(|hop| refusal.names(hop.email())).unwrap_or(0)
}

/// That neither the tenant's service accounts nor their key are in our own project: those may trust us for reasons that have
/// nothing to do with the tenant who names them.
pub(crate) fn not_our_own(plan: &Plan, own: &Principal) -> Result<(), ProviderError> {
    let advice = |what: &str, name: &str| {
        let detail =
            format!("{what} {name} is in the project that Leasehold runs in: use one of the tenant's own");
        Err(misconfigured(detail).with_code(Some("OWN_PROJECT")))
    };
    if let Some(hop) = plan.hops.iter().find(|hop| hop.project().as_str() == own.account()) {
        return advice("the service account", hop.email());
    }
    if plan.key.project().as_str() == own.account() {
        return advice("the key", plan.key.as_str());
    }
    Ok(())
}

fn incomplete(id: &CallId) -> ProviderError {
    ProviderError::new(Fault::Unavailable, "the answer of IAM Credentials is incomplete")
        .with_request_id(Some(id.as_str()))
}
