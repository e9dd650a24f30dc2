//! Answers of the service as JSON and as text.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use leasehold_client::api::v1;
use serde_json::{Value, json};

use super::cloud;

pub(crate) fn tenant(tenant: &v1::Tenant) -> Value {
    let terms = tenant.lease_terms.unwrap_or_default();
    json!({
        "name": tenant.name,
        "display_name": tenant.display_name,
        "state": short(tenant.state().as_str_name(), "TENANT_STATE_"),
        "lease_terms": {
            "revocation_bound_seconds": terms.revocation_bound.map(seconds),
            "idle_after_seconds": terms.idle_after.map(seconds),
            "entry_max_age_seconds": terms.entry_max_age.map(seconds),
            "cache": short(terms.cache().as_str_name(), "CACHE_MODE_"),
        },
        "loggable_context": tenant.loggable_context,
        "active_binding": tenant.active_binding,
        "etag": tenant.etag,
        "create_time": tenant.create_time.and_then(time),
        "update_time": tenant.update_time.and_then(time),
        "delete_time": tenant.delete_time.and_then(time),
        "purge_time": tenant.purge_time.and_then(time),
    })
}

pub(crate) fn binding(binding: &v1::Binding) -> Value {
    let mut value = json!({
        "name": binding.name,
        "state": short(binding.state().as_str_name(), "BINDING_STATE_"),
        "canary_context": binding.canary_context,
        "hierarchy": short(binding.hierarchy().as_str_name(), "HIERARCHY_"),
        "external_id": binding.external_id,
        "version": binding.version,
        "etag": binding.etag,
        "create_time": binding.create_time.and_then(time),
        "update_time": binding.update_time.and_then(time),
        "lease": binding.lease.as_ref().map(lease),
    });
    if let Some((name, cloud)) = binding.cloud.as_ref().map(cloud::json) {
        value[name] = cloud;
    }
    value
}

pub(crate) fn lease(lease: &v1::LeaseStatus) -> Value {
    let denial = lease.denial.as_ref().map(|denial| {
        json!({
            "reason": denial.reason().wire_name(),
            "edge": denial.edge,
            "cloud_code": denial.cloud_code,
            "cloud_request_id": denial.cloud_request_id,
            "detail": denial.detail,
        })
    });
    json!({
        "binding": lease.binding,
        "state": short(lease.state().as_str_name(), "LEASE_STATE_"),
        "lease_ttl_seconds": lease.lease_ttl.map(seconds),
        "proof_age_seconds": lease.proof_age.map(seconds),
        "epoch": lease.epoch,
        "denial": denial,
        "masked": lease.masked,
        "rotation_unknown": lease.rotation_unknown,
    })
}

/// One line for people: the binding, the state, and what follows from it.
pub(crate) fn lease_line(lease: &v1::LeaseStatus) -> String {
    let state = short(lease.state().as_str_name(), "LEASE_STATE_");
    let mut line = format!("{:<40} {state:<9}", lease.binding);
    // Writing to a string does not fail.
    let _ = match (lease.state(), &lease.denial) {
        (v1::LeaseState::Live, _) => {
            let age = lease.proof_age.map(seconds).unwrap_or_default();
            let ttl = lease.lease_ttl.map(seconds).unwrap_or_default();
            write!(line, " {ttl:.1} s left, proven {age:.1} s ago")
        }
        (_, Some(denial)) => write!(line, " {}", denial.detail),
        _ => Ok(()),
    };
    if !lease.rotation_unknown.is_empty() {
        let _ = write!(line, "; rotations of the key are not followed: {}", lease.rotation_unknown);
    }
    line
}

/// `key: value` lines of an object, nested ones indented; the name comes first, and empty values are left out.
pub(crate) fn text(value: &Value) -> String {
    let mut out = String::new();
    lines(value, 0, &mut out);
    out.trim_end().to_owned()
}

fn lines(value: &Value, depth: usize, out: &mut String) {
    let Value::Object(entries) = value else { return };
    let (first, rest): (Vec<_>, Vec<_>) = entries.iter().partition(|(key, _)| *key == "name");
    for (name, value) in first.into_iter().chain(rest).filter(|(_, value)| !is_empty(value)) {
        let indent = "  ".repeat(depth);
        // Writing to a string does not fail.
        let _ = match value {
            Value::Object(_) => writeln!(out, "{indent}{name}:").map(|()| lines(value, depth + 1, out)),
            Value::String(text) => writeln!(out, "{indent}{name}: {text}"),
            other => writeln!(out, "{indent}{name}: {other}"),
        };
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The name of an enum's value without the enum's.
pub(crate) fn short<'a>(name: &'a str, prefix: &str) -> &'a str {
    name.strip_prefix(prefix).unwrap_or(name)
}

pub(crate) fn seconds(span: prost_types::Duration) -> f64 {
    Duration::try_from(span).unwrap_or_default().as_secs_f64()
}

fn time(at: prost_types::Timestamp) -> Option<String> {
    moment(SystemTime::try_from(at).ok()?)
}

/// `at` as in RFC 3339; none for a time that it cannot write, before 1970 or after the year 9999.
pub(crate) fn moment(at: SystemTime) -> Option<String> {
    const YEAR_10000: Duration = Duration::from_secs(253_402_300_800);
    let since = at.duration_since(SystemTime::UNIX_EPOCH).ok();
    since.filter(|since| *since < YEAR_10000).map(|_| humantime::format_rfc3339_millis(at).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_cannot_be_written_are_left_out() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(moment(at(253_402_300_799)).as_deref(), Some("9999-12-31T23:59:59.000Z"));
        assert_eq!(moment(at(253_402_300_800)), None);
        assert_eq!(moment(SystemTime::UNIX_EPOCH - Duration::from_nanos(1)), None);
    }

    #[test]
    fn text_leaves_out_what_is_empty() {
        let value = json!({ "a": "x", "b": "", "c": { "d": null }, "e": { "f": 1 }, "g": [], "h": false });
        assert_eq!(text(&value), "a: x\ne:\n  f: 1\nh: false");
    }
}
