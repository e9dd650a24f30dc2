//! The log of all calls that the simulated clouds received: what a tenant would find in its own audit log.
//!
//! It also holds management events: what the audit log says of edits that an owner made to policies, key states and
//! principals. They are no calls that Leasehold made, so a query gives them only when it asks for them.
//!
//! Records name principals, roles, keys and encryption contexts. They have no field that could hold plaintext, key
//! material, a secret access key or a token.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::clock::Timestamp;

/// Who called what on which resource; the part of a call that faults and log queries match on.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CallFacts {
    /// `sts`, `kms`, `imds`, `container`, `entra`, `key_vault` or `azure_identity`.
    pub service: String,
    /// The operation as the cloud names it: `AssumeRole`, `Decrypt`, …
    pub operation: String,
    /// The region the request was signed for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// ARN of the caller, as its access key id claims or, for a web identity, as its token says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// Account of the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller_account: Option<String>,
    /// ARN of the role whose session calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller_role: Option<String>,
    /// Access key id of the caller. Not a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,
    /// Account that owns what is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// ARN of the role being assumed or served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// ARN of the key used; in Azure its URL without the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The key's version, in clouds that have versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_version: Option<String>,
    /// The encryption context sent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub encryption_context: BTreeMap<String, String>,
    /// Other parameters that an audit log shows: `externalId`, `roleSessionName`, `sourceIdentity`, `dryRun`, …
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Whether this is an owner's edit rather than a call that the simulator received.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub management: bool,
}

/// What the simulated cloud decided about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallDecision {
    /// It was carried out.
    Allowed,
    /// Policy refused it.
    Denied,
    /// It failed for another reason: bad parameters, key state, credentials.
    Failed,
    /// An injected fault took its place; no policy was consulted.
    Faulted,
}

/// One call, as logged.
#[derive(Clone, Debug, Serialize)]
pub struct CallRecord {
    /// Position in the log, counted from 1 and never reused.
    pub sequence: u64,
    /// Simulated time of the decision.
    pub time: Timestamp,
    /// The id that the caller was given.
    pub request_id: String,
    /// Who, what, on which resource.
    #[serde(flatten)]
    pub facts: CallFacts,
    /// The verdict.
    pub decision: CallDecision,
    /// HTTP status of the answer; 0 when there was to be none.
    pub status: u16,
    /// The cloud's error code, if it was an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The cloud's error message, if it was an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Why policy refused, also where the cloud does not tell its caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The faults that were applied to it, by kind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

/// Which calls are meant. Every field given must match; an empty one matches all.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallMatch {
    /// As in [`CallFacts::service`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The operation, exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The region that the request is signed for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The account called, or the account calling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// ARN of the role assumed, or of the role whose session calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// ARN or URL of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The key's version, in clouds that have versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_version: Option<String>,
    /// ARN of the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// Entries that the encryption context has to contain.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub encryption_context: BTreeMap<String, String>,
}

impl CallMatch {
    /// Whether these facts are meant.
    pub fn matches(&self, facts: &CallFacts) -> bool {
        let exactly =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        let either = |wanted: &Option<String>, found: [&Option<String>; 2]| {
            wanted.is_none() || found.contains(&wanted)
        };
        exactly(&self.service, &facts.service)
            && exactly(&self.operation, &facts.operation)
            && either(&self.region, [&facts.region; 2])
            && either(&self.account, [&facts.account, &facts.caller_account])
            && either(&self.role, [&facts.role, &facts.caller_role])
            && either(&self.key, [&facts.key; 2])
            && either(&self.key_version, [&facts.key_version; 2])
            && either(&self.principal, [&facts.principal; 2])
            && self
                .encryption_context
                .iter()
                .all(|(key, value)| facts.encryption_context.get(key) == Some(value))
    }
}

/// A query of the log.
#[derive(Clone, Debug, Default)]
pub struct CallQuery {
    /// Which calls.
    pub matching: CallMatch,
    /// Only this error code.
    pub error_code: Option<String>,
    /// Only this verdict.
    pub decision: Option<CallDecision>,
    /// Management events, and nothing else. Without it they are left out.
    pub management: bool,
    /// Only records after this sequence number.
    pub after: u64,
    /// At most this many, the newest; all when absent.
    pub limit: Option<usize>,
}

impl CallQuery {
    fn matches(&self, record: &CallRecord) -> bool {
        record.sequence > self.after
            && record.facts.management == self.management
            && self.decision.is_none_or(|wanted| wanted == record.decision)
            && (self.error_code.is_none() || self.error_code == record.error_code)
            && self.matching.matches(&record.facts)
    }
}

/// A bounded ring of records: the newest `capacity` are kept.
#[derive(Debug)]
pub(crate) struct CallLog {
    capacity: usize,
    ring: Mutex<Ring>,
    /// The newest sequence number, for those who wait for a call.
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    last_sequence: u64,
    records: VecDeque<CallRecord>,
}

impl CallLog {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), ring: Mutex::default(), newest: watch::Sender::new(0) }
    }

    /// Appends a record, numbering it.
    pub(crate) fn append(&self, mut record: CallRecord) {
        let mut ring = self.ring();
        ring.last_sequence += 1;
        record.sequence = ring.last_sequence;
        if ring.records.len() == self.capacity {
            ring.records.pop_front();
        }
        ring.records.push_back(record);
        self.newest.send_replace(ring.last_sequence);
    }

    /// Appends the management event of an edit that was made: `facts` says by whom, how and to what, in the cloud's own
    /// words (`UpdateAssumeRolePolicy`, `KeyDisable`, `SetIamPolicy`, …).
    pub(crate) fn append_management(&self, time: Timestamp, facts: CallFacts) {
        self.append(CallRecord {
            sequence: 0,
            time,
            request_id: uuid::Uuid::new_v4().to_string(),
            facts: CallFacts { management: true, ..facts },
            decision: CallDecision::Allowed,
            status: 200,
            error_code: None,
            error_message: None,
            reason: None,
            faults: Vec::new(),
        });
    }

    /// Waits until at least `wanted` records match, and gives them, oldest first.
    pub(crate) async fn wait(&self, query: &CallQuery, wanted: usize) -> Vec<CallRecord> {
        let mut newest = self.newest.subscribe();
        loop {
            newest.mark_unchanged();
            if self.count(query) >= wanted {
                return self.query(query);
            }
            if newest.changed().await.is_err() {
                return Vec::new();
            }
        }
    }

    /// The records that match, oldest first.
    pub(crate) fn query(&self, query: &CallQuery) -> Vec<CallRecord> {
        let ring = self.ring();
        let limit = query.limit.unwrap_or(usize::MAX);
        let mut found: Vec<_> =
            ring.records.iter().rev().filter(|record| query.matches(record)).take(limit).cloned().collect();
        found.reverse();
        found
    }

    /// How many records match, without copying them.
    pub(crate) fn count(&self, query: &CallQuery) -> usize {
        self.ring().records.iter().filter(|record| query.matches(record)).count()
    }

    /// Forgets all records; numbering goes on.
    pub(crate) fn clear(&self) {
        self.ring().records.clear();
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(operation: &str) -> CallRecord {
        CallRecord {
            sequence: 0,
            time: Timestamp::from_unix_seconds(0),
            request_id: String::new(),
            facts: CallFacts { service: "kms".into(), operation: operation.into(), ..CallFacts::default() },
            decision: CallDecision::Allowed,
            status: 200,
            error_code: None,
            error_message: None,
            reason: None,
            faults: Vec::new(),
        }
    }

    #[test]
    fn the_log_keeps_the_newest_records_and_goes_on_counting() {
        let log = CallLog::new(2);
        for operation in ["Encrypt", "Decrypt", "Decrypt"] {
            log.append(record(operation));
        }
        let all = log.query(&CallQuery::default());
        assert_eq!(all.iter().map(|found| found.sequence).collect::<Vec<_>>(), [2, 3]);
        log.clear();
        log.append(record("Encrypt"));
        assert_eq!(log.query(&CallQuery::default())[0].sequence, 4);
    }

    #[tokio::test]
    async fn waiting_ends_with_the_call_that_was_waited_for() {
        let log = CallLog::new(10);
        log.append(record("Decrypt"));
        let query = CallQuery::default();
        let (found, ()) = futures::join!(log.wait(&query, 2), async { log.append(record("Encrypt")) });
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn management_events_are_left_out_unless_they_are_asked_for() {
        let log = CallLog::new(10);
        log.append(record("Decrypt"));
        log.append_management(Timestamp::from_unix_seconds(0), record("DisableKey").facts);
        let found = |management| log.query(&CallQuery { management, ..CallQuery::default() });
        let operations =
            |management| found(management).iter().map(|r| r.facts.operation.clone()).collect::<Vec<_>>();
        assert_eq!(
            (operations(false), operations(true)),
            (vec!["Decrypt".into()], vec!["DisableKey".to_owned()])
        );
    }

    #[test]
    fn a_query_narrows_by_operation_position_and_number() {
        let log = CallLog::new(10);
        for operation in ["Encrypt", "Decrypt", "Decrypt", "Decrypt"] {
            log.append(record(operation));
        }
        let decrypts = CallMatch { operation: Some("Decrypt".into()), ..CallMatch::default() };
        let query = CallQuery { matching: decrypts, after: 2, limit: Some(1), ..CallQuery::default() };
        let found = log.query(&query);
        assert_eq!(found.iter().map(|found| found.sequence).collect::<Vec<_>>(), [4]);
        assert_eq!(log.count(&query), 2);
    }
}
