//! The metadata server of the machine that we run on (<https://cloud.google.com/compute/docs/metadata/overview>).

use std::time::Duration;

use bytes::BytesMut;
use leasehold_provider::{Fault, ProviderError};
use zeroize::{Zeroize, Zeroizing};

use crate::call::CallId;
use crate::error::metadata_refusal;
use crate::name::{Principal, ProjectId};
use crate::source::{Fetched, SCOPE, Token};
use crate::transport::read;

/// What marks requests to, and answers of, Google's metadata server. Without the mark an answer is somebody else's: other
/// clouds have a metadata server at the same address, and where there is none, whatever the network leads to may answer.
const FLAVOR: (&str, &str) = ("metadata-flavor", "Google");

/// The code of an answer that is not of Google's metadata server.
const NOT_GOOGLES: &str = "NOT_GOOGLES_METADATA_SERVER";

/// The metadata server.
#[derive(Debug, Clone)]
pub(crate) struct MetadataServer {
    /// Without a slash at the end.
    url: String,
    http: reqwest::Client,
}

#[derive(serde::Deserialize)]
struct Given {
    access_token: String,
    expires_in: Option<u64>,
}

impl MetadataServer {
    pub(crate) fn new(url: String, http: reqwest::Client) -> Self {
        Self { url, http }
    }

    /// Whom policies must name: the service account of the machine.
    pub(crate) async fn principal(&self) -> Result<Principal, ProviderError> {
        let answer = self.get("instance/service-accounts/default/email").await?;
        let text = text(&answer);
        // What GKE says for a Kubernetes service account that is none of Google's: the pool, which is not who we are.
        if text.ends_with(".svc.id.goog") {
            return Err(ProviderError::new(
                Fault::OwnIdentity,
                "the metadata server names a workload identity pool in place of a service account: set gcp.principal",
            ));
        }
        text.parse().map_err(|_| strange("the metadata server's answer is not a service account"))
    }

    /// The project that the machine is in.
    pub(crate) async fn project(&self) -> Result<ProjectId, ProviderError> {
        let answer = self.get("project/project-id").await?;
        text(&answer).parse().map_err(|_| strange("the metadata server's answer is not the id of a project"))
    }

    /// A token of the service account of the machine. The server gives the same one out until its last minutes.
    pub(crate) async fn token(&self) -> Result<Fetched, ProviderError> {
        let path = format!("instance/service-accounts/default/token?scopes={SCOPE}");
        let mut answer = self.get(&path).await?;
        let given: Result<Given, _> = serde_json::from_slice(&answer);
        answer.zeroize();
        let given = given.ok().filter(|given| !given.access_token.is_empty());
        let given = given.ok_or_else(|| strange("the metadata server's answer is not a token"))?;
        let token = Token::new(Zeroizing::new(given.access_token));
        Ok(Fetched { token, lasts: given.expires_in.map(Duration::from_secs) })
    }

    async fn get(&self, path: &str) -> Result<BytesMut, ProviderError> {
        let id = CallId::new();
        let url = format!("{}/computeMetadata/v1/{path}", self.url);
        let sent = self.http.get(url).header(FLAVOR.0, FLAVOR.1).send().await;
        let (status, headers, body) = read(sent, &id).await?;
        if headers.get(FLAVOR.0).is_none_or(|flavor| flavor != FLAVOR.1) {
            let error = strange("what answers in the place of the metadata server is not Google's");
            return Err(error.with_code(Some(NOT_GOOGLES)));
        }
        if status.is_success() {
            return Ok(body);
        }
        Err(metadata_refusal(status.as_u16(), &headers, &String::from_utf8_lossy(&body)))
    }
}

fn text(answer: &[u8]) -> &str {
    std::str::from_utf8(answer).map(str::trim).unwrap_or_default()
}

fn strange(detail: &str) -> ProviderError {
    ProviderError::new(Fault::Unavailable, detail)
}
