//! The one endpoint of Cloud KMS, IAM Credentials, STS and OAuth tokens: from a request through faults, authentication
//! and the operation to the log.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, StatusCode};
use serde_json::Value;

use super::call::{Call, Service, Subject};
use super::error::{Form, GcpError};
use super::{auth, credentials, kms, oauth, sts, trail};
use crate::exchange::{self, Reply};
use crate::faults::FaultEffect;
use crate::log::{CallDecision, CallFacts};
use crate::server::{Handler, Outcome};
use crate::simulator::Shared;

/// Serves Google's APIs.
pub(crate) struct Endpoint {
    pub(crate) shared: Arc<Shared>,
}

impl Handler for Endpoint {
    fn handle(self: Arc<Self>, request: Request<Bytes>) -> BoxFuture<'static, Outcome> {
        async move {
            let call = Call::parse(request);
            let request_id = uuid::Uuid::new_v4().to_string();
            let facts = self.facts(&call);
            let project = facts.account.clone();
            let execute = |facts: &mut CallFacts| {
                let reply = reply(self.execute(&call, facts));
                let succeeded = reply.decision == CallDecision::Allowed;
                Reply { event: trail::of_call(facts).filter(|_| succeeded), ..reply }
            };
            let fault = |effect: &FaultEffect| reply(Err(fault(call.service, effect, project.as_deref())));
            exchange::run(&self.shared, &request_id, facts, execute, fault).await
        }
        .boxed()
    }
}

impl Endpoint {
    /// What can be told about a call before it is authenticated; faults match on it.
    fn facts(&self, call: &Call) -> CallFacts {
        let state = self.shared.gcp.read();
        let mut facts = CallFacts {
            service: call.service.name().to_owned(),
            operation: call.operation.clone(),
            parameters: call
                .reason()
                .map(|why| ("requestReason".to_owned(), why.to_owned()))
                .into_iter()
                .collect(),
            ..CallFacts::default()
        };
        auth::add_facts(call, &state, &mut facts);
        match (&call.subject, call.service) {
            (Subject::Kms(resource), _) => kms::add_facts(call, resource, &mut facts),
            (Subject::ServiceAccount { named, .. }, _) => {
                credentials::add_facts(call, named, &state, &mut facts);
            }
            (_, Service::Sts) => sts::add_facts(call, &state, &mut facts),
            (_, Service::OAuth) => oauth::add_facts(call, &state, &mut facts),
            _ => {}
        }
        facts
    }

    fn execute(&self, call: &Call, facts: &mut CallFacts) -> Result<Value, GcpError> {
        match (&call.subject, call.service) {
            (Subject::Kms(resource), _) => kms::execute(call, resource, &self.shared, facts),
            (Subject::ServiceAccount { project, named }, _) => {
                credentials::execute(call, project, named, &self.shared)
            }
            (Subject::Token, Service::Sts) => sts::execute(call, &self.shared, facts),
            (Subject::Token, _) => oauth::execute(call, &self.shared),
            (Subject::Unknown, _) => Err(GcpError::not_found("Method not found.")),
        }
    }
}

/// The error that a fault answers in the call's place.
fn fault(service: Service, effect: &FaultEffect, project: Option<&str>) -> GcpError {
    match effect {
        FaultEffect::Error { status, code, message } => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            // Token endpoints spell the caller's mistakes as OAuth does, and everything else as Google does.
            let is_oauth = code.starts_with(|first: char| first.is_ascii_lowercase());
            let form = if is_oauth { Form::OAuth } else { Form::Status };
            GcpError { form, ..GcpError::new(status, code.clone(), message.clone()) }
        }
        _ => GcpError::exhausted(service, project),
    }
}

fn reply(answer: Result<Value, GcpError>) -> Reply {
    let response = Call::encode(&answer);
    let error = answer.err();
    Reply {
        response,
        decision: error.as_ref().map_or(CallDecision::Allowed, |error| error.decision),
        error_code: error.as_ref().map(|error| error.code.to_string()),
        error_message: error.as_ref().map(|error| error.message.clone()),
        reason: error.and_then(|error| error.reason),
        event: None,
    }
}
