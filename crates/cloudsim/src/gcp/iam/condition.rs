//! Conditions of bindings and deny rules, and the request that they are evaluated against.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::SimError;
use crate::gcp::cel::{Expression, Value, Variables};

/// The resource that a request is about, as conditions see it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// `cloudkms.googleapis.com`, …
    pub(crate) service: &'static str,
    /// `cloudkms.googleapis.com/CryptoKey`, …
    pub(crate) kind: &'static str,
    /// Its name, as the API takes it.
    pub(crate) name: String,
}

/// A condition as Google writes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConditionText {
    pub(crate) expression: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) location: Option<String>,
}

/// A condition that could be read.
#[derive(Clone, Debug)]
pub(crate) struct Condition(Expression);

impl Condition {
    pub(crate) fn parse(text: &ConditionText) -> Result<Self, SimError> {
        Expression::parse(&text.expression, &["resource", "request"]).map(Self)
    }

    /// Whether it is true of a request at a time.
    pub(crate) fn holds(&self, target: &Target, now: Timestamp) -> bool {
        let resource = Value::map([
            ("name", target.name.as_str().into()),
            ("service", target.service.into()),
            ("type", target.kind.into()),
        ]);
        let request = Value::map([("time", Value::Time(now))]);
        let variables = Variables::from([("resource".to_owned(), resource), ("request".to_owned(), request)]);
        self.0.holds(&variables)
    }
}
