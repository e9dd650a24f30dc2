//! The way of Google's client for Cloud KMS over our own connections.
//!
//! The client's own way follows redirects, also with a body that holds a key, takes a proxy from the environment, reads
//! answers of any length, and leaves them in memory. Only what we call is implemented; the client says of the rest that it
//! is not.

use bytes::BytesMut;
use google_cloud_auth::errors::CredentialsError;
use google_cloud_gax::Result;
use google_cloud_gax::error::Error;
use google_cloud_gax::error::rpc::Status;
use google_cloud_gax::options::RequestOptions;
use google_cloud_gax::response::{Parts, Response};
use google_cloud_iam_v1::model::{TestIamPermissionsRequest, TestIamPermissionsResponse};
use google_cloud_kms_v1::model::{
    CryptoKey, DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, GetCryptoKeyRequest,
};
use google_cloud_kms_v1::stub::KeyManagementService;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroize;

use crate::assume::KeySession;
use crate::call::CallId;
use crate::transport::{self, Unread};

/// That enumerations come as numbers, as the client's models have them.
const NUMBERS: &str = "%24alt=json%3Benum-encoding%3Dint";

tokio::task_local! {
    /// The connections and headers of the one call to Cloud KMS that the task makes just now.
    static SENT: (reqwest::Client, HeaderMap);
}

/// Runs `call`, which makes one call to Cloud KMS, with this session and under this id.
pub(crate) async fn signed<F: Future>(session: &KeySession, id: &CallId, call: F) -> F::Output {
    let mut headers = id.headers(Some(&session.plan.tenant));
    headers.extend(transport::bearer(&session.token));
    SENT.scope((session.http.clone(), headers), call).await
}

/// Cloud KMS at one place, for the session of whichever call the task makes.
#[derive(Debug)]
pub(crate) struct Direct {
    /// Without a slash at the end.
    pub(crate) url: String,
}

impl KeyManagementService for Direct {
    async fn encrypt(
        &self,
        mut request: EncryptRequest,
        _: RequestOptions,
    ) -> Result<Response<EncryptResponse>> {
        let name = std::mem::take(&mut request.name);
        self.post(&format!("{name}:encrypt"), &request).await
    }

    async fn decrypt(
        &self,
        mut request: DecryptRequest,
        _: RequestOptions,
    ) -> Result<Response<DecryptResponse>> {
        let name = std::mem::take(&mut request.name);
        self.post(&format!("{name}:decrypt"), &request).await
    }

    async fn get_crypto_key(
        &self,
        request: GetCryptoKeyRequest,
        _: RequestOptions,
    ) -> Result<Response<CryptoKey>> {
        self.ask(Method::GET, &request.name, Vec::new()).await
    }

    async fn test_iam_permissions(
        &self,
        mut request: TestIamPermissionsRequest,
        _: RequestOptions,
    ) -> Result<Response<TestIamPermissionsResponse>> {
        let resource = std::mem::take(&mut request.resource);
        self.post(&format!("{resource}:testIamPermissions"), &request).await
    }
}

impl Direct {
    async fn post<T: DeserializeOwned>(&self, path: &str, request: &impl Serialize) -> Result<Response<T>> {
        let body = serde_json::to_vec(request).map_err(|_| Error::ser("the request has no JSON"))?;
        self.ask(Method::POST, path, body).await
    }

    /// One question and its answer. The names in `path` were parsed, and mean nothing else to a URL.
    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Response<T>> {
        let (http, headers) = SENT
            .try_with(Clone::clone)
            .map_err(|_| Error::authentication(CredentialsError::from_msg(false, "no session")))?;
        let mut request = http.request(method, format!("{}/v1/{path}?{NUMBERS}", self.url)).headers(headers);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let (status, headers, body) =
            transport::receive(request.send().await).await.map_err(|unread| match unread {
                Unread::TooLong => Error::deser("the answer is too long"),
                Unread::Cut(error) if error.is_timeout() => Error::timeout(error),
                Unread::Cut(error) if error.is_connect() => Error::connect(error),
                Unread::Cut(error) => Error::io(error),
            })?;
        if status.is_success() {
            let parsed = parsed(body)?;
            return Ok(Response::from_parts(Parts::new().set_headers(headers), parsed));
        }
        let body = body.freeze();
        Err(match Status::try_from(&body) {
            Ok(said) => Error::service_with_http_metadata(said, Some(status.as_u16()), Some(headers)),
            Err(_) => Error::http(status.as_u16(), headers, body),
        })
    }
}

/// What an answer says; its bytes, which may hold a key, are wiped.
fn parsed<T: DeserializeOwned>(mut body: BytesMut) -> Result<T> {
    let parsed = serde_json::from_slice(&body);
    body.zeroize();
    // The parser's words may quote the answer.
    parsed.map_err(|_| Error::deser("the answer is not what was asked for"))
}
