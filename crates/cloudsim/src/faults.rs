//! Injected faults: which calls they hit, how often, and what happens to those calls.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::log::{CallFacts, CallMatch};

/// A fault to inject.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSpec {
    /// The calls it hits; all when empty.
    #[serde(default, rename = "match")]
    pub matching: CallMatch,
    /// What happens to them.
    pub effect: FaultEffect,
    /// How many calls it hits before it is used up; until cleared when absent.
    #[serde(default)]
    pub count: Option<u32>,
}

/// What a fault does to a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultEffect {
    /// Answers with the service's own throttling error; the call is not carried out.
    Throttle,
    /// Answers with this error; the call is not carried out.
    Error {
        /// HTTP status.
        status: u16,
        /// The cloud's error code.
        code: String,
        /// The cloud's message.
        #[serde(default)]
        message: String,
    },
    /// Waits before the call is carried out: policies are read after the wait.
    Delay {
        /// Milliseconds of real time.
        ms: u64,
    },
    /// Carries the call out at once and holds the answer back.
    AnswerAfter {
        /// Milliseconds of real time.
        ms: u64,
    },
    /// A black hole: the call is not carried out and never answered; the connection stays open.
    Drop,
    /// The call is carried out, but its answer is lost and the connection stays open.
    DropAnswer,
    /// The call is not carried out; the connection is reset (TCP RST).
    Reset,
    /// The call is carried out; the connection ends in the middle of the answer's body.
    Truncate,
    /// The call is carried out; the answer's body is garbled.
    Corrupt,
}

impl FaultEffect {
    /// The name of its kind, as the control API spells it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Throttle => "throttle",
            Self::Error { .. } => "error",
            Self::Delay { .. } => "delay",
            Self::AnswerAfter { .. } => "answer_after",
            Self::Drop => "drop",
            Self::DropAnswer => "drop_answer",
            Self::Reset => "reset",
            Self::Truncate => "truncate",
            Self::Corrupt => "corrupt",
        }
    }
}

/// Names an injected fault, to clear it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(pub(crate) u64);

/// An injected fault and how often it has hit.
#[derive(Clone, Debug, Serialize)]
pub struct FaultStatus {
    /// Its name.
    pub id: FaultId,
    /// What was asked for; `count` is what is left of it.
    #[serde(flatten)]
    pub spec: FaultSpec,
    /// Calls it has hit so far.
    pub hits: u64,
}

/// All faults in force.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    last_id: u64,
    active: Vec<FaultStatus>,
}

impl Faults {
    pub(crate) fn inject(&self, spec: FaultSpec) -> FaultId {
        let mut inner = self.inner();
        inner.last_id += 1;
        let id = FaultId(inner.last_id);
        inner.active.push(FaultStatus { id, spec, hits: 0 });
        id
    }

    /// Clears one fault; says whether it was still in force.
    pub(crate) fn clear(&self, id: FaultId) -> bool {
        let mut inner = self.inner();
        let before = inner.active.len();
        inner.active.retain(|fault| fault.id != id);
        inner.active.len() < before
    }

    pub(crate) fn clear_all(&self) {
        self.inner().active.clear();
    }

    pub(crate) fn list(&self) -> Vec<FaultStatus> {
        self.inner().active.clone()
    }

    /// The faults that hit this call, in order of injection, each counted down.
    pub(crate) fn take(&self, facts: &CallFacts) -> FaultPlan {
        let mut inner = self.inner();
        let mut plan = FaultPlan::default();
        for fault in inner.active.iter_mut().filter(|fault| fault.spec.matching.matches(facts)) {
            fault.hits += 1;
            if let Some(count) = &mut fault.spec.count {
                *count = count.saturating_sub(1);
            }
            plan.add(&fault.spec.effect);
        }
        inner.active.retain(|fault| fault.spec.count != Some(0));
        plan
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to happen to one call: delays add up, and of each kind of ending the first wins.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    pub(crate) kinds: Vec<String>,
    pub(crate) delay: Duration,
    pub(crate) answer_delay: Duration,
    /// Takes the place of carrying the call out.
    pub(crate) instead: Option<FaultEffect>,
    /// Happens to the answer.
    pub(crate) answer: Option<FaultEffect>,
}

impl FaultPlan {
    fn add(&mut self, effect: &FaultEffect) {
        self.kinds.push(effect.kind().to_owned());
        match effect {
            FaultEffect::Delay { ms } => self.delay += Duration::from_millis(*ms),
            FaultEffect::AnswerAfter { ms } => self.answer_delay += Duration::from_millis(*ms),
            FaultEffect::Throttle | FaultEffect::Error { .. } | FaultEffect::Drop | FaultEffect::Reset => {
                self.instead.get_or_insert_with(|| effect.clone());
            }
            FaultEffect::DropAnswer | FaultEffect::Truncate | FaultEffect::Corrupt => {
                self.answer.get_or_insert_with(|| effect.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(operation: &str) -> CallFacts {
        CallFacts { service: "kms".into(), operation: operation.into(), ..CallFacts::default() }
    }

    #[test]
    fn a_fault_hits_only_what_it_names_and_only_as_often_as_asked() {
        let faults = Faults::default();
        let matching = CallMatch { operation: Some("Decrypt".into()), ..CallMatch::default() };
        faults.inject(FaultSpec { matching, effect: FaultEffect::Throttle, count: Some(2) });
        assert!(faults.take(&facts("Encrypt")).instead.is_none());
        assert_eq!(faults.take(&facts("Decrypt")).instead, Some(FaultEffect::Throttle));
        assert_eq!(faults.take(&facts("Decrypt")).instead, Some(FaultEffect::Throttle));
        assert!(faults.take(&facts("Decrypt")).instead.is_none());
        assert!(faults.list().is_empty());
    }

    #[test]
    fn a_fault_without_a_count_stays_until_cleared() {
        let faults = Faults::default();
        let spec = FaultSpec { matching: CallMatch::default(), effect: FaultEffect::Drop, count: None };
        let id = faults.inject(spec);
        for _ in 0..5 {
            assert!(faults.take(&facts("Encrypt")).instead.is_some());
        }
        assert!(faults.clear(id));
        assert!(!faults.clear(id));
        assert!(faults.take(&facts("Encrypt")).instead.is_none());
    }
}
