//! The credentials endpoint of ECS tasks and of EKS Pod Identity.
//!
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use super::ambient::{self, Ambient};
use crate::log::CallFacts;
use crate::secret::SecretText;
use crate::server::{Handler, Outcome, plain};
use crate::simulator::Shared;

/// Where the credentials are served, as `AWS_CONTAINER_CREDENTIALS_FULL_URI` ends.
pub(crate) const PATH: &str = "/v1/credentials";

/// Serves the credentials of one container.
pub(crate) struct Container {
    pub(crate) shared: Arc<Shared>,
    /// What `AWS_CONTAINER_AUTHORIZATION_TOKEN` holds.
    pub(crate) token: SecretText,
}

impl Handler for Container {
    fn handle(self: Arc<Self>, request: Request<Bytes>) -> BoxFuture<'static, Outcome> {
        async move {
            let ambient = Ambient { shared: &self.shared, service: "container" };
            let facts = CallFacts { operation: "GetCredentials".to_owned(), ..CallFacts::default() };
            ambient.answer(facts, || self.answer(&request)).await
        }
        .boxed()
    }
}

impl Container {
    fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        if request.uri().path() != PATH || request.method() != Method::GET {
            return answer(StatusCode::NOT_FOUND, &json!({"code": "NotFound", "message": "no such path"}));
        }
        let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if !token.is_some_and(|token| self.token.matches(token)) {
            let body = json!({"code": "AccessDenied", "message": "the authorization token does not fit"});
            return answer(StatusCode::UNAUTHORIZED, &body);
        }
        let Some(session) = ambient::container_session(&self.shared) else {
            return answer(
                StatusCode::BAD_REQUEST,
                &json!({"code": "NoIdMapping", "message": "the task has no role"}),
            );
        };
        answer(
            StatusCode::OK,
            &json!({
                "AccessKeyId": session.access_key_id,
                "SecretAccessKey": session.secret.expose(),
                "Token": session.token.expose(),
                "Expiration": session.expires_at.iso(),
                "AccountId": session.role.account.to_string(),
                "RoleArn": session.role.to_string(),
            }),
        )
    }
}

fn answer(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = plain(status, "");
    *response.body_mut() = Bytes::from(body.to_string());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
