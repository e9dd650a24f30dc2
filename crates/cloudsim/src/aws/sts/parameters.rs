//! Parameters that the assume operations share, checked as STS checks them.

use std::collections::{BTreeMap, BTreeSet};

use crate::aws::arn::{RoleArn, is_iam_name_byte};
use crate::aws::call::{Call, Service};
use crate::aws::error::AwsError;
use crate::aws::policy::{PolicyDocument, PolicyError, PolicyKind};

/// A session policy's plain text, in characters.
const MAX_POLICY_CHARS: usize = 2048;
/// Session tags of one request.
const MAX_TAGS: usize = 50;
/// STS packs session policy and tags into a binary form of undisclosed layout with a limit of its own. The simulator counts
/// their characters against this number, so that a full-length policy fits and one with many long tags does not.
const PACKED_LIMIT: usize = 3072;

/// What was asked for.
#[derive(Debug)]
pub(super) struct SessionParameters {
    pub(super) role: RoleArn,
    pub(super) session_name: String,
    /// Seconds; absent when the caller leaves it to STS.
    pub(super) duration: Option<u32>,
    pub(super) policies: Vec<PolicyDocument>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) transitive: BTreeSet<String>,
    /// Percent of the space for packed policy and tags; absent when there are none.
    pub(super) packed_percent: Option<usize>,
}

impl SessionParameters {
    pub(super) fn parse(call: &Call) -> Result<Self, AwsError> {
        let arn = required(call, "RoleArn", "roleArn")?;
        length("roleArn", arn, 20, 2048)?;
        let role =
            arn.parse().map_err(|_| AwsError::validation(Service::Sts, format!("{arn} is invalid")))?;
        let session_name = required(call, "RoleSessionName", "roleSessionName")?;
        check_text("roleSessionName", session_name, 64, "[\\w+=,.@-]*", is_iam_name_byte)?;
        let tags = tags(call)?;
        let transitive = transitive(call, &tags)?;
        let policies = session_policy(call)?;
        let packed_percent = packed(call.text("Policy"), &tags)?;
        Ok(Self {
            role,
            session_name: session_name.to_owned(),
            duration: duration(call)?,
            policies,
            tags,
            transitive,
            packed_percent,
        })
    }
}

/// An optional text parameter of 2 to `max` characters of an alphabet.
pub(super) fn optional<'a>(
    call: &'a Call,
    name: &str,
    member: &str,
    max: usize,
    pattern: &str,
    alphabet: fn(u8) -> bool,
) -> Result<Option<&'a str>, AwsError> {
    let value = call.text(name);
    if let Some(value) = value {
        check_text(member, value, max, pattern, alphabet)?;
    }
    Ok(value)
}

pub(super) fn required<'a>(call: &'a Call, name: &str, member: &str) -> Result<&'a str, AwsError> {
    call.text(name).ok_or_else(|| {
        AwsError::validation(
            Service::Sts,
            format!("1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"),
        )
    })
}

fn check_text(
    member: &str,
    value: &str,
    max: usize,
    pattern: &str,
    alphabet: fn(u8) -> bool,
) -> Result<(), AwsError> {
    length(member, value, 2, max)?;
    if value.bytes().all(alphabet) {
        return Ok(());
    }
    let constraint = format!("satisfy regular expression pattern: {pattern}");
    Err(AwsError::constraint(Service::Sts, member, value, &constraint))
}

fn length(member: &str, value: &str, min: usize, max: usize) -> Result<(), AwsError> {
    let constraint = if value.chars().count() < min {
        format!("have length greater than or equal to {min}")
    } else if value.chars().count() > max {
        format!("have length less than or equal to {max}")
    } else {
        return Ok(());
    };
    Err(AwsError::constraint(Service::Sts, member, value, &constraint))
}

fn duration(call: &Call) -> Result<Option<u32>, AwsError> {
    let Some(text) = call.text("DurationSeconds") else { return Ok(None) };
    let malformed = || AwsError::validation(Service::Sts, format!("{text} is not a valid DurationSeconds"));
    let seconds: u32 = text.parse().map_err(|_| malformed())?;
    let constraint = match seconds {
        0..900 => "have value greater than or equal to 900",
        900..=43200 => return Ok(Some(seconds)),
        _ => "have value less than or equal to 43200",
    };
    Err(AwsError::constraint(Service::Sts, "durationSeconds", text, constraint))
}

fn session_policy(call: &Call) -> Result<Vec<PolicyDocument>, AwsError> {
    if !call.members("PolicyArns").is_empty() {
        return Err(AwsError::validation(Service::Sts, "managed session policies are not simulated"));
    }
    let Some(text) = call.text("Policy") else { return Ok(Vec::new()) };
    if text.chars().count() > MAX_POLICY_CHARS {
        let constraint = format!("have length less than or equal to {MAX_POLICY_CHARS}");
        return Err(AwsError::constraint(Service::Sts, "policy", "…", &constraint));
    }
    let malformed = |error: PolicyError| AwsError::new("MalformedPolicyDocument", error.to_string());
    let document: PolicyDocument = text.parse().map_err(malformed)?;
    document.check(PolicyKind::Identity).map_err(malformed)?;
    Ok(vec![document])
}

fn tags(call: &Call) -> Result<BTreeMap<String, String>, AwsError> {
    let members = call.members("Tags");
    if members.len() > MAX_TAGS {
        return Err(AwsError::constraint(Service::Sts, "tags", "…", "have length less than or equal to 50"));
    }
    let mut tags = BTreeMap::new();
    for member in members {
        let (Some(key), Some(value)) = (member.get("Key"), member.get("Value")) else {
            return Err(AwsError::validation(Service::Sts, "every session tag needs a Key and a Value"));
        };
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(AwsError::constraint(
                Service::Sts,
                "tags",
                key,
                "have a key of 1 to 128 and a value of up to 256 characters",
            ));
        }
        // Tag keys are case-insensitive to STS, which refuses two that differ in case alone.
        if tags.keys().any(|known: &String| known.eq_ignore_ascii_case(key)) {
            return Err(AwsError::new(
                "InvalidParameterValue",
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
        tags.insert((*key).to_owned(), (*value).to_owned());
    }
    Ok(tags)
}

fn transitive(call: &Call, tags: &BTreeMap<String, String>) -> Result<BTreeSet<String>, AwsError> {
    let keys: BTreeSet<String> = call
        .members("TransitiveTagKeys")
        .iter()
        .filter_map(|member| Some((*member.get("")?).to_owned()))
        .collect();
    if keys.iter().any(|key| !tags.contains_key(key)) {
        return Err(AwsError::new(
            "InvalidParameterValue",
            "The specified transitive tag key must be included in the requested tags.",
        ));
    }
    Ok(keys)
}

fn packed(policy: Option<&str>, tags: &BTreeMap<String, String>) -> Result<Option<usize>, AwsError> {
    if policy.is_none() && tags.is_empty() {
        return Ok(None);
    }
    let size = policy.map_or(0, str::len)
        + tags.iter().map(|(key, value)| key.len() + value.len() + 2).sum::<usize>();
    let percent = (size * 100).div_ceil(PACKED_LIMIT);
    if percent > 100 {
        let message =
            format!("Packed size of session policy and tags consumes {percent}% of allotted space.");
        return Err(AwsError::new("PackedPolicyTooLarge", message));
    }
    Ok(Some(percent))
}
