//! What is written about one decision.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use leasehold_ids::{BindingId, TenantId};
use serde::{Deserialize, Serialize};

use crate::wall;

/// Most bytes of a text that somebody else chose, such as a cloud's request id. Everything else in a record is bounded by its
/// type, so that no answer of a cloud's makes a line that is too long.
const MAX_FOREIGN: usize = 512;

/// What stands for what was cut off.
const CUT: &str = "…";

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done, and the answer was about to be sent.
    Served,
    /// It was decided not to: the caller may not, the tenant does not let us, or the request is wrong.
    Refused,
    /// It could not be done: something did not answer, or has no room.
    Failed,
    /// It was recorded as served, and then neither answered nor changed, because the lease ended or the registry refused in
    /// between. Follows a `served` of the same request, and takes it back.
    Withheld,
    /// The caller went away, or the deadline passed, before it was answered or changed. If it follows a `served` of the same
    /// request, it takes that back.
    Abandoned,
    /// It was recorded as served, and then the registry did not say whether it took the change. Follows a `served` of the
    /// same request.
    Unknown,
}

/// Where the key of an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerSource {
    /// From what was held under the lease; the tenant's cloud was not asked.
    Cache,
    /// From the tenant's cloud.
    Cloud,
}

/// What a rewrap unwrapped.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Origin {
    /// The binding under which the key was wrapped before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<BindingId>,
    /// The tenant's key that it was wrapped with, as the cloud names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<Box<str>>,
    /// A digest of the encryption context that it was wrapped with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_digest: Option<Box<str>>,
    /// Where the key came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<AnswerSource>,
    /// The cloud's request id of the unwrap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_request_id: Option<Box<str>>,
    /// How long ago the proof began under which it was unwrapped, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof_age_ms: Option<u64>,
}

/// One decision. Everything here may be read by auditors: ids, names, digests, and what the tenant marked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When it was decided, by the wall clock; RFC 3339 in UTC.
    #[serde(with = "wall")]
    pub time: SystemTime,
    /// The id of the request, as the caller's answer carries it.
    pub request_id: Box<str>,
    /// Who asked.
    pub caller: Box<str>,
    /// What was asked for: the name of the method.
    pub operation: Cow<'static, str>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was not served, in UPPER_SNAKE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'static, str>>,
    /// The rule that allowed the caller to ask; none if no rule did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Box<str>>,
    /// Whether only a check was asked for, and nothing changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub validate_only: bool,
    /// The tenant that was named, existing or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// The binding of the tenant that was used or changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<BindingId>,
    /// The tenant's key, as the cloud names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<Box<str>>,
    /// A digest of the encryption context, in lower-case hexadecimal; equal for equal contexts only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_digest: Option<Box<str>>,
    /// The entries of the encryption context that the tenant marked as loggable.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<Box<str>, Box<str>>,
    /// Of a rewrap, what was unwrapped; the fields around it are about what it was wrapped as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Box<Origin>>,
    /// Where the key came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<AnswerSource>,
    /// The cloud's request id, under which the tenant finds the call in their own audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_request_id: Option<Box<str>>,
    /// The cloud's code for what went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_code: Option<Box<str>>,
    /// How long ago the proof began under which the answer was given, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof_age_ms: Option<u64>,
    /// What the caller says that it did when a lease ended, for example `wiped`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Cow<'static, str>>,
    /// Which life of the lease the caller says that it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_epoch: Option<u64>,
    /// How long the decision took, in microseconds, without the writing of this record.
    pub latency_us: u64,
}

impl Record {
    /// The same with what clouds said cut to a length that a line has room for.
    pub(crate) fn within_bounds(mut self) -> Self {
        let of_origin = self.origin.as_mut().and_then(|origin| origin.cloud_request_id.as_mut());
        for text in self.cloud_request_id.iter_mut().chain(&mut self.cloud_code).chain(of_origin) {
            let mut shortened = std::mem::take(text).into_string();
            shorten(&mut shortened);
            *text = shortened.into();
        }
        self
    }

    /// `span` as whole milliseconds, for [`Record::proof_age_ms`].
    #[must_use]
    pub fn millis(span: Duration) -> u64 {
        u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
    }

    /// `span` as whole microseconds, for [`Record::latency_us`].
    #[must_use]
    pub fn micros(span: Duration) -> u64 {
        u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
    }
}

/// Cuts what is too long, and says so.
pub(crate) fn shorten(text: &mut String) {
    if text.len() > MAX_FOREIGN {
        text.truncate(text.floor_char_boundary(MAX_FOREIGN - CUT.len()));
        text.push_str(CUT);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn record(request_id: &str) -> Record {
        Record {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_500),
            request_id: request_id.into(),
            caller: "loopback".into(),
            operation: "UnwrapKey".into(),
            outcome: Outcome::Served,
            reason: None,
            rule: Some("local".into()),
            validate_only: false,
            tenant: Some("acme".parse().unwrap()),
            binding: None,
            key_id: None,
            context_digest: None,
            context: BTreeMap::new(),
            origin: None,
            source: Some(AnswerSource::Cache),
            cloud_request_id: None,
            cloud_code: None,
            proof_age_ms: Some(7),
            acknowledged: None,
            lease_epoch: None,
            latency_us: 12,
        }
    }

    #[test]
    fn p9_what_a_cloud_says_takes_no_more_of_a_record_than_there_is_room_for() {
        let mut long = record("r1");
        let (words, id) = ("é".repeat(100_000), Some("q".repeat(MAX_FOREIGN).into()));
        long.cloud_code = Some(words.clone().into());
        long.cloud_request_id.clone_from(&id);
        long.origin =
            Some(Box::new(Origin { cloud_request_id: Some(words.clone().into()), ..Origin::default() }));
        let bounded = long.within_bounds();
        let code = bounded.cloud_code.unwrap();
        assert!(code.len() <= MAX_FOREIGN && words.starts_with(code.strip_suffix(CUT).unwrap()), "{code}");
        assert_eq!(bounded.origin.unwrap().cloud_request_id, Some(code));
        assert_eq!(bounded.cloud_request_id, id, "what fits is left alone");
    }
}
