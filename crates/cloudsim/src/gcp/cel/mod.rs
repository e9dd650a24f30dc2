//! The part of the Common Expression Language that IAM conditions and workload identity federation are usually written in.
//!
//! Literals, lists, variables with their fields and indexes, `!`, `+`, comparisons, `in`, `&&`, `||`, `? :`, the text
//! functions `startsWith`, `endsWith`, `contains`, `extract`, `lowerAscii`, and `timestamp`, `duration`, `has`. An
//! expression that needs more is refused when it is loaded rather than taken for true or false.
//!
//! <https://cloud.google.com/iam/docs/conditions-attribute-reference>

mod eval;
mod parse;
#[cfg(test)]
mod tests;
mod token;

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::error::SimError;
use parse::Node;

/// A value of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Number(f64),
    Text(String),
    Time(Timestamp),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
    Null,
}

impl Value {
    pub(crate) fn map<const N: usize>(entries: [(&str, Value); N]) -> Self {
        Self::Map(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

impl From<&serde_json::Value> for Value {
    fn from(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(value) => Self::Number(value.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Self::Text(text.clone()),
            serde_json::Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            serde_json::Value::Object(fields) => {
                Self::Map(fields.iter().map(|(name, value)| (name.clone(), value.into())).collect())
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// What an expression refers to by name.
pub(crate) type Variables = BTreeMap<String, Value>;

/// An expression that could be read.
#[derive(Clone, Debug)]
pub(crate) struct Expression(Node);

impl Expression {
    /// Reads an expression that may refer to these variables.
    pub(crate) fn parse(text: &str, variables: &[&str]) -> Result<Self, SimError> {
        let refuse = |reason: String| SimError::invalid("expression", format!("{reason} in {text:?}"));
        let tokens = token::tokens(text).map_err(refuse)?;
        parse::parse(&tokens, variables).map(Self).map_err(refuse)
    }

    /// Its value; nothing where it fails, because a field is missing for example.
    pub(crate) fn value(&self, variables: &Variables) -> Option<Value> {
        eval::eval(&self.0, variables)
    }

    /// Whether it is true. What fails is not.
    pub(crate) fn holds(&self, variables: &Variables) -> bool {
        self.value(variables) == Some(Value::Bool(true))
    }
}
