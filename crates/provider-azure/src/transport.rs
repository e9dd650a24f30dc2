//! What stands between the SDK's clients and the network: answers have a bound, and what an answer says is kept whatever the
//! SDK makes of it.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use azure_core::error::{Error, ErrorKind};
use azure_core::http::headers::{AUTHORIZATION, HeaderName, Headers, WWW_AUTHENTICATE};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{AsyncRawResponse, Context, HttpClient, RawResponse, Request, StatusCode, Url};
use azure_core::{Bytes, Result};
use futures::StreamExt;

use crate::cloud::Cloud;

/// Longest body that is read. 256 KiB: the longest honest one is a page of 25 keys with 15 tags of 512 bytes each, 190 KiB.
const MAX_ANSWER: usize = 256 * 1024;

/// Longest time that a token is good for, in seconds. 48 h: Entra's own last an hour or so, at most 28 h.
/// <https://learn.microsoft.com/entra/identity/conditional-access/concept-continuous-access-evaluation#token-lifetime>
const MAX_LIFETIME: i64 = 48 * 3600;

/// Where the SDK asks for a managed identity's token on a virtual machine.
const IMDS_HOST: &str = "169.254.169.254";

/// What Entra calls a request, and a vault outside of its log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");

/// What the SDK calls a request of its own. A vault's log has no other id of it, as `correlationId`:
/// <https://learn.microsoft.com/azure/key-vault/general/logging>.
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");

const RETRY_AFTER: HeaderName = HeaderName::from_static("retry-after");

/// What the head of an answer says, whatever becomes of its body.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) request_id: Option<Box<str>>,
    pub(crate) retry_after: Option<String>,
}

impl Head {
    pub(crate) fn of(status: StatusCode, headers: &Headers) -> Self {
        let text = |name: &HeaderName| headers.get_optional_str(name).map(str::to_owned);
        Self {
            status: status.into(),
            request_id: text(&CLIENT_REQUEST_ID).or_else(|| text(&REQUEST_ID)).map(Into::into),
            retry_after: text(&RETRY_AFTER),
        }
    }
}

/// The whole of an answer that grants what was asked; one that refuses it as an error that carries it as it came.
///
/// Left to itself the SDK reads a refusal first, and forgets it if it cannot: it takes no escaped character in Entra's
/// `error_description`, and Entra puts line breaks there.
async fn granted(answer: AsyncRawResponse) -> Result<RawResponse> {
    let raw = answer.try_into_raw_response().await?;
    if raw.status().is_success() {
        return Ok(raw);
    }
    let (status, raw_response) = (raw.status(), Some(Box::new(raw)));
    Err(Error::with_message(ErrorKind::HttpResponse { status, error_code: None, raw_response }, "refused"))
}

fn whole(raw: RawResponse) -> AsyncRawResponse {
    let (status, headers, body) = raw.deconstruct();
    AsyncRawResponse::from_bytes(status, headers, Bytes::from(body))
}

// === impl Bounded ===

/// Reads no body that is longer than any honest one.
#[derive(Debug)]
pub(crate) struct Bounded {
    inner: Arc<dyn HttpClient>,
}

impl Bounded {
    pub(crate) fn new(inner: Arc<dyn HttpClient>) -> Self {
        Self { inner }
    }
}

#[async_trait]
impl HttpClient for Bounded {
    async fn execute_request(&self, request: &Request) -> Result<AsyncRawResponse> {
        let (status, headers, body) = self.inner.execute_request(request).await?.deconstruct();
        let mut left = MAX_ANSWER;
        let body = body.map(move |chunk| {
            let chunk = chunk?;
            left = left.checked_sub(chunk.len()).ok_or_else(too_long)?;
            Ok(chunk)
        });
        Ok(AsyncRawResponse::new(status, headers, Box::pin(body)))
    }
}

fn too_long() -> Error {
    Error::with_message(ErrorKind::DataConversion, "the answer is too long")
}

// === impl TokenEndpoint ===

/// Entra's token endpoint. Notes the head of each answer, because the SDK's credentials return a token and nothing of what
/// came with it.
#[derive(Debug)]
pub(crate) struct TokenEndpoint {
    inner: Arc<dyn HttpClient>,
    last: Mutex<Option<Head>>,
}

impl TokenEndpoint {
    pub(crate) fn new(inner: Arc<dyn HttpClient>) -> Self {
        Self { inner, last: Mutex::default() }
    }

    /// The head of the last answer, if there was one.
    pub(crate) fn last(&self) -> Option<Head> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl HttpClient for TokenEndpoint {
    async fn execute_request(&self, request: &Request) -> Result<AsyncRawResponse> {
        let answer = self.inner.execute_request(request).await?;
        let head = Head::of(answer.status(), answer.headers());
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
        let token = granted(answer).await?;
        check_lifetime(token.body())?;
        Ok(whole(token))
    }
}

/// That the token lasts for a time that can be added to the present: the SDK adds whatever it is told, and panics.
fn check_lifetime(body: &[u8]) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Lifetime {
        expires_in: i64,
    }
    let read = serde_json::from_slice::<Lifetime>(body);
    match read {
        Ok(Lifetime { expires_in }) if (1..=MAX_LIFETIME).contains(&expires_in) => Ok(()),
        _ => Err(Error::with_message(ErrorKind::DataConversion, "not a token, or not for a sensible time")),
    }
}

// === impl Platform ===

/// Asks the platform for its identity's token, once: the SDK's credential would repeat what fails for 72 s, whatever its
/// options say, while our own deadline is 2 s and a lease may be 15 s long.
#[derive(Debug)]
pub(crate) struct Platform {
    inner: Arc<dyn HttpClient>,
    instead: Option<Url>,
}

impl Platform {
    /// `instead` is where to ask in place of the instance metadata service.
    pub(crate) fn new(inner: Arc<dyn HttpClient>, instead: Option<Url>) -> Self {
        Self { inner, instead }
    }

    fn redirected(&self, request: &Request) -> Option<Request> {
        let instead = self.instead.as_ref().filter(|_| request.url().host_str() == Some(IMDS_HOST))?;
        let mut url = instead.clone();
        url.set_path(request.url().path());
        url.set_query(request.url().query());
        let mut request = request.clone();
        *request.url_mut() = url;
        Some(request)
    }

    async fn ask(&self, request: &Request) -> Result<RawResponse> {
        granted(self.inner.execute_request(request).await?).await
    }
}

#[async_trait]
impl HttpClient for Platform {
    async fn execute_request(&self, request: &Request) -> Result<AsyncRawResponse> {
        self.ask(self.redirected(request).as_ref().unwrap_or(request)).await.map(whole).map_err(final_one)
    }
}

/// An error that is not repeated: one of input and output would be, and so would an answer with certain statuses.
fn final_one(error: Error) -> Error {
    match error.kind() {
        ErrorKind::HttpResponse { .. } => error,
        _ => Error::with_error(ErrorKind::Other, error, "not answered"),
    }
}

// === impl Introduced ===

/// Answers a request without a token as the vault would, without asking it; and notes in the head of each answer under which id
/// the vault logged the request.
///
/// The SDK's client sends its first request bare, to be told which token the vault wants. Every proof has a session and so a
/// client of its own, so every proof would make two requests and leave two events in the tenant's log, one of them a
/// refusal. We know which token a vault of our cloud wants; a vault that wants another refuses ours.
#[derive(Debug)]
pub(crate) struct Introduced {
    challenge: String,
}

impl Introduced {
    /// For vaults that take tokens for `resource`.
    pub(crate) fn new(cloud: Cloud, resource: &str) -> Self {
        Self {
            challenge: format!(
                "Bearer authorization=\"https://{}\", resource=\"{resource}\"",
                cloud.authority()
            ),
        }
    }
}

#[async_trait]
impl Policy for Introduced {
    async fn send(&self, context: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        if request.headers().get_optional_str(&AUTHORIZATION).is_none() {
            let mut headers = Headers::new();
            headers.insert(WWW_AUTHENTICATE, self.challenge.clone());
            return Ok(AsyncRawResponse::from_bytes(StatusCode::Unauthorized, headers, Bytes::new()));
        }
        let Some((first, rest)) = next.split_first() else {
            return Err(Error::with_message(ErrorKind::Other, "no transport follows"));
        };
        let logged_as = request.headers().get_optional_string(&CLIENT_REQUEST_ID);
        let (status, mut headers, body) = first.send(context, request, rest).await?.deconstruct();
        if let Some(id) = logged_as {
            headers.insert(CLIENT_REQUEST_ID, id);
        }
        Ok(AsyncRawResponse::new(status, headers, Box::pin(body)))
    }
}
