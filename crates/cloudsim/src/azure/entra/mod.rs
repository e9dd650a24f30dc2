//! Microsoft Entra ID: tokens for applications, and the documents by which clients find its endpoints and keys.

pub(crate) mod assertion;
pub(crate) mod discovery;
pub(crate) mod refusals;
pub(crate) mod signer;
pub(crate) mod token;

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde_json::Value;

use super::clouds::Cloud;
use super::error::AzureError;
use crate::log::CallFacts;
use crate::simulator::Shared;

/// What is asked of Entra ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Token,
    OpenIdConfiguration,
    InstanceDiscovery,
    Keys,
    Unknown,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Token => "Token",
            Self::OpenIdConfiguration => "OpenIdConfiguration",
            Self::InstanceDiscovery => "InstanceDiscovery",
            Self::Keys => "Keys",
            Self::Unknown => "Unknown",
        }
    }
}

/// A request to Entra ID.
#[derive(Debug)]
pub(crate) struct EntraCall {
    operation: Operation,
    /// `https://` and the host that was called.
    base: String,
    /// The cloud that was called by name; none on the loopback address, which serves all.
    cloud: Option<Cloud>,
    /// The directory as the path names it.
    directory: String,
    /// The form, or the query.
    parameters: BTreeMap<String, String>,
}

impl EntraCall {
    pub(crate) fn parse(request: &Request<Bytes>, host: &str, cloud: Option<Cloud>) -> Self {
        let parts: Vec<&str> = request.uri().path().split('/').filter(|part| !part.is_empty()).collect();
        let post = request.method() == Method::POST;
        let operation = match parts.get(1..).unwrap_or_default() {
            ["oauth2", "v2.0", "token"] if post => Operation::Token,
            ["v2.0", ".well-known", "openid-configuration"] if !post => Operation::OpenIdConfiguration,
            ["discovery", "instance"] if !post => Operation::InstanceDiscovery,
            ["discovery", "v2.0", "keys"] | ["discovery", "keys"] if !post => Operation::Keys,
            _ => Operation::Unknown,
        };
        let encoded =
            if post { request.body() } else { request.uri().query().unwrap_or_default().as_bytes() };
        Self {
            operation,
            base: format!("https://{host}"),
            cloud,
            directory: parts.first().copied().unwrap_or_default().to_owned(),
            parameters: form_urlencoded::parse(encoded).into_owned().collect(),
        }
    }

    /// A parameter that is given and not empty.
    fn text(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }
}

/// What can be told about a call before anything is checked; faults match on it.
pub(crate) fn facts(call: &EntraCall, shared: &Shared) -> CallFacts {
    let state = shared.azure.read();
    let client = call.text("client_id").map(str::to_ascii_lowercase);
    let home = client.as_deref().and_then(|id| id.parse().ok()).and_then(|id| state.apps.get(&id));
    let mut facts = CallFacts {
        operation: call.operation.name().to_owned(),
        account: Some(
            state
                .directory_named(&call.directory)
                .map_or_else(|| call.directory.clone(), |directory| directory.id.to_string()),
        ),
        caller_account: home.map(|app| app.home.to_string()),
        role: client.clone(),
        principal: client,
        ..CallFacts::default()
    };
    if call.operation == Operation::Token {
        for name in ["grant_type", "scope"] {
            facts.parameters.extend(call.text(name).map(|value| (name.to_owned(), value.to_owned())));
        }
        let credential = token::credential_kind(call);
        facts.parameters.insert("credential".to_owned(), credential.to_owned());
    }
    facts
}

pub(crate) fn execute(call: &EntraCall, shared: &Shared, facts: &mut CallFacts) -> Result<Value, AzureError> {
    match call.operation {
        Operation::Token => token::token(call, shared, facts),
        Operation::OpenIdConfiguration => discovery::openid_configuration(call, shared),
        Operation::InstanceDiscovery => Ok(discovery::instance(call)),
        Operation::Keys => discovery::keys(),
        Operation::Unknown => {
            let message = "Endpoint not found.";
            Err(AzureError::entra(StatusCode::NOT_FOUND, "invalid_request", 900561, message))
        }
    }
}
