//! The one endpoint of STS and KMS: from a request through faults, authentication and the operation to the log.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, StatusCode};
use serde_json::Value;

use super::call::{Call, Service};
use super::error::AwsError;
use super::{auth, kms, sts, trail};
use crate::exchange::{self, Reply};
use crate::faults::FaultEffect;
use crate::log::{CallDecision, CallFacts};
use crate::server::{Handler, Outcome};
use crate::simulator::Shared;

/// Serves STS and KMS.
pub(crate) struct Endpoint {
    pub(crate) shared: Arc<Shared>,
}

impl Handler for Endpoint {
    fn handle(self: Arc<Self>, request: Request<Bytes>) -> BoxFuture<'static, Outcome> {
        async move {
            let call = Call::parse(request);
            let request_id = uuid::Uuid::new_v4().to_string();
            let execute = |facts: &mut CallFacts| {
                let reply = reply(&call, self.execute(&call, facts), &request_id);
                let succeeded = reply.decision == CallDecision::Allowed;
                Reply { event: trail::of_call(facts).filter(|_| succeeded), ..reply }
            };
            let fault = |effect: &FaultEffect| reply(&call, Err(fault(call.service, effect)), &request_id);
            exchange::run(&self.shared, &request_id, self.facts(&call), execute, fault).await
        }
        .boxed()
    }
}

impl Endpoint {
    /// What can be told about a call before it is authenticated; faults match on it.
    fn facts(&self, call: &Call) -> CallFacts {
        let state = self.shared.aws.read();
        let mut facts = CallFacts {
            service: call.service.name().to_owned(),
            operation: call.operation.clone(),
            ..CallFacts::default()
        };
        auth::add_facts(call, &state, &mut facts);
        match call.service {
            Service::Sts => sts::add_facts(call, &mut facts),
            Service::Kms => kms::add_facts(call, &state, &mut facts),
        }
        facts
    }

    fn execute(&self, call: &Call, facts: &mut CallFacts) -> Result<Value, AwsError> {
        match call.service {
            Service::Sts => sts::execute(call, &self.shared, facts),
            Service::Kms => kms::execute(call, &self.shared, facts),
        }
    }
}

/// The error that a fault answers in the call's place.
fn fault(service: Service, effect: &FaultEffect) -> AwsError {
    match effect {
        FaultEffect::Error { status, code, message } => AwsError::with_status(
            StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code.clone(),
            message.clone(),
        ),
        _ => AwsError::throttled(service),
    }
}

fn reply(call: &Call, answer: Result<Value, AwsError>, request_id: &str) -> Reply {
    let response = call.encode(&answer, request_id);
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
