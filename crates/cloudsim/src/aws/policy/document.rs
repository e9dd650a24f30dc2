//! A policy document: JSON that has been read and understood in full.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::error::PolicyError;
use super::json::StrictJson;
use super::pattern::Variables;
use super::statement::Statement;

/// The longest text that is taken: a key policy may have 32 KiB, every other kind less.
///
/// <https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html>
const MAX_BYTES: usize = 32 * 1024;

/// A policy document in which every element was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyDocument {
    json: Value,
    statements: Vec<Statement>,
}

/// What a document is used as; the elements that it must and must not have depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// Attached to a user or role, or a boundary, or passed to an assume: no principals, but resources.
    Identity,
    /// A role's trust policy: principals, but no resources.
    Trust,
    /// A KMS key's policy: principals and resources.
    Key,
}

impl PolicyDocument {
    /// The document as it was written.
    pub fn as_json(&self) -> &Value {
        &self.json
    }

    /// Checks that the document has the elements that its use asks for, as the services do when it is put there.
    ///
    /// # Errors
    /// The first statement with an element too many or too few.
    pub fn check(&self, kind: PolicyKind) -> Result<(), PolicyError> {
        self.statements.iter().try_for_each(|statement| statement.check(kind))
    }

    pub(super) fn statements(&self) -> &[Statement] {
        &self.statements
    }
}

impl FromStr for PolicyDocument {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_BYTES {
            return Err(PolicyError::TooLong { limit: MAX_BYTES });
        }
        let StrictJson(json) =
            serde_json::from_str(text).map_err(|error| PolicyError::Json(error.to_string()))?;
        Self::try_from(&json)
    }
}

impl TryFrom<&Value> for PolicyDocument {
    type Error = PolicyError;

    fn try_from(json: &Value) -> Result<Self, PolicyError> {
        let Value::Object(elements) = json else {
            return Err(PolicyError::wrong_type("policy", "an object"));
        };
        if let Some(unknown) =
            elements.keys().find(|key| !matches!(key.as_str(), "Version" | "Id" | "Statement"))
        {
            return Err(PolicyError::Unexpected { at: unknown.clone() });
        }
        if elements.get("Id").is_some_and(|id| !id.is_string()) {
            return Err(PolicyError::wrong_type("Id", "a string"));
        }
        let variables = version(elements)?;
        Ok(Self { json: json.clone(), statements: statements(elements, variables)? })
    }
}

impl fmt::Display for PolicyDocument {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.json)
    }
}

/// Without a version a document is of 2008, where `${…}` is ordinary text.
///
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html>
fn version(elements: &Map<String, Value>) -> Result<Variables, PolicyError> {
    match elements.get("Version") {
        None => Ok(Variables::Off),
        Some(Value::String(version)) => match version.as_str() {
            "2012-10-17" => Ok(Variables::On),
            "2008-10-17" => Ok(Variables::Off),
            other => Err(PolicyError::invalid("Version", other, "2012-10-17 or 2008-10-17")),
        },
        Some(_) => Err(PolicyError::wrong_type("Version", "a string")),
    }
}

fn statements(elements: &Map<String, Value>, variables: Variables) -> Result<Vec<Statement>, PolicyError> {
    match elements.get("Statement") {
        None => Err(PolicyError::Missing { at: String::from("policy"), element: "Statement" }),
        Some(one @ Value::Object(_)) => Ok(vec![Statement::parse(one, variables, "Statement")?]),
        Some(Value::Array(many)) => many
            .iter()
            .enumerate()
            .map(|(index, one)| Statement::parse(one, variables, &format!("Statement[{index}]")))
            .collect(),
        Some(_) => Err(PolicyError::wrong_type("Statement", "an object or an array")),
    }
}
