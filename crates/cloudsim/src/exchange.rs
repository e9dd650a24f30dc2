//! What happens to every call of every cloud: faults before it, the log after it, and what a fault makes of its answer.

use std::time::Duration;

use bytes::Bytes;
use http::Response;

use crate::faults::{FaultEffect, FaultPlan};
use crate::log::{CallDecision, CallFacts, CallRecord};
use crate::server::Outcome;
use crate::simulator::Shared;

/// A cloud's answer to a call, and what the log says of it.
pub(crate) struct Reply {
    pub(crate) response: Response<Bytes>,
    pub(crate) decision: CallDecision,
    pub(crate) error_code: Option<String>,
    pub(crate) error_message: Option<String>,
    /// Why policy refused, also where the caller is not told.
    pub(crate) reason: Option<String>,
    /// The management event that the call makes, if it was an owner's edit.
    pub(crate) event: Option<CallFacts>,
}

/// Runs a call: `execute` carries it out and may add to its facts; `fault` is the cloud's form of a fault that takes its
/// place, which is [`FaultEffect::Error`] or [`FaultEffect::Throttle`].
pub(crate) async fn run(
    shared: &Shared,
    request_id: &str,
    mut facts: CallFacts,
    execute: impl FnOnce(&mut CallFacts) -> Reply,
    fault: impl FnOnce(&FaultEffect) -> Reply,
) -> Outcome {
    let plan = shared.faults.take(&facts);
    pause(shared, plan.delay).await;
    let outcome = match &plan.instead {
        Some(effect @ (FaultEffect::Drop | FaultEffect::Reset)) => {
            shared.log.append(record(shared, request_id, facts, CallDecision::Faulted, &plan));
            if matches!(effect, FaultEffect::Drop) { Outcome::Silence } else { Outcome::Reset }
        }
        Some(effect) => {
            let reply = fault(effect);
            shared.log.append(CallRecord {
                status: reply.response.status().as_u16(),
                error_code: reply.error_code,
                ..record(shared, request_id, facts, CallDecision::Faulted, &plan)
            });
            with_faulty_answer(reply.response, plan.answer.as_ref())
        }
        None => {
            let reply = execute(&mut facts);
            shared.log.append(CallRecord {
                status: reply.response.status().as_u16(),
                error_code: reply.error_code,
                error_message: reply.error_message,
                reason: reply.reason,
                ..record(shared, request_id, facts, reply.decision, &plan)
            });
            if let Some(event) = reply.event {
                shared.log.append_management(shared.clock.now(), event);
            }
            with_faulty_answer(reply.response, plan.answer.as_ref())
        }
    };
    pause(shared, plan.answer_delay).await;
    outcome
}

fn record(
    shared: &Shared,
    request_id: &str,
    facts: CallFacts,
    decision: CallDecision,
    plan: &FaultPlan,
) -> CallRecord {
    CallRecord {
        sequence: 0,
        time: shared.clock.now(),
        request_id: request_id.to_owned(),
        facts,
        decision,
        status: 0,
        error_code: None,
        error_message: None,
        reason: None,
        faults: plan.kinds.clone(),
    }
}

async fn pause(shared: &Shared, duration: Duration) {
    if !duration.is_zero() {
        shared.clock.sleep(duration).await;
    }
}

/// What an answer's fault makes of it.
fn with_faulty_answer(response: Response<Bytes>, effect: Option<&FaultEffect>) -> Outcome {
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
