//! Reads a query of the call log from a URL.

use crate::error::SimError;
use crate::log::{CallDecision, CallQuery};

/// Reads `service=kms&operation=Decrypt&context.branch=main&after=7`.
pub(super) fn query(text: &str) -> Result<CallQuery, SimError> {
    let mut query = CallQuery::default();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        let value = value.into_owned();
        let matching = &mut query.matching;
        match name.as_ref() {
            "service" => matching.service = Some(value),
            "operation" => matching.operation = Some(value),
            "region" => matching.region = Some(value),
            "account" => matching.account = Some(value),
            "role" => matching.role = Some(value),
            "key" => matching.key = Some(value),
            "key_version" => matching.key_version = Some(value),
            "principal" => matching.principal = Some(value),
            "error_code" => query.error_code = Some(value),
            "decision" => query.decision = Some(decision(&value)?),
            "management" => query.management = flag(&value)?,
            "after" => query.after = number(&value)?,
            "limit" => query.limit = Some(number(&value)?),
            other => match other.strip_prefix("context.") {
                Some(key) => {
                    matching.encryption_context.insert(key.to_owned(), value);
                }
                None => return Err(SimError::invalid("query", format!("unknown parameter {other:?}"))),
            },
        }
    }
    Ok(query)
}

fn decision(text: &str) -> Result<CallDecision, SimError> {
    serde_json::from_value(text.into()).map_err(|_| SimError::invalid("decision", format!("{text:?}")))
}

fn flag(text: &str) -> Result<bool, SimError> {
    text.parse().map_err(|_| SimError::invalid("flag", format!("{text:?}")))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, SimError> {
    text.parse().map_err(|_| SimError::invalid("number", format!("{text:?}")))
}
