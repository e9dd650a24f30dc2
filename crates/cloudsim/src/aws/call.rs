//! A request to STS or KMS, read as far as its service, operation and parameters.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use super::error::AwsError;
use super::xml;

const KMS_TARGET: &str = "TrentService.";

/// The services behind the AWS endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// The query protocol: form parameters in, XML out.
    Sts,
    /// The AWS JSON 1.1 protocol.
    Kms,
}

impl Service {
    /// Its name in signatures, policies and the log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sts => "sts",
            Self::Kms => "kms",
        }
    }
}

/// The parameters of a call.
#[derive(Debug)]
pub(crate) enum Parameters {
    Query(BTreeMap<String, String>),
    Json(Value),
}

/// A request and what it asks for.
pub(crate) struct Call {
    pub(crate) service: Service,
    pub(crate) operation: String,
    pub(crate) parameters: Parameters,
    pub(crate) request: Request<Bytes>,
}

impl Call {
    /// Tells the services apart by their protocols.
    pub(crate) fn parse(request: Request<Bytes>) -> Self {
        let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok());
        if let Some(target) = target {
            let operation = target.strip_prefix(KMS_TARGET).unwrap_or(target).to_owned();
            let parameters = serde_json::from_slice(request.body()).unwrap_or(Value::Null);
            return Self {
                service: Service::Kms,
                operation,
                parameters: Parameters::Json(parameters),
                request,
            };
        }
        let form = if request.method() == Method::GET {
            request.uri().query().unwrap_or_default().as_bytes()
        } else {
            request.body()
        };
        let parameters: BTreeMap<String, String> = form_urlencoded::parse(form).into_owned().collect();
        let operation = parameters.get("Action").cloned().unwrap_or_default();
        Self { service: Service::Sts, operation, parameters: Parameters::Query(parameters), request }
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// A text parameter, at the top level.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match &self.parameters {
            Parameters::Query(query) => query.get(name).map(String::as_str),
            Parameters::Json(json) => json.get(name).and_then(Value::as_str),
        }
    }

    /// The numbered list `{prefix}.member.{n}` of the query protocol, each item with its fields by suffix.
    pub(crate) fn members(&self, prefix: &str) -> Vec<BTreeMap<&str, &str>> {
        let Parameters::Query(query) = &self.parameters else { return Vec::new() };
        let mut members: BTreeMap<u32, BTreeMap<&str, &str>> = BTreeMap::new();
        for (name, value) in query {
            let Some(rest) = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(".member.")) else {
                continue;
            };
            let (number, field) = rest.split_once('.').unwrap_or((rest, ""));
            if let Ok(number) = number.parse() {
                members.entry(number).or_default().insert(field, value);
            }
        }
        members.into_values().collect()
    }

    /// Encodes the answer, or the error, in the call's protocol.
    pub(crate) fn encode(&self, answer: &Result<Value, AwsError>, request_id: &str) -> Response<Bytes> {
        match self.service {
            Service::Kms => encode_json(answer, request_id),
            Service::Sts => encode_xml(&self.operation, answer, request_id),
        }
    }
}

fn encode_json(answer: &Result<Value, AwsError>, request_id: &str) -> Response<Bytes> {
    let (status, body) = match answer {
        // KMS answers operations without a result with an empty body.
        Ok(Value::Null) => (StatusCode::OK, String::new()),
        Ok(value) => (StatusCode::OK, value.to_string()),
        Err(error) => {
            // Errors of the authorisation layer spell the member in upper case, those of KMS itself in lower case.
            let member = if error.code == "AccessDeniedException" { "Message" } else { "message" };
            (error.status, json!({"__type": error.code, member: error.message}).to_string())
        }
    };
    response(status, "application/x-amz-json-1.1", body, request_id)
}

fn encode_xml(operation: &str, answer: &Result<Value, AwsError>, request_id: &str) -> Response<Bytes> {
    match answer {
        Ok(value) => {
            response(StatusCode::OK, "text/xml", xml::result(operation, value, request_id), request_id)
        }
        Err(error) => response(error.status, "text/xml", xml::error(error, request_id), request_id),
    }
}

fn response(
    status: StatusCode,
    content_type: &'static str,
    body: String,
    request_id: &str,
) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    if let Ok(id) = http::HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}
