//! One statement of a policy: who, what, on what, and under which conditions.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html>

use serde_json::{Map, Value};

use super::condition::Conditions;
use super::document::PolicyKind;
use super::error::PolicyError;
use super::evaluate::Request;
use super::pattern::{Template, Token, Variables, Wildcards, glob, glob_arn, is_arn_pattern};
use super::principals::{Closeness, PrincipalSet};

const ELEMENTS: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

/// A statement, parsed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Statement {
    at: String,
    effect: Effect,
    principals: Option<Scope<PrincipalSet>>,
    actions: Scope<Vec<Vec<Token>>>,
    resources: Option<Scope<Vec<Template>>>,
    conditions: Conditions,
}

/// What a statement does when it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// An element in its plain form or its `Not…` form.
#[derive(Clone, Debug, PartialEq)]
enum Scope<T> {
    Only(T),
    AllBut(T),
}

impl Statement {
    /// Reads the statement at `at`.
    pub(super) fn parse(value: &Value, variables: Variables, at: &str) -> Result<Self, PolicyError> {
        let Value::Object(elements) = value else {
            return Err(PolicyError::wrong_type(at, "an object"));
        };
        if let Some(unknown) = elements.keys().find(|key| !ELEMENTS.contains(&key.as_str())) {
            return Err(PolicyError::Unexpected { at: format!("{at}.{unknown}") });
        }
        if elements.get("Sid").is_some_and(|sid| !sid.is_string()) {
            return Err(PolicyError::wrong_type(&format!("{at}.Sid"), "a string"));
        }
        let effect = effect(elements, at)?;
        let principals = scope(elements, "Principal", "NotPrincipal", at, PrincipalSet::parse)?;
        if effect == Effect::Allow && matches!(principals, Some(Scope::AllBut(_))) {
            return Err(PolicyError::Conflict {
                at: at.to_owned(),
                one: "Effect Allow",
                other: "NotPrincipal",
            });
        }
        Ok(Self {
            effect,
            principals,
            actions: scope(elements, "Action", "NotAction", at, actions)?
                .ok_or_else(|| PolicyError::Missing { at: at.to_owned(), element: "Action or NotAction" })?,
            resources: scope(elements, "Resource", "NotResource", at, |value, at| {
                resources(value, variables, at)
            })?,
            conditions: match elements.get("Condition") {
                None => Conditions::default(),
                Some(conditions) => Conditions::parse(conditions, variables, &format!("{at}.Condition"))?,
            },
            at: at.to_owned(),
        })
    }

    pub(super) fn effect(&self) -> Effect {
        self.effect
    }

    /// Checks which elements are there; see [`PolicyKind`].
    pub(super) fn check(&self, kind: PolicyKind) -> Result<(), PolicyError> {
        let unexpected = |element| Err(PolicyError::Unexpected { at: format!("{}.{element}", self.at) });
        let missing = |element| Err(PolicyError::Missing { at: self.at.clone(), element });
        match (kind, &self.principals, &self.resources) {
            (PolicyKind::Identity, Some(_), _) => unexpected("Principal"),
            (PolicyKind::Identity | PolicyKind::Key, _, None) => missing("Resource or NotResource"),
            (PolicyKind::Trust | PolicyKind::Key, None, _) => missing("Principal or NotPrincipal"),
            (PolicyKind::Trust, _, Some(_)) => unexpected("Resource"),
            (PolicyKind::Trust, Some(Scope::AllBut(_)), _) => unexpected("NotPrincipal"),
            _ => Ok(()),
        }
    }

    /// Whether a statement of an identity policy, boundary or session policy applies.
    ///
    /// One that names principals does not belong there: it cannot allow, but it can forbid.
    pub(super) fn applies(&self, request: &Request<'_>) -> bool {
        (self.principals.is_none() || self.effect == Effect::Deny) && self.applies_but_for_principal(request)
    }

    /// Whether a statement of a resource policy applies, and how closely it names the caller.
    ///
    /// `bounded` says that the caller has a permissions boundary, which a `NotPrincipal` never spares. A statement without
    /// principals does not belong in a resource policy: it cannot allow, but it can forbid.
    pub(super) fn applies_to(&self, request: &Request<'_>, bounded: bool) -> Option<Closeness> {
        let closeness = match &self.principals {
            Some(Scope::Only(set)) => set.names(request.principal)?,
            Some(Scope::AllBut(set)) if !bounded && set.spares(request.principal) => return None,
            Some(Scope::AllBut(_)) => Closeness::Itself,
            None if self.effect == Effect::Deny => Closeness::Itself,
            None => return None,
        };
        self.applies_but_for_principal(request).then_some(closeness)
    }

    fn applies_but_for_principal(&self, request: &Request<'_>) -> bool {
        let action: String = request.action.to_ascii_lowercase();
        let acts = |patterns: &Vec<Vec<Token>>| patterns.iter().any(|pattern| glob(pattern, &action));
        let action_applies = match &self.actions {
            Scope::Only(patterns) => acts(patterns),
            Scope::AllBut(patterns) => !acts(patterns),
        };
        action_applies && self.resource_applies(request) && self.conditions.hold(request.context)
    }

    fn resource_applies(&self, request: &Request<'_>) -> bool {
        let (templates, wanted) = match &self.resources {
            // A trust policy has no resource: it is about the role that it belongs to.
            None => return true,
            Some(Scope::Only(templates)) => (templates, true),
            Some(Scope::AllBut(templates)) => (templates, false),
        };
        let mut open = false;
        let matched = templates.iter().any(|template| match template.resolve(request.context) {
            Some(pattern) => glob_arn(&pattern, request.resource),
            None => {
                open = true;
                false
            }
        });
        // A variable without a value matches nothing, and must not widen a NotResource either.
        matched == wanted && (wanted || !open)
    }
}

fn effect(elements: &Map<String, Value>, at: &str) -> Result<Effect, PolicyError> {
    match elements.get("Effect") {
        None => Err(PolicyError::Missing { at: at.to_owned(), element: "Effect" }),
        Some(Value::String(effect)) if effect == "Allow" => Ok(Effect::Allow),
        Some(Value::String(effect)) if effect == "Deny" => Ok(Effect::Deny),
        Some(other) => {
            Err(PolicyError::invalid(&format!("{at}.Effect"), &other.to_string(), "Allow or Deny"))
        }
    }
}

/// Reads an element that has a `Not…` twin, of which at most one may be there.
fn scope<T>(
    elements: &Map<String, Value>,
    plain: &'static str,
    negated: &'static str,
    at: &str,
    read: impl Fn(&Value, &str) -> Result<T, PolicyError>,
) -> Result<Option<Scope<T>>, PolicyError> {
    match (elements.get(plain), elements.get(negated)) {
        (Some(_), Some(_)) => Err(PolicyError::Conflict { at: at.to_owned(), one: plain, other: negated }),
        (Some(value), None) => read(value, &format!("{at}.{plain}")).map(|read| Some(Scope::Only(read))),
        (None, Some(value)) => read(value, &format!("{at}.{negated}")).map(|read| Some(Scope::AllBut(read))),
        (None, None) => Ok(None),
    }
}

/// Actions are case-insensitive and take no variables.
fn actions(value: &Value, at: &str) -> Result<Vec<Vec<Token>>, PolicyError> {
    strings(value, at)?
        .into_iter()
        .map(|text| {
            let vendor =
                text.split_once(':').is_some_and(|(vendor, name)| !vendor.is_empty() && !name.is_empty());
            if text != "*" && !vendor {
                return Err(PolicyError::invalid(at, text, "\"*\" or an action such as \"kms:Decrypt\""));
            }
            let template = Template::parse(&text.to_ascii_lowercase(), Wildcards::On, Variables::Off, at)?;
            Ok(template.fixed())
        })
        .collect()
}

fn resources(value: &Value, variables: Variables, at: &str) -> Result<Vec<Template>, PolicyError> {
    strings(value, at)?
        .into_iter()
        .map(|text| {
            if !is_arn_pattern(text) {
                return Err(PolicyError::invalid(at, text, "\"*\" or an arn"));
            }
            Template::parse(text, Wildcards::On, variables, at)
        })
        .collect()
}

/// A string, or an array of at least one.
pub(super) fn strings<'a>(value: &'a Value, at: &str) -> Result<Vec<&'a str>, PolicyError> {
    const EXPECTED: &str = "a string or an array of strings";
    match value {
        Value::String(text) => Ok(vec![text]),
        Value::Array(texts) if !texts.is_empty() => texts
            .iter()
            .map(|text| text.as_str().ok_or_else(|| PolicyError::wrong_type(at, EXPECTED)))
            .collect(),
        _ => Err(PolicyError::wrong_type(at, EXPECTED)),
    }
}
