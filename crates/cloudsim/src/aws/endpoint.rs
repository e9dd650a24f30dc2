//! The one endpoint of STS and KMS: from a request through faults, authentication and the operation to the log.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use serde_json::Value;

use super::call::{Call, Service};
use super::error::AwsError;
use super::{auth, kms, sts, trail};
use crate::faults::{FaultEffect, FaultPlan};
use crate::log::{CallDecision, CallFacts, CallRecord};
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
            let mut facts = self.facts(&call);
            let plan = self.shared.faults.take(&facts);
            self.pause(plan.delay).await;
            let outcome = match &plan.instead {
                Some(effect) => self.fault(&call, effect, &facts, &plan, &request_id),
                None => {
                    let answer = self.execute(&call, &mut facts);
                    self.log(&facts, &answer, &plan, &request_id);
                    with_faulty_answer(call.encode(&answer, &request_id), plan.answer.as_ref())
                }
            };
            self.pause(plan.answer_delay).await;
            outcome
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

    fn fault(
        &self,
        call: &Call,
        effect: &FaultEffect,
        facts: &CallFacts,
        plan: &FaultPlan,
        request_id: &str,
    ) -> Outcome {
        let error = match effect {
            FaultEffect::Error { status, code, message } => AwsError {
                decision: CallDecision::Faulted,
                ..AwsError::with_status(
                    StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                    code.clone(),
                    message.clone(),
                )
            },
            _ => AwsError::throttled(call.service),
        };
        let silent = matches!(effect, FaultEffect::Drop | FaultEffect::Reset);
        let answer = Err(error);
        self.shared.log.append(CallRecord {
            status: if silent { 0 } else { call.encode(&answer, request_id).status().as_u16() },
            error_code: answer.as_ref().err().filter(|_| !silent).map(|error| error.code.to_string()),
            error_message: None,
            ..self.record(facts, CallDecision::Faulted, plan, request_id)
        });
        match effect {
            FaultEffect::Drop => Outcome::Silence,
            FaultEffect::Reset => Outcome::Reset,
            _ => with_faulty_answer(call.encode(&answer, request_id), plan.answer.as_ref()),
        }
    }

    fn log(&self, facts: &CallFacts, answer: &Result<Value, AwsError>, plan: &FaultPlan, request_id: &str) {
        let (decision, status) = match answer {
            Ok(_) => (CallDecision::Allowed, StatusCode::OK),
            Err(error) => (error.decision, error.status),
        };
        let error = answer.as_ref().err();
        self.shared.log.append(CallRecord {
            status: status.as_u16(),
            error_code: error.map(|error| error.code.to_string()),
            error_message: error.map(|error| error.message.clone()),
            reason: error.and_then(|error| error.reason.clone()),
            ..self.record(facts, decision, plan, request_id)
        });
        if let Some(event) = trail::of_call(facts).filter(|_| answer.is_ok()) {
            self.shared.log.append_management(self.shared.clock.now(), event);
        }
    }

    fn record(
        &self,
        facts: &CallFacts,
        decision: CallDecision,
        plan: &FaultPlan,
        request_id: &str,
    ) -> CallRecord {
        CallRecord {
            sequence: 0,
            time: self.shared.clock.now(),
            request_id: request_id.to_owned(),
            facts: facts.clone(),
            decision,
            status: 0,
            error_code: None,
            error_message: None,
            reason: None,
            faults: plan.kinds.clone(),
        }
    }

    async fn pause(&self, duration: Duration) {
        if !duration.is_zero() {
            self.shared.clock.sleep(duration).await;
        }
    }
}

/// What an answer's fault makes of it.
pub(crate) fn with_faulty_answer(response: Response<Bytes>, effect: Option<&FaultEffect>) -> Outcome {
    match effect {
        Some(FaultEffect::DropAnswer) => Outcome::Silence,
        Some(FaultEffect::Truncate) => Outcome::Truncate(response),
        Some(FaultEffect::Corrupt) => Outcome::Answer(response.map(|body| garble(&body))),
        _ => Outcome::Answer(response),
    }
}

/// Flips a bit of every other byte: neither JSON nor XML survives it.
fn garble(body: &[u8]) -> Bytes {
    body.iter().enumerate().map(|(index, byte)| if index % 2 == 0 { byte ^ 0x10 } else { *byte }).collect()
}
