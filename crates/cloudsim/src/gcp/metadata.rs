//! The metadata server of the platform's machine.
//!
//! <https://cloud.google.com/compute/docs/metadata/overview>

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use super::name::{ProjectId, ServiceAccountEmail};
use super::oauth::id_token;
use super::world::State;
use super::world::service_account::ServiceAccount;
use super::world::token::Token;
use crate::clock::Timestamp;
use crate::exchange::{self, Reply};
use crate::faults::FaultEffect;
use crate::log::{CallDecision, CallFacts};
use crate::secret::SecretText;
use crate::server::{Handler, Outcome, plain};
use crate::simulator::Shared;

const FLAVOR: &str = "metadata-flavor";
const ROOT: &str = "/computeMetadata/v1/";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const LIFETIME: Duration = Duration::from_secs(3600);
/// The server hands the same token out until it has less than this to live.
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// The platform's machine.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    pub(crate) project: Option<ProjectId>,
    pub(crate) service_account: Option<ServiceAccountEmail>,
    /// By unique id of the service account and scopes.
    cached: HashMap<(String, String), (SecretText, Timestamp)>,
}

impl Machine {
    /// Forgets the tokens that it would hand out again.
    pub(crate) fn forget_tokens(&mut self) {
        self.cached.clear();
    }
}

/// Serves the machine's metadata.
pub(crate) struct Metadata {
    pub(crate) shared: Arc<Shared>,
}

impl Handler for Metadata {
    fn handle(self: Arc<Self>, request: Request<Bytes>) -> BoxFuture<'static, Outcome> {
        async move {
            let request_id = uuid::Uuid::new_v4().to_string();
            let facts = self.facts(&request);
            let execute = |_: &mut CallFacts| {
                let response = self.answer(&request);
                let succeeded = response.status().is_success();
                let decision = if succeeded { CallDecision::Allowed } else { CallDecision::Failed };
                reply(response, decision)
            };
            exchange::run(&self.shared, &request_id, facts, execute, fault).await
        }
        .boxed()
    }
}

fn reply(response: Response<Bytes>, decision: CallDecision) -> Reply {
    Reply { response, decision, error_code: None, error_message: None, reason: None, event: None }
}

fn fault(effect: &FaultEffect) -> Reply {
    let status = match effect {
        FaultEffect::Error { status, .. } => *status,
        _ => StatusCode::TOO_MANY_REQUESTS.as_u16(),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply(flavored(plain(status, "")), CallDecision::Faulted)
}

impl Metadata {
    fn facts(&self, request: &Request<Bytes>) -> CallFacts {
        let state = self.shared.gcp.read();
        let account = state.machine.service_account.as_ref();
        let operation = match request.uri().path().rsplit('/').next() {
            Some("token") => "GetToken",
            Some("identity") => "GetIdentity",
            _ => "GetMetadata",
        };
        CallFacts {
            service: "gcp_metadata".to_owned(),
            operation: operation.to_owned(),
            account: state.machine.project.as_ref().map(ToString::to_string),
            role: account.map(ToString::to_string),
            ..CallFacts::default()
        }
    }

    fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path();
        if path == "/" {
            return text("computeMetadata/\n".to_owned());
        }
        if request.method() != Method::GET {
            return flavored(plain(StatusCode::METHOD_NOT_ALLOWED, ""));
        }
        // A request that went through a proxy, or that a page had a browser make, is not the machine's own.
        let headers = request.headers();
        if headers.contains_key("x-forwarded-for") {
            return flavored(plain(StatusCode::FORBIDDEN, "X-Forwarded-For is not allowed"));
        }
        if headers.get(FLAVOR).is_none_or(|flavor| flavor != "Google") {
            return flavored(plain(StatusCode::FORBIDDEN, "Missing Metadata-Flavor:Google header."));
        }
        let query = request.uri().query().unwrap_or_default();
        let query: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        path.strip_prefix(ROOT).map_or_else(not_found, |path| self.metadata(path, &query))
    }

    fn metadata(&self, path: &str, query: &BTreeMap<String, String>) -> Response<Bytes> {
        let parts: Vec<_> = path.trim_end_matches('/').split('/').collect();
        match parts[..] {
            ["universe", "universe-domain" | "universe_domain"] => text("googleapis.com".to_owned()),
            ["project", "project-id"] => self.project(|id, _| id.to_string()),
            ["project", "numeric-project-id"] => self.project(|_, number| number.to_string()),
            ["instance", "id"] => text("4520031799277581759".to_owned()),
            ["instance", "zone"] => {
                self.project(|_, number| format!("projects/{number}/zones/europe-west3-a"))
            }
            ["instance", "service-accounts"] => self.service_accounts(query),
            ["instance", "service-accounts", named, ref rest @ ..] => {
                self.service_account(named, rest, query)
            }
            _ => not_found(),
        }
    }

    fn project(&self, show: fn(&ProjectId, u64) -> String) -> Response<Bytes> {
        let state = self.shared.gcp.read();
        let Some(id) = &state.machine.project else { return not_found() };
        state.projects.get(id).map_or_else(not_found, |project| text(show(id, project.number)))
    }

    fn service_accounts(&self, query: &BTreeMap<String, String>) -> Response<Bytes> {
        let state = self.shared.gcp.read();
        let Some(account) = current(&state, "default") else { return text(String::new()) };
        if is_recursive(query) {
            let shown = described(account);
            return json_answer(&json!({"default": shown, account.email.to_string(): shown}));
        }
        text(format!("default/\n{}/\n", account.email))
    }

    fn service_account(
        &self,
        named: &str,
        rest: &[&str],
        query: &BTreeMap<String, String>,
    ) -> Response<Bytes> {
        if rest == ["token"] {
            return self.token(named, query);
        }
        let state = self.shared.gcp.read();
        let Some(account) = current(&state, named) else { return not_found() };
        match rest {
            [] if is_recursive(query) => json_answer(&described(account)),
            [] => text("aliases\nemail\nidentity\nscopes\ntoken\n".to_owned()),
            ["email"] => text(account.email.to_string()),
            ["scopes"] => text(format!("{SCOPE}\n")),
            ["aliases"] => text("default\n".to_owned()),
            ["identity"] => self.identity(account, query),
            _ => not_found(),
        }
    }

    fn token(&self, named: &str, query: &BTreeMap<String, String>) -> Response<Bytes> {
        let now = self.shared.clock.now();
        let mut state = self.shared.gcp.write();
        let Some(account) = current(&state, named) else { return not_found() };
        if *account.disabled.at(now) {
            return flavored(plain(StatusCode::FORBIDDEN, "The service account is disabled."));
        }
        let scopes = query.get("scopes").filter(|scopes| !scopes.is_empty()).map_or(SCOPE, String::as_str);
        let principal = account.principal();
        let place = (account.unique_id.clone(), scopes.to_owned());
        let at_hand =
            state.machine.cached.get(&place).filter(|(_, expires)| expires.since(now) > RENEW_BEFORE);
        let (token, expires_at) = match at_hand {
            Some(at_hand) => at_hand.clone(),
            None => {
                let expires_at = now.plus(LIFETIME);
                let scopes = scopes.split(',').map(str::to_owned).collect();
                let Ok(token) = state.tokens.issue(Token { principal, scopes, expires_at }, now) else {
                    return flavored(plain(StatusCode::INTERNAL_SERVER_ERROR, ""));
                };
                state.machine.cached.insert(place, (token.clone(), expires_at));
                (token, expires_at)
            }
        };
        let left = expires_at.since(now).as_secs();
        json_answer(&json!({"access_token": token.expose(), "expires_in": left, "token_type": "Bearer"}))
    }

    fn identity(&self, account: &ServiceAccount, query: &BTreeMap<String, String>) -> Response<Bytes> {
        let Some(audience) = query.get("audience").filter(|audience| !audience.is_empty()) else {
            return flavored(plain(StatusCode::BAD_REQUEST, "non-empty audience parameter required"));
        };
        let full = query.get("format").is_some_and(|format| format == "full");
        match id_token(&self.shared, account, audience, full) {
            Ok(token) => text(token),
            Err(_) => flavored(plain(StatusCode::INTERNAL_SERVER_ERROR, "")),
        }
    }
}

/// The machine's service account, by `default` or its email.
fn current<'s>(state: &'s State, named: &str) -> Option<&'s ServiceAccount> {
    let email = state.machine.service_account.as_ref()?;
    let meant = named == "default" || named == email.to_string();
    state.service_account(email).filter(|_| meant)
}

fn described(account: &ServiceAccount) -> Value {
    json!({"aliases": ["default"], "email": account.email.to_string(), "scopes": [SCOPE]})
}

fn is_recursive(query: &BTreeMap<String, String>) -> bool {
    query.get("recursive").is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn not_found() -> Response<Bytes> {
    flavored(plain(StatusCode::NOT_FOUND, ""))
}

fn text(body: String) -> Response<Bytes> {
    let mut response = plain(StatusCode::OK, "");
    *response.body_mut() = Bytes::from(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/text"));
    flavored(response)
}

fn json_answer(body: &Value) -> Response<Bytes> {
    let mut response = text(body.to_string());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Every answer says that it is Google's, so that a client can tell that it has not reached someone else.
fn flavored(mut response: Response<Bytes>) -> Response<Bytes> {
    let headers = response.headers_mut();
    headers.insert(FLAVOR, HeaderValue::from_static("Google"));
    headers.insert(header::SERVER, HeaderValue::from_static("Metadata Server for VM"));
    response
}
