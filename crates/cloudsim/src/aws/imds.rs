//! The EC2 instance metadata service, version 2 only.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::ambient::{self, Ambient};
use crate::clock::Timestamp;
use crate::log::CallFacts;
use crate::secret::SecretText;
use crate::server::{Handler, Outcome, plain};
use crate::simulator::Shared;

const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";
const TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";
/// The longest life of a token: six hours.
const MAX_TTL: u64 = 21_600;
/// Tokens remembered; a client takes one every few hours.
const MAX_TOKENS: usize = 10_000;
const CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials/";

/// Serves the metadata of one instance.
pub(crate) struct Imds {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tokens: Mutex<HashMap<String, Timestamp>>,
}

impl Handler for Imds {
    fn handle(self: Arc<Self>, request: Request<Bytes>) -> BoxFuture<'static, Outcome> {
        async move {
            let ambient = Ambient { shared: &self.shared, service: "imds" };
            let facts = CallFacts { operation: operation(&request), ..CallFacts::default() };
            ambient.answer(facts, || self.answer(&request)).await
        }
        .boxed()
    }
}

fn operation(request: &Request<Bytes>) -> String {
    match request.uri().path() {
        "/latest/api/token" => "PutToken".to_owned(),
        path if path.starts_with(CREDENTIALS) => "GetCredentials".to_owned(),
        _ => "GetMetadata".to_owned(),
    }
}

impl Imds {
    fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path();
        if path == "/latest/api/token" {
            return self.put_token(request);
        }
        if request.method() != Method::GET {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "");
        }
        if !self.has_token(request.headers()) {
            return plain(StatusCode::UNAUTHORIZED, "");
        }
        // Leaves of the tree answer with and without a slash at their end, and clients ask for both.
        match path.strip_suffix('/').unwrap_or(path) {
            "/latest/meta-data/placement/region" => text(self.shared.config.region.to_string()),
            "/latest/meta-data/placement/availability-zone" => {
                text(format!("{}a", self.shared.config.region))
            }
            "/latest/meta-data/instance-id" => text(ambient::INSTANCE_ID.to_owned()),
            "/latest/dynamic/instance-identity/document" => text(self.identity_document().to_string()),
            _ => path
                .strip_prefix(CREDENTIALS.trim_end_matches('/'))
                .map_or_else(not_found, |rest| self.credentials(rest)),
        }
    }

    /// Only PUT makes tokens, and no proxy may be in between: that is what protects instances from forged requests.
    fn put_token(&self, request: &Request<Bytes>) -> Response<Bytes> {
        if request.method() != Method::PUT {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "");
        }
        if request.headers().contains_key("x-forwarded-for") {
            return plain(StatusCode::FORBIDDEN, "");
        }
        let ttl =
            request.headers().get(TTL_HEADER).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let Some(ttl) = ttl.filter(|ttl| (1..=MAX_TTL).contains(ttl)) else {
            return plain(StatusCode::BAD_REQUEST, "");
        };
        let Ok(token) = SecretText::generate(40) else {
            return plain(StatusCode::INTERNAL_SERVER_ERROR, "");
        };
        let now = self.shared.clock.now();
        let mut tokens = self.tokens();
        if tokens.len() >= MAX_TOKENS {
            tokens.retain(|_, expires| *expires > now);
        }
        tokens.insert(token.expose().to_owned(), now.plus(Duration::from_secs(ttl)));
        let mut response = text(token.expose().to_owned());
        response.headers_mut().insert(TTL_HEADER, HeaderValue::from(ttl));
        response
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let token = headers.get(TOKEN_HEADER).and_then(|value| value.to_str().ok());
        let now = self.shared.clock.now();
        token.is_some_and(|token| self.tokens().get(token).is_some_and(|expires| *expires > now))
    }

    fn credentials(&self, rest: &str) -> Response<Bytes> {
        let Some(role) = self.shared.aws.read().ambient.instance_role.clone() else { return not_found() };
        match rest.trim_start_matches('/') {
            "" => text(role.name),
            name if name == role.name => match ambient::instance_session(&self.shared) {
                Some(session) => text(
                    json!({
                        "Code": "Success",
                        "LastUpdated": session.issued_at.iso(),
                        "Type": "AWS-HMAC",
                        "AccessKeyId": session.access_key_id,
                        "SecretAccessKey": session.secret.expose(),
                        "Token": session.token.expose(),
                        "Expiration": session.expires_at.iso(),
                    })
                    .to_string(),
                ),
                // What an instance sees when EC2 cannot assume its role.
                None => text(
                    json!({"Code": "AssumeRoleUnauthorizedAccess", "Message": "EC2 cannot assume the role"})
                        .to_string(),
                ),
            },
            _ => not_found(),
        }
    }

    fn identity_document(&self) -> Value {
        let account =
            self.shared.aws.read().ambient.instance_role.as_ref().map(|role| role.account.to_string());
        json!({
            "accountId": account,
            "architecture": "x86_64",
            "availabilityZone": format!("{}a", self.shared.config.region),
            "imageId": "ami-0leasehold000000",
            "instanceId": ambient::INSTANCE_ID,
            "instanceType": "m7i.large",
            "privateIp": "127.0.0.1",
            "region": self.shared.config.region.to_string(),
            "version": "2017-09-30",
        })
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<String, Timestamp>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text(body: String) -> Response<Bytes> {
    let mut response = plain(StatusCode::OK, "");
    *response.body_mut() = Bytes::from(body);
    response
}

fn not_found() -> Response<Bytes> {
    plain(StatusCode::NOT_FOUND, "")
}
