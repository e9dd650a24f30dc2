//! The `Condition` element.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition.html>

use serde_json::Value;

use super::context::ConditionContext;
use super::error::PolicyError;
use super::operator::{Operator, Quantifier, Test};
use super::pattern::{Template, Token, Variables, Wildcards, glob, glob_arn};
use super::value::{AddressRange, moment, number, truth};

/// Conditions, all of which have to hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Conditions {
    all: Vec<Condition>,
}

/// One key against its expected values, any of which may match.
#[derive(Clone, Debug, PartialEq)]
struct Condition {
    operator: Operator,
    key: String,
    expected: Vec<Expected>,
}

#[derive(Clone, Debug, PartialEq)]
enum Expected {
    Text(Template),
    Number(f64),
    Moment(i128),
    Truth(bool),
    Addresses(AddressRange),
}

impl Conditions {
    /// Reads the element at `at`.
    pub(super) fn parse(value: &Value, variables: Variables, at: &str) -> Result<Self, PolicyError> {
        let Value::Object(operators) = value else {
            return Err(PolicyError::wrong_type(at, "an object of operators"));
        };
        let mut all = Vec::new();
        for (name, keys) in operators {
            let operator = Operator::parse(name)
                .ok_or_else(|| PolicyError::invalid(at, name, "a condition operator"))?;
            let at = format!("{at}.{name}");
            let Value::Object(keys) = keys else {
                return Err(PolicyError::wrong_type(&at, "an object of condition keys"));
            };
            for (key, values) in keys {
                all.push(Condition::parse(operator, key, values, variables, &at)?);
            }
        }
        Ok(Self { all })
    }

    /// Whether all of them hold.
    pub(super) fn hold(&self, context: &ConditionContext) -> bool {
        self.all.iter().all(|condition| condition.holds(context))
    }
}

impl Condition {
    fn parse(
        operator: Operator,
        key: &str,
        values: &Value,
        variables: Variables,
        at: &str,
    ) -> Result<Self, PolicyError> {
        if !key.split_once(':').is_some_and(|(vendor, name)| !vendor.is_empty() && !name.is_empty()) {
            return Err(PolicyError::invalid(at, key, "a condition key such as \"aws:SourceIp\""));
        }
        let at = format!("{at}.{key}");
        let expected = texts(values, &at)?
            .iter()
            .map(|text| Expected::parse(operator.test, text, variables, &at))
            .collect::<Result<_, _>>()?;
        Ok(Self { operator, key: key.to_owned(), expected })
    }

    fn holds(&self, context: &ConditionContext) -> bool {
        let values = context.values(&self.key);
        if self.operator.test == Test::Null {
            return self.expected.contains(&Expected::Truth(values.is_empty()));
        }
        if values.is_empty() {
            return self.holds_without_key();
        }
        let matchers: Vec<Option<Matcher<'_>>> =
            self.expected.iter().map(|expected| expected.resolve(context)).collect();
        let Operator { quantifier, test, negated, .. } = self.operator;
        // A variable without a value makes the statement not apply, even where "not equal" would be true of it.
        if negated && matchers.iter().any(Option::is_none) {
            return false;
        }
        let matches = |value: &String| matchers.iter().flatten().any(|matcher| matcher.matches(test, value));
        match quantifier {
            None => values.iter().any(matches) != negated,
            Some(Quantifier::ForAny) => values.iter().any(|value| matches(value) != negated),
            Some(Quantifier::ForAll) => values.iter().all(|value| matches(value) != negated),
        }
    }

    fn holds_without_key(&self) -> bool {
        self.operator.if_exists
            || match self.operator.quantifier {
                None => self.operator.negated,
                Some(Quantifier::ForAll) => true,
                Some(Quantifier::ForAny) => false,
            }
    }
}

/// An expected value with its variables filled in.
enum Matcher<'a> {
    Text(Vec<Token>),
    Fixed(&'a Expected),
}

impl Expected {
    fn parse(test: Test, text: &str, variables: Variables, at: &str) -> Result<Self, PolicyError> {
        let or_invalid =
            |parsed: Option<Self>, what| parsed.ok_or_else(|| PolicyError::invalid(at, text, what));
        match test {
            Test::Equals | Test::EqualsIgnoreCase => {
                Template::parse(text, Wildcards::Off, variables, at).map(Self::Text)
            }
            Test::Like | Test::Arn => Template::parse(text, Wildcards::On, variables, at).map(Self::Text),
            Test::Numeric(_) => or_invalid(number(text).map(Self::Number), "a number"),
            Test::Date(_) => or_invalid(moment(text).map(Self::Moment), "a date"),
            Test::Bool | Test::Null => or_invalid(truth(text).map(Self::Truth), "true or false"),
            Test::Ip => {
                or_invalid(AddressRange::parse(text).map(Self::Addresses), "an address or a range of them")
            }
        }
    }

    fn resolve(&self, context: &ConditionContext) -> Option<Matcher<'_>> {
        match self {
            Self::Text(template) => template.resolve(context).map(Matcher::Text),
            fixed => Some(Matcher::Fixed(fixed)),
        }
    }
}

impl Matcher<'_> {
    /// Whether the request's value matches; one that cannot be read as what the operator compares does not.
    fn matches(&self, test: Test, value: &str) -> bool {
        match (test, self) {
            (Test::Equals | Test::Like, Self::Text(pattern)) => glob(pattern, value),
            (Test::EqualsIgnoreCase, Self::Text(pattern)) => glob(&lowercase(pattern), &value.to_lowercase()),
            (Test::Arn, Self::Text(pattern)) => glob_arn(pattern, value),
            (Test::Numeric(order), Self::Fixed(Expected::Number(expected))) => {
                number(value).is_some_and(|actual| order.holds(&actual, expected))
            }
            (Test::Date(order), Self::Fixed(Expected::Moment(expected))) => {
                moment(value).is_some_and(|actual| order.holds(&actual, expected))
            }
            (Test::Bool, Self::Fixed(Expected::Truth(expected))) => truth(value) == Some(*expected),
            (Test::Ip, Self::Fixed(Expected::Addresses(range))) => {
                value.parse().is_ok_and(|address| range.contains(address))
            }
            _ => false,
        }
    }
}

fn lowercase(pattern: &[Token]) -> Vec<Token> {
    let mut lower = Vec::with_capacity(pattern.len());
    for token in pattern {
        match token {
            Token::Literal(character) => lower.extend(character.to_lowercase().map(Token::Literal)),
            wildcard => lower.push(*wildcard),
        }
    }
    lower
}

/// One value or an array of at least one; JSON's booleans and numbers are taken for their text.
fn texts(value: &Value, at: &str) -> Result<Vec<String>, PolicyError> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        _ => Err(PolicyError::wrong_type(at, "a string, number or boolean, or an array of them")),
    };
    match value {
        Value::Array(values) if values.is_empty() => {
            Err(PolicyError::wrong_type(at, "an array of at least one"))
        }
        Value::Array(values) => values.iter().map(text).collect(),
        one => Ok(vec![text(one)?]),
    }
}
