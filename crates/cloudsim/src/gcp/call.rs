//! A request to one of Google's services, read as far as its service, operation and parameters.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::{Map, Value};

use super::error::GcpError;
use super::kms::resource::{self, Resource};

/// The services behind the Google endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    CloudKms,
    IamCredentials,
    Sts,
    /// The token endpoint for service-account keys and users.
    OAuth,
}

impl Service {
    /// Its name in the log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CloudKms => "cloud_kms",
            Self::IamCredentials => "iam_credentials",
            Self::Sts => "gcp_sts",
            Self::OAuth => "gcp_oauth",
        }
    }

    /// Where the real one is.
    pub(crate) fn host(self) -> &'static str {
        match self {
            Self::CloudKms => "cloudkms.googleapis.com",
            Self::IamCredentials => "iamcredentials.googleapis.com",
            Self::Sts => "sts.googleapis.com",
            Self::OAuth => "oauth2.googleapis.com",
        }
    }
}

/// What a request is about.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// Something of Cloud KMS.
    Kms(Resource),
    /// A service account by its email or unique id, and what stands for its project.
    ServiceAccount { project: String, named: String },
    /// A token.
    Token,
    /// Nothing that exists here.
    Unknown,
}

/// A request and what it asks for.
pub(crate) struct Call {
    pub(crate) service: Service,
    pub(crate) operation: String,
    pub(crate) subject: Subject,
    /// The body, or the form as an object.
    pub(crate) input: Value,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) request: Request<Bytes>,
}

impl Call {
    /// Tells the services apart by their paths.
    pub(crate) fn parse(request: Request<Bytes>) -> Self {
        let path = percent_decoded(request.uri().path());
        let query = request.uri().query().unwrap_or_default();
        let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let input = input(&request);
        let (service, operation, subject) = route(request.method(), &path);
        Self { service, operation, subject, input, query, request }
    }

    /// Why it calls, in its own words, which the audit log keeps
    /// (<https://cloud.google.com/apis/docs/system-parameters>).
    pub(crate) fn reason(&self) -> Option<&str> {
        self.request.headers().get("x-goog-request-reason")?.to_str().ok()
    }

    /// The token that says who calls.
    pub(crate) fn bearer(&self) -> Option<&str> {
        let value = self.request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    }

    /// A text parameter.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.input.get(name).and_then(Value::as_str)
    }

    /// A parameter of a token endpoint, in the spelling of forms or of JSON.
    pub(crate) fn either(&self, form: &str, json: &str) -> Option<&str> {
        self.text(form).or_else(|| self.text(json))
    }

    /// Encodes an answer or an error.
    pub(crate) fn encode(answer: &Result<Value, GcpError>) -> Response<Bytes> {
        let (status, body) = match answer {
            Ok(value) => (StatusCode::OK, value.to_string()),
            Err(error) => (error.status, error.body().to_string()),
        };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/json; charset=UTF-8");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }
}

fn route(method: &Method, path: &str) -> (Service, String, Subject) {
    match path {
        "/token" | "/oauth2/v4/token" => return (Service::OAuth, "Token".to_owned(), Subject::Token),
        "/oauth2/v3/certs" => return (Service::OAuth, "Certs".to_owned(), Subject::Token),
        "/v1/token" => return (Service::Sts, "ExchangeToken".to_owned(), Subject::Token),
        _ => {}
    }
    let name = path.strip_prefix("/v1/").unwrap_or_default();
    let parts: Vec<_> = name.splitn(4, '/').collect();
    if let ["projects", project, "serviceAccounts", rest] = parts[..] {
        let (named, verb) = rest.split_once(':').unwrap_or((rest, ""));
        let subject = Subject::ServiceAccount { project: project.to_owned(), named: named.to_owned() };
        return (Service::IamCredentials, capitalised(verb), subject);
    }
    match resource::parse(method, name) {
        Some((operation, resource)) => (Service::CloudKms, operation.to_owned(), Subject::Kms(resource)),
        None => (Service::CloudKms, "Unknown".to_owned(), Subject::Unknown),
    }
}

fn capitalised(verb: &str) -> String {
    let mut letters = verb.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

/// JSON, or a form as an object of texts. What is neither is nothing.
fn input(request: &Request<Bytes>) -> Value {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
        let fields = form_urlencoded::parse(request.body()).into_owned();
        return Value::Object(fields.map(|(name, value)| (name, value.into())).collect::<Map<_, _>>());
    }
    serde_json::from_slice(request.body()).unwrap_or(Value::Null)
}

fn percent_decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%')
            .then(|| after.get(..2).and_then(|pair| data_encoding::HEXLOWER_PERMISSIVE.decode(pair).ok()))
            .flatten();
        match escaped {
            Some(decoded) => {
                bytes.extend(decoded);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
